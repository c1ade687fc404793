"""Compiled loops of the pillar encoder: features of the points, and the greatest linear response of each pillar."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

SCALES = (1 / 50, 1 / 50, 1 / 3, 1 / 255, 10.0)  # of x, y, z, intensity, age
FEATURES = 9  # x, y, z, intensity, age, and offsets: x, y from the cell's centre, x, y from the pillar's mean


@njit(cache=True, nogil=True)
def _place(points, low, high, step, columns, rows, cells, sums, counts):
    """cells [N] gets the flat cell of each point, -1 outside the grid; sums [cells, 2] and counts those of x and y."""
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        cells[i] = -1
        if x >= low[0] and x < high[0] and y >= low[1] and y < high[1] and z >= low[2] and z < high[2]:
            column = min(int((x - low[0]) / step), columns - 1)
            row = min(int((y - low[1]) / step), rows - 1)
            cell = column * rows + row
            cells[i] = cell
            sums[cell, 0] += x
            sums[cell, 1] += y
            counts[cell] += 1


@njit(cache=True, nogil=True)
def _describe(point, cell, low, step, rows, scales, sums, counts, features):
    """features [FEATURES] of one point."""
    for c in range(5):
        features[c] = point[c] * scales[c]
    features[5] = (point[0] - (low[0] + (cell // rows + np.float32(0.5)) * step)) / step
    features[6] = (point[1] - (low[1] + (cell % rows + np.float32(0.5)) * step)) / step
    features[7] = (point[0] - sums[cell, 0] / counts[cell]) / step
    features[8] = (point[1] - sums[cell, 1] / counts[cell]) / step


@njit(cache=True, nogil=True)
def encode(points, low, high, step, rows, scales, weight, bias, out):
    """out [cells, C] gets the greatest ReLU(features @ weight + bias) of each cell's points."""
    cells = np.empty(len(points), np.int64)
    sums = np.zeros((len(out), 2), np.float32)
    counts = np.zeros(len(out), np.int32)
    _place(points, low, high, step, len(out) // rows, rows, cells, sums, counts)
    features = np.empty(9, np.float32)
    total = np.empty(len(bias), np.float32)
    for i in range(len(points)):
        cell = cells[i]
        if cell < 0:
            continue
        _describe(points[i], cell, low, step, rows, scales, sums, counts, features)
        total[:] = bias
        for f in range(9):
            value = features[f]
            for c in range(len(total)):
                total[c] += value * weight[f, c]
        for c in range(len(total)):
            if total[c] > out[cell, c]:
                out[cell, c] = total[c]


@njit(cache=True, nogil=True)
def describe(points, low, high, step, columns, rows, scales, features, cells):
    """Rows of features [N, FEATURES] and cells [N] of the points inside the grid, in their order; how many."""
    where = np.empty(len(points), np.int64)
    sums = np.zeros((columns * rows, 2), np.float32)
    counts = np.zeros(columns * rows, np.int32)
    _place(points, low, high, step, columns, rows, where, sums, counts)
    kept = 0
    for i in range(len(points)):
        if where[i] >= 0:
            _describe(points[i], where[i], low, step, rows, scales, sums, counts, features[kept])
            cells[kept] = where[i]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _greatest(features, cells, weight, bias, out, winner):
    """As `encode` from described points; winner int32 [cells, C]: the row that gave the value, -1 where it is zero."""
    total = np.empty(len(bias), np.float32)
    for i in range(len(features)):
        total[:] = bias
        for f in range(9):
            value = features[i, f]
            for c in range(len(total)):
                total[c] += value * weight[f, c]
        cell = cells[i]
        for c in range(len(total)):
            if total[c] > out[cell, c]:
                out[cell, c] = total[c]
                winner[cell, c] = i


@njit(cache=True, nogil=True)
def _greatest_gradient(grad, features, winner, to_weight, to_bias):
    for cell in range(len(winner)):
        for c in range(winner.shape[1]):
            i = winner[cell, c]
            if i >= 0:
                g = grad[cell, c]
                to_bias[c] += g
                for f in range(9):
                    to_weight[f, c] += g * features[i, f]


class _PillarMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, features: NDArray, cells: NDArray, count: int) -> Tensor:
        out = np.zeros((count, len(bias)), np.float32)
        winner = np.full(out.shape, -1, np.int32)
        w, b = (t.detach().cpu().contiguous().numpy() for t in (weight, bias))
        _greatest(features, cells, w, b, out, winner)
        ctx.features, ctx.winner = features, winner
        return torch.from_numpy(out).to(weight.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        channels = grad.shape[1]
        to_weight, to_bias = np.zeros((FEATURES, channels)), np.zeros(channels)
        _greatest_gradient(grad.cpu().contiguous().numpy(), ctx.features, ctx.winner, to_weight, to_bias)
        return torch.from_numpy(to_weight).to(grad), torch.from_numpy(to_bias).to(grad), None, None, None


def pillar_max(
    weight: Tensor, bias: Tensor, features: NDArray[np.float32], cells: NDArray[np.int64], count: int
) -> Tensor:
    """The greatest ReLU(features @ weight + bias) of each cell's points, float32 [count, C]; zero without points.

    Differentiable in weight [FEATURES, C] and bias [C]. features [N, FEATURES] · cells int64 [N], each below `count`.
    """
    found: Tensor = _PillarMax.apply(weight, bias, features, cells, count)
    return found
