"""The three irregular loops of PVCNN in numba: averaging points into voxels, reading voxels at points, and its adjoint.

Rows are channels of one cloud ([clouds * C, …], cloud-major). Every row is written by one thread in a fixed order, so
results do not depend on the number of threads. A row of a grid (R = 32: 128 KiB) stays in the second-level cache while
its points pass; four rows at a time share the reads of indices and weights.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from numba import njit

PARALLEL_FROM = 300_000  # rows times points below which one thread is faster


@njit(cache=True, nogil=True)
def gather_add(rows, cells, share, channels, first, last, grids):
    """grids[g, cells[b, n]] += rows[g, n] * share[b, n]: voxel means where share is 1 / (points of the voxel).

    rows [G, N], cells int32 [B, N], share [B, N], grids [G, V] zeroed; rows first <= g < last."""
    for g in range(first, last):
        b = g // channels
        row, cell, weight, grid = rows[g], cells[b], share[b], grids[g]
        for n in range(len(row)):
            grid[cell[n]] += row[n] * weight[n]


@njit(cache=True, nogil=True)
def take(grids, cells, share, channels, first, last, rows):
    """rows[g, n] = grids[g, cells[b, n]] * share[b, n]: the adjoint of `gather_add`."""
    for g in range(first, last):
        b = g // channels
        row, cell, weight, grid = rows[g], cells[b], share[b], grids[g]
        for n in range(len(row)):
            row[n] = grid[cell[n]] * weight[n]


@njit(cache=True, nogil=True)
def interpolate(grids, corners, weights, channels, first, last, rows):
    """rows[g, n] = sum over k of weights[b, n, k] * grids[g, corners[b, n, k]]. corners int32 [B, N, 8]."""
    g = first
    while g < last:
        b = g // channels
        stop = min(last, (b + 1) * channels)
        corner, weight = corners[b], weights[b]
        if g + 4 <= stop:
            g0, g1, g2, g3 = grids[g], grids[g + 1], grids[g + 2], grids[g + 3]
            for n in range(len(corner)):
                a0 = weight[n, 0] * g0[corner[n, 0]]
                a1 = weight[n, 0] * g1[corner[n, 0]]
                a2 = weight[n, 0] * g2[corner[n, 0]]
                a3 = weight[n, 0] * g3[corner[n, 0]]
                for k in range(1, 8):
                    at, w = corner[n, k], weight[n, k]
                    a0 += w * g0[at]
                    a1 += w * g1[at]
                    a2 += w * g2[at]
                    a3 += w * g3[at]
                rows[g, n] = a0
                rows[g + 1, n] = a1
                rows[g + 2, n] = a2
                rows[g + 3, n] = a3
            g += 4
            continue
        grid = grids[g]
        for n in range(len(corner)):
            a = weight[n, 0] * grid[corner[n, 0]]
            for k in range(1, 8):
                a += weight[n, k] * grid[corner[n, k]]
            rows[g, n] = a
        g += 1


@njit(cache=True, nogil=True)
def spread(rows, corners, weights, channels, first, last, grids):
    """grids[g, corners[b, n, k]] += weights[b, n, k] * rows[g, n]: the adjoint of `interpolate`; grids zeroed."""
    g = first
    while g < last:
        b = g // channels
        stop = min(last, (b + 1) * channels)
        corner, weight = corners[b], weights[b]
        if g + 4 <= stop:
            g0, g1, g2, g3 = grids[g], grids[g + 1], grids[g + 2], grids[g + 3]
            for n in range(len(corner)):
                r0, r1, r2, r3 = rows[g, n], rows[g + 1, n], rows[g + 2, n], rows[g + 3, n]
                for k in range(8):
                    at, w = corner[n, k], weight[n, k]
                    g0[at] += w * r0
                    g1[at] += w * r1
                    g2[at] += w * r2
                    g3[at] += w * r3
            g += 4
            continue
        grid = grids[g]
        for n in range(len(corner)):
            r = rows[g, n]
            for k in range(8):
                grid[corner[n, k]] += weight[n, k] * r
        g += 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="pvcnn")


def over_rows(kernel: Callable[..., None], total: int, points: int, *before: object, out: object) -> None:
    """kernel(*before, first, last, out) over rows 0..total, split over torch's threads where that pays."""
    threads = min(torch.get_num_threads(), total) if total * points >= PARALLEL_FROM else 1
    if threads <= 1:
        kernel(*before, 0, total, out)
        return
    edges = [total * i // threads for i in range(threads + 1)]
    jobs = [_pool(threads).submit(kernel, *before, a, b, out) for a, b in zip(edges[:-1], edges[1:])]
    for job in jobs:
        job.result()
