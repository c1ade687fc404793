"""The three irregular loops of PVCNN in numba: averaging points into voxels, reading voxels at points, and its adjoint.

Channels lie side by side in memory ([clouds, points or voxels, channels]), so each point moves a few whole cache lines
and the inner loops are vectorised; dense convolutions are fastest in that order too. Every output element is summed by
one thread in a fixed order: results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numba import njit

from models.parallel import even, over_ranges

PARALLEL_FROM = 400_000  # numbers moved, below which one thread is faster


@njit(cache=True, nogil=True)
def gather_add(rows, cells, share, grids, first, last):
    """grids[b, cells[b, n], c] += rows[b, n, c] * share[b, n]: voxel means where share is 1 / (points of the voxel).

    rows [B, N, C], cells int32 [B, N], share [B, N], grids [B, V, C] zeroed; clouds first <= b < last."""
    for b in range(first, last):
        for n in range(rows.shape[1]):
            row, grid, weight = rows[b, n], grids[b, cells[b, n]], share[b, n]
            for c in range(len(row)):
                grid[c] += row[c] * weight


@njit(cache=True, nogil=True)
def take(grids, cells, share, rows, first, last):
    """The adjoint of `gather_add`: rows[b, n, c] = grids[b, cells[b, n], c] * share[b, n]; first <= b N + n < last."""
    points = rows.shape[1]
    for i in range(first, last):
        b, n = i // points, i % points
        row, grid, weight = rows[b, n], grids[b, cells[b, n]], share[b, n]
        for c in range(len(row)):
            row[c] = grid[c] * weight


@njit(cache=True, nogil=True)
def interpolate(grids, corners, weights, rows, first, last):
    """rows[b, n, c] = sum over k of weights[b, n, k] * grids[b, corners[b, n, k], c]; first <= b N + n < last."""
    points = rows.shape[1]
    for i in range(first, last):
        b, n = i // points, i % points
        row, corner, weight = rows[b, n], corners[b, n], weights[b, n]
        grid = grids[b]
        g0, g1, g2, g3 = grid[corner[0]], grid[corner[1]], grid[corner[2]], grid[corner[3]]
        g4, g5, g6, g7 = grid[corner[4]], grid[corner[5]], grid[corner[6]], grid[corner[7]]
        for c in range(len(row)):
            low = weight[0] * g0[c] + weight[1] * g1[c] + weight[2] * g2[c] + weight[3] * g3[c]
            row[c] = low + weight[4] * g4[c] + weight[5] * g5[c] + weight[6] * g6[c] + weight[7] * g7[c]


@njit(cache=True, nogil=True)
def spread(rows, corners, weights, grids, first, last):
    """grids[b, corners[b, n, k], c] += weights[b, n, k] * rows[b, n, c], the adjoint of `interpolate`; grids zeroed."""
    for b in range(first, last):
        for n in range(rows.shape[1]):
            row, corner, weight = rows[b, n], corners[b, n], weights[b, n]
            for k in range(8):
                grid, w = grids[b, corner[k]], weight[k]
                for c in range(len(row)):
                    grid[c] += w * row[c]


def in_parallel(kernel: Callable[..., None], total: int, numbers: int, *arrays: object) -> None:
    """kernel(*arrays, first, last) over 0..total, split over torch's threads where `numbers` moved make that pay."""
    threads = min(torch.get_num_threads(), total) if numbers >= PARALLEL_FROM else 1
    over_ranges(kernel, even(total, max(threads, 1)), *arrays)
