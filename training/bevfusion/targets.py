"""What the box head is to say: CenterPoint's heatmaps and box values (Yin et al., CVPR 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.pool.association import Grid
from training.bevfusion.frames import BOX_NAMES, Moment

MIN_OVERLAP, MIN_RADIUS = 0.1, 2  # of the Gaussians, as published
FEWEST_POINTS = 1  # returns on a box, below which it is not taught


class BoxTargets(NamedTuple):
    """heat float32 [B, 10, X, Y] · place int64 [M]: flat cell, with the sample, of each box · values float32 [M, 10]:
    reg 2, height, log size 3, sin, cos, velocity 2, in the order of the head."""

    heat: Tensor
    place: Tensor
    values: Tensor


def gaussian_radius(length: float, width: float, overlap: float = MIN_OVERLAP) -> int:
    """Radius in cells for which a box moved by so much still overlaps by `overlap` (Law and Deng, "CornerNet", ECCV
    2018; the least of its three cases). length, width: cells.

    The released code divides each root by 2 instead of 2a; so does this, since the published networks were taught so.
    """
    area, both = length * width, length + width
    roots = [
        b + math.sqrt(max(b * b - 4 * a * c, 0.0))
        for a, b, c in (
            (1.0, both, area * (1 - overlap) / (1 + overlap)),
            (4.0, 2 * both, (1 - overlap) * area),
            (4 * overlap, -2 * overlap * both, (overlap - 1) * area),
        )
    ]
    return max(MIN_RADIUS, int(min(roots) / 2))


def draw(heat: NDArray[np.float32], x: int, y: int, radius: int) -> None:
    """Raises heat [X, Y] to a Gaussian of this radius around a cell, 1 at its peak."""
    sigma = (2 * radius + 1) / 6
    x0, x1 = max(x - radius, 0), min(x + radius + 1, heat.shape[0])
    y0, y1 = max(y - radius, 0), min(y + radius + 1, heat.shape[1])
    dx, dy = np.arange(x0, x1)[:, None] - x, np.arange(y0, y1)[None] - y
    bump = np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    np.maximum(heat[x0:x1, y0:y1], bump, out=heat[x0:x1, y0:y1])


def box_targets(moments: Sequence[Moment], grid: Grid) -> BoxTargets:
    """Targets of a batch on the trunk's cells; boxes outside the grid and boxes without a return are left out."""
    columns, rows, _ = grid.cells
    heat = np.zeros((len(moments), len(BOX_NAMES), columns, rows), np.float32)
    place, values = [], []
    for b, moment in enumerate(moments):
        for box, label, count in zip(moment.boxes, moment.label, moment.count):
            cx, cy = (box[0] - grid.x[0]) / grid.x[2], (box[1] - grid.y[0]) / grid.y[2]
            if count < FEWEST_POINTS or not (0 <= cx < columns and 0 <= cy < rows):
                continue
            x, y = int(cx), int(cy)
            draw(heat[b, label], x, y, gaussian_radius(box[3] / grid.x[2], box[4] / grid.x[2]))
            place.append((b * columns + x) * rows + y)
            size, turn = np.log(np.maximum(box[3:6], 0.05)), (math.sin(box[6]), math.cos(box[6]))
            values.append([cx - x, cy - y, box[2], *size, *turn, box[7], box[8]])
    return BoxTargets(
        torch.from_numpy(heat), torch.tensor(place, dtype=torch.long),
        torch.tensor(np.array(values, np.float32).reshape(-1, 10)),
    )  # fmt: skip
