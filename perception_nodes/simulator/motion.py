"""Where a sensor was at each moment of a sweep: steady motion between two poses of its vehicle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def rotation_vector(matrix: Matrix) -> NDArray[np.float64]:
    """Axis times angle (rad) of a rotation matrix whose angle is below pi."""
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / 2
    sine, cosine = float(np.linalg.norm(axis)), (np.trace(matrix) - 1) / 2
    angle = np.arctan2(sine, cosine)
    return axis * (angle / sine) if sine > 1e-12 else axis


def rotation_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices float64 [..., 3, 3] of axis-times-angle vectors [..., 3] (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    cross = np.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(*x.shape, 3, 3)
    safe = np.maximum(angle, 1e-9)
    a = np.where(angle > 1e-6, np.sin(safe) / safe, 1.0)
    b = np.where(angle > 1e-6, (1 - np.cos(safe)) / safe**2, 0.5)
    return np.eye(3) + a * cross + b * (cross @ cross)


def sensor_poses(
    before: Matrix, after: Matrix, base_from_sensor: Matrix, fraction: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(origin float64 [M, 3], rotation float64 [M, 3, 3]) of the sensor in map at `fraction` [M] of the way from pose
    `before` to pose `after` (map from base, [4, 4]); fractions outside 0..1 continue the motion."""
    turn = rotation_vector(before[:3, :3].T @ after[:3, :3])
    base = before[:3, :3] @ rotation_matrices(fraction[:, None] * turn)
    position = before[:3, 3] + fraction[:, None] * (after[:3, 3] - before[:3, 3])
    return position + base @ base_from_sensor[:3, 3], base @ base_from_sensor[:3, :3]
