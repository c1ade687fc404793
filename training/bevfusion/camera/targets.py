"""Training targets of each cell of the camera branch's map, from a picture's ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.lite.build import SIZE
from models.bevfusion.lite.camera import STRIDE
from models.bevfusion.lite.depth_bins import FOCAL, DepthBins
from training.bevfusion.camera.pictures import BOX_NAMES, IGNORE, Picture

SPREAD = 0.54  # of a box's sides that its Gaussian covers (TTFNet, section 4.1)
LEAST_VISIBLE = 0.25
LEAST_HEIGHT = 6.0  # px; lower boxes are neither learned nor counted as background
ROWS, COLUMNS = SIZE[0] // STRIDE, SIZE[1] // STRIDE


@dataclass(frozen=True)
class Targets:
    """Of N pictures, h x w cells: heat float32 [N, K, h, w], 1 at an object's centre cell · known bool [N, K, h, w]:
    cells that count for the heatmaps · box float32 [N, 4, h, w] px · box_weight float32 [N, h, w], 0 where there is
    none · pixels int64 [N, 2h, 2w] · depth float32 [N, bins + 1, h, w]: shares of a cell's pixels, all 0 where nothing
    is known · objects: how many boxes are learned."""

    heat: Tensor
    known: Tensor
    box: Tensor
    box_weight: Tensor
    pixels: Tensor
    depth: Tensor
    objects: int


def targets_of(pictures: Sequence[Picture], bins: DepthBins) -> Targets:
    """Targets of pictures of SIZE px."""
    boxes = [box_targets(p) for p in pictures]
    return Targets(
        torch.from_numpy(np.stack([b[0] for b in boxes])),
        torch.from_numpy(np.stack([b[1] for b in boxes])),
        torch.from_numpy(np.stack([b[2] for b in boxes])),
        torch.from_numpy(np.stack([b[3] for b in boxes])),
        torch.from_numpy(np.stack([p.pixels[::2, ::2] for p in pictures]).astype(np.int64)),
        torch.from_numpy(np.stack([depth_target(p.depth, p.focal, bins) for p in pictures])),
        sum(b[4] for b in boxes),
    )


def box_targets(picture: Picture) -> tuple[NDArray, NDArray, NDArray, NDArray, int]:
    """(heat [K, h, w], known [K, h, w], box [4, h, w], weight [h, w], objects) of one picture.

    Large boxes are written first, so that a smaller one in front keeps its cells. The weights of a box's cells sum to
    the logarithm of its area (TTFNet, eq. 6), so that near objects do not drown the far ones.
    """
    heat = np.zeros((len(BOX_NAMES), ROWS, COLUMNS), np.float32)
    known = np.ones(heat.shape, bool)
    box = np.zeros((4, ROWS, COLUMNS), np.float32)
    weight = np.zeros((ROWS, COLUMNS), np.float32)
    rows, objects = picture.rows, 0
    sides = rows.box[:, 2:] - rows.box[:, :2]
    for i in np.argsort(-sides.prod(1), kind="stable"):
        x, y = (rows.box[i, :2] + rows.box[i, 2:]) / 2 / STRIDE  # in cells
        column, row = min(int(x), COLUMNS - 1), min(int(y), ROWS - 1)
        splat, place = gaussian(row, column, sides[i, 1] / STRIDE, sides[i, 0] / STRIDE)
        if rows.visible[i] < LEAST_VISIBLE or sides[i, 1] < LEAST_HEIGHT:
            known[rows.label[i]][place] = False
            continue
        objects += 1
        np.maximum(heat[rows.label[i]][place], splat, out=heat[rows.label[i]][place])
        inside = splat > 0.0
        for side, value in zip(box, rows.box[i]):
            side[place][inside] = value
        weight[place][inside] = (splat / splat.sum() * np.log(max(sides[i].prod(), 2.0)))[inside]
    known |= heat == 1.0
    return heat, known, box, weight, objects


def gaussian(row: int, column: int, height: float, width: float) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """(values, the rows and columns of the map that they belong to) of a box's Gaussian; sides in cells."""
    sigma = np.maximum(SPREAD * np.array([height, width]) / 6.0, 1e-3)
    reach = np.maximum(np.floor(SPREAD * np.array([height, width]) / 2.0), 0).astype(int)
    r = np.arange(max(row - reach[0], 0), min(row + reach[0], ROWS - 1) + 1)
    c = np.arange(max(column - reach[1], 0), min(column + reach[1], COLUMNS - 1) + 1)
    d = ((r - row) / sigma[0])[:, None] ** 2 + ((c - column) / sigma[1])[None] ** 2
    return np.exp(-d / 2).astype(np.float32), (slice(r[0], r[-1] + 1), slice(c[0], c[-1] + 1))


def depth_target(depth: NDArray[np.float32], focal: float, bins: DepthBins) -> NDArray[np.float32]:
    """Shares of each cell's pixels in each class of depth, float32 [classes, h, w]; NaN pixels do not count.

    depth float32 [H/2, W/2] m · focal px of the picture.
    """
    classes = bins.classes_of(torch.from_numpy(depth * np.float32(FOCAL / focal))).numpy()
    step = STRIDE // 2
    cells = classes.reshape(ROWS, step, COLUMNS, step).transpose(0, 2, 1, 3).reshape(ROWS * COLUMNS, step * step)
    counts = ~np.isnan(depth).reshape(ROWS, step, COLUMNS, step).transpose(0, 2, 1, 3).reshape(cells.shape)
    flat = (np.arange(len(cells))[:, None] * bins.classes + cells)[counts]
    table = np.bincount(flat, minlength=len(cells) * bins.classes).reshape(len(cells), bins.classes).astype(np.float32)
    table /= np.maximum(table.sum(1, keepdims=True), 1.0)
    return np.ascontiguousarray(table.T).reshape(bins.classes, ROWS, COLUMNS)


__all__ = ["IGNORE", "Targets", "box_targets", "depth_target", "gaussian", "targets_of"]
