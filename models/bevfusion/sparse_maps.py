"""Kernel maps of sparse convolutions on a bounded grid, as spconv defines them.

A strided convolution activates every cell of its output whose window holds an active input, and no cell outside the
output's shape floor((size + 2 padding - kernel) / stride) + 1. (torchsparse's rule, which `models.sparse.Level.down`
follows, leaves out cells below the least input coordinate.) Coordinates are in cells of their own level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.sparse import KernelMap, Level

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Stride:
    """A strided convolution: kernel, stride and padding along x, y, z."""

    kernel: Triple = (3, 3, 3)
    stride: Triple = (2, 2, 2)
    padding: Triple = (1, 1, 1)

    def shape_of(self, shape: Triple) -> Triple:
        """Output cells along x, y, z for an input of `shape`."""
        x, y, z = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape, self.kernel, self.stride, self.padding))
        return x, y, z


@njit(cache=True, nogil=True)
def _axis(at, kernel, stride, padding, size, offsets, places):
    """Kernel offsets under which a coordinate meets an output along one axis, and these outputs; returns how many."""
    count = 0
    for k in range(kernel):
        shifted = at + padding - k
        if shifted >= 0 and shifted % stride == 0 and shifted // stride < size:
            offsets[count], places[count] = k, shifted // stride
            count += 1
    return count


@njit(cache=True, nogil=True)
def _meetings(coords, i, kernel, stride, padding, shape, offsets, places, found):
    """Rows (kernel offset, flat output cell) of all outputs that input row i meets; returns how many. Offsets count x
    fastest, z slowest."""
    nx = _axis(coords[i, 0], kernel[0], stride[0], padding[0], shape[0], offsets[0], places[0])
    ny = _axis(coords[i, 1], kernel[1], stride[1], padding[1], shape[1], offsets[1], places[1])
    nz = _axis(coords[i, 2], kernel[2], stride[2], padding[2], shape[2], offsets[2], places[2])
    count, batch = 0, np.int64(coords[i, 3])
    for a in range(nx):
        for b in range(ny):
            for c in range(nz):
                found[count, 0] = (offsets[2, c] * kernel[1] + offsets[1, b]) * kernel[0] + offsets[0, a]
                plane = (batch * shape[0] + places[0, a]) * shape[1] + places[1, b]
                found[count, 1] = plane * shape[2] + places[2, c]
                count += 1
    return count


@njit(cache=True, nogil=True)
def _strided(coords, kernel, stride, padding, shape, batch):
    """(flat cells of the outputs, rising; pairs int32 [2, P] by offset, outputs rising; starts int64 [K + 1])."""
    volume, total = kernel[0] * kernel[1] * kernel[2], batch * shape[0] * shape[1] * shape[2]
    offsets, places = np.empty((3, max(kernel)), np.int64), np.empty((3, max(kernel)), np.int64)
    found = np.empty((volume, 2), np.int64)
    active, starts = np.zeros(total, np.uint8), np.zeros(volume + 1, np.int64)
    for i in range(len(coords)):
        for m in range(_meetings(coords, i, kernel, stride, padding, shape, offsets, places, found)):
            active[found[m, 1]] = 1
            starts[found[m, 0] + 1] += 1
    cells = np.flatnonzero(active)
    row = np.empty(total, np.int32)  # of the active cells; the others are never read
    for r in range(len(cells)):
        row[cells[r]] = r
    for k in range(volume):
        starts[k + 1] += starts[k]
    pairs, at = np.empty((2, starts[volume]), np.int32), starts[:-1].copy()
    for i in range(len(coords)):  # rows are sorted, so the outputs of an offset come out sorted too
        for m in range(_meetings(coords, i, kernel, stride, padding, shape, offsets, places, found)):
            k = found[m, 0]
            pairs[0, at[k]], pairs[1, at[k]] = i, row[found[m, 1]]
            at[k] += 1
    return cells, pairs, starts


def strided(level: Level, shape: Triple, conv: Stride, batch: int) -> tuple[Level, KernelMap]:
    """(output level, map onto it) of a strided convolution. level: rows sorted by (batch, x, y, z), within `shape`."""
    out = conv.shape_of(shape)
    cells, pairs, starts = _strided(level.coords, conv.kernel, conv.stride, conv.padding, out, batch)
    coords = np.stack([*np.unravel_index(cells, (batch, *out))], 1)[:, [1, 2, 3, 0]].astype(np.int32)
    return Level(coords), KernelMap(pairs, starts, len(level), len(cells))


@dataclass(frozen=True)
class EncoderMaps:
    """All maps of a sparse encoder for one batch.

    order: the given voxels in the order of the first level · levels, shapes, down: of every stage, `down[i]` leads from
    level i to level i + 1; the last is conv_out's · batch: number of clouds.
    """

    order: NDArray[np.int64]
    levels: list[Level]
    shapes: list[Triple]
    down: list[KernelMap]
    batch: int


def encoder_maps(coords: NDArray[np.integer], shape: Triple, strides: list[Stride], batch: int) -> EncoderMaps:
    """Maps for voxels int [N, 4] (x, y, z, batch) in a grid of `shape` cells.

    Raises ValueError for voxels outside the grid, doubled ones or a batch index out of range.
    """
    coords = np.asarray(coords)
    if len(coords) and (coords.min() < 0 or (coords >= (*shape, batch)).any()):
        raise ValueError(
            f"voxels span {coords.min(0).tolist()} to {coords.max(0).tolist()} (x, y, z, batch): expected within "
            f"{(*shape, batch)}"
        )
    given = Level(coords)
    order = np.arange(len(coords)) if given.order is None else given.order
    levels, shapes, down = [Level(coords[order])], [shape], []
    for conv in strides:
        level, found = strided(levels[-1], shapes[-1], conv, batch)
        levels.append(level)
        shapes.append(conv.shape_of(shapes[-1]))
        down.append(found)
    return EncoderMaps(order, levels, shapes, down, batch)
