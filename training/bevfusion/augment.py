"""Augmentation in the bird's-eye view: mirror, turn, scale, shift of points, boxes, map and camera poses alike.

The pictures stay as they are (J. Huang et al., "BEVDet", 2021): their features land where the moved cameras see them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.bevfusion.frames import MAP_CELL, MAP_CELLS, MAP_HALF, Cameras, Moment


@dataclass(frozen=True)
class BevAugment:
    """turn: largest angle, degrees · scale: range of the factor · shift: 1 sigma of x, y and z, m · mirror: chance of
    left and right changing places (traffic keeps the other side then) · keep: least share of the points that stay."""

    turn: float = 45.0
    scale: tuple[float, float] = (0.9, 1.1)
    shift: float = 0.3
    mirror: float = 0.5
    keep: float = 0.7


def augmented(moment: Moment, how: BevAugment, rng: np.random.Generator) -> Moment:
    """The moment seen from another place. The world stays right-handed except for the mirror image."""
    angle = math.radians(rng.uniform(-how.turn, how.turn))
    factor, flip = float(rng.uniform(*how.scale)), -1.0 if rng.random() < how.mirror else 1.0
    shift = rng.normal(0.0, how.shift, 3)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]]) @ np.diag([1.0, flip])
    points = moment.points[rng.random(len(moment.points)) < rng.uniform(how.keep, 1.0)].copy()
    points[:, :2] = factor * points[:, :2] @ turn.T + shift[:2]
    points[:, 2] = factor * points[:, 2] + shift[2]
    boxes = moment.boxes.copy()
    boxes[:, :2] = factor * boxes[:, :2] @ turn.T + shift[:2]
    boxes[:, 2] = factor * boxes[:, 2] + shift[2]
    boxes[:, 3:6] *= factor
    boxes[:, 6] = flip * boxes[:, 6] + angle
    boxes[:, 7:9] = factor * boxes[:, 7:9] @ turn.T
    masks = moved_masks(moment.masks, factor * turn, shift[:2])
    moved = replace(moment, points=points.astype(np.float32), boxes=boxes.astype(np.float32), masks=masks)
    if moment.cameras is None:
        return moved
    whole = np.eye(4)
    whole[:2, :2], whole[2, 2], whole[:3, 3] = factor * turn, factor, shift
    return replace(moved, cameras=Cameras(moment.cameras.intrinsics, whole @ moment.cameras.points_from_camera))


def moved_masks(masks: NDArray[np.uint8], matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Masks after p -> matrix @ p + shift (m); cells that come from outside the known square are 255."""
    steps = (np.arange(MAP_CELLS) + 0.5) * MAP_CELL - MAP_HALF
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1)
    source = (places - shift) @ np.linalg.inv(matrix).T
    cell = np.floor((source + MAP_HALF) / MAP_CELL).astype(int)
    inside = ((cell >= 0) & (cell < MAP_CELLS)).all(-1)
    out = np.full_like(masks, 255)
    out[:, inside] = masks[:, cell[inside][:, 0], cell[inside][:, 1]]
    return out
