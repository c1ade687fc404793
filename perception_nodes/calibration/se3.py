"""Rigid transforms as float64 [4, 4] matrices, named by direction: `base_from_lidar @ p_lidar = p_base`.

Quaternions are (x, y, z, w), as in ROS messages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

# Takes points in a camera's optical frame (x right, y down, z forward) to its body frame (x forward, y left, z up).
BODY_FROM_OPTICAL: Matrix = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def compose(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """[4, 4] of a rotation [3, 3] and a translation [3] in metres."""
    out = np.eye(4)
    out[:3, :3] = rotation
    out[:3, 3] = translation
    return out


def invert(a_from_b: Matrix) -> Matrix:
    """b_from_a of a rigid a_from_b."""
    rotation = a_from_b[:3, :3].T
    return compose(rotation, -rotation @ a_from_b[:3, 3])


def apply(a_from_b: Matrix, points_b: NDArray) -> NDArray:
    """Points [N, 3] in b -> points [N, 3] in a, of the points' dtype."""
    rotation = a_from_b[:3, :3].astype(points_b.dtype)
    return points_b @ rotation.T + a_from_b[:3, 3].astype(points_b.dtype)


def from_quaternion(quaternion_xyzw: ArrayLike, translation: ArrayLike = (0.0, 0.0, 0.0)) -> Matrix:
    """[4, 4] of a quaternion of any length but zero (normalised here); raises ValueError."""
    q = np.asarray(quaternion_xyzw, np.float64)
    with np.errstate(over="ignore"):  # foreign numbers: an infinite norm is refused below
        norm = float(np.linalg.norm(q)) if q.shape == (4,) else 0.0
    if not np.isfinite(norm) or norm < 1e-6:
        raise ValueError(f"{np.asarray(quaternion_xyzw).tolist()} is not a rotation: a quaternion x y z w of length 1")
    if not np.isfinite(np.asarray(translation, np.float64)).all():
        raise ValueError(f"{np.asarray(translation).tolist()} is not a translation: three finite numbers in metres")
    x, y, z, w = q / norm
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return compose(rotation, translation)


def to_quaternion(a_from_b: Matrix) -> NDArray[np.float64]:
    """(x, y, z, w) of a transform's rotation, w >= 0 (Shepperd's method: the largest of the four terms leads)."""
    r = a_from_b[:3, :3]
    trace = np.trace(r)
    terms = np.array([r[0, 0], r[1, 1], r[2, 2], trace])
    lead = int(np.argmax(terms))
    if lead == 3:
        q = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1.0 + trace])
    else:
        i, j, k = lead, (lead + 1) % 3, (lead + 2) % 3
        q = np.empty(4)
        q[i] = 1.0 - trace + 2.0 * r[i, i]
        q[j] = r[j, i] + r[i, j]
        q[k] = r[k, i] + r[i, k]
        q[3] = r[k, j] - r[j, k]
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def interpolate(a: Matrix, b: Matrix, part: float) -> Matrix:
    """The transform `part` (0..1) of the way from a to b: translation linear, rotation along the shortest arc (slerp,
    Shoemake 1985)."""
    qa, qb = to_quaternion(a), to_quaternion(b)
    cosine = float(qa @ qb)
    if cosine < 0:  # the same rotation, written the other way round
        qb, cosine = -qb, -cosine
    angle = float(np.arccos(min(cosine, 1.0)))
    if angle < 1e-6:
        weights = (1.0 - part, part)
    else:
        weights = (float(np.sin((1.0 - part) * angle)), float(np.sin(part * angle)))
    return from_quaternion(weights[0] * qa + weights[1] * qb, (1.0 - part) * a[:3, 3] + part * b[:3, 3])


def from_euler(roll: float, pitch: float, yaw: float, translation: ArrayLike = (0.0, 0.0, 0.0)) -> Matrix:
    """[4, 4] of Rz(yaw) Ry(pitch) Rx(roll), radians (REP 103's fixed-axis order)."""
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    rotation = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return compose(rotation, translation)


def yaw_of(a_from_b: Matrix) -> float:
    """Heading of b's x axis in a's x-y plane, radians."""
    return float(np.arctan2(a_from_b[1, 0], a_from_b[0, 0]))


def is_rigid(matrix: NDArray, tolerance: float = 1e-3) -> bool:
    """True for a finite [4, 4] whose rotation is orthonormal and right-handed (within `tolerance`)."""
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
        return False
    rotation = matrix[:3, :3]
    return bool(np.allclose(rotation @ rotation.T, np.eye(3), atol=tolerance) and np.linalg.det(rotation) > 0)
