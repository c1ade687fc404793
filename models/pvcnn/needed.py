"""Which voxels of PVCNN's dense grid matter, and the rulebooks between them.

Points fill a few per cent of a grid. The first convolution's output differs from a constant only within one voxel of an
occupied one (A), and of the second one's outputs only those are read that are corners of a point (D, all within A), or,
where squeeze-excitation wants the mean of the whole grid, those within one voxel of A. Everything else is a constant
that depends on how many border faces a voxel has (27 kinds), so the dense result is computed exactly from far fewer
products: on street crops 1 to 13 % of them (docs/point_voxel.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.pvcnn.grid import PointGrid
from models.sparse.kernel_map import KernelMap


def _map(outputs: NDArray[np.int32], inputs: NDArray[np.int32], r: int) -> KernelMap:
    """The rulebook of a 3x3x3 convolution from the voxels `inputs` to the voxels `outputs`."""
    pairs, starts = _pairs(outputs, inputs, r)
    return KernelMap(pairs, starts, len(inputs), len(outputs))


@dataclass(frozen=True, eq=False)
class Needed:
    """One cloud's voxels in a grid of R^3, rows ascending by voxel.

    occupied int32 [O], near int32 [A], read int32 [E]: voxels · point_row int32 [N]: row of a point's voxel in
    `occupied` · corner_rows int32 [N, 8]: rows of its corners in `read` · first: O -> A · second: A -> E · kind uint8
    [E]: of the voxels in `read`, see `kinds`.
    """

    occupied: NDArray[np.int32]
    near: NDArray[np.int32]
    read: NDArray[np.int32]
    point_row: NDArray[np.int32]
    corner_rows: NDArray[np.int32]
    first: KernelMap
    second: KernelMap
    kind: NDArray[np.uint8]


@njit(cache=True, nogil=True)
def _number(marks, rows):
    """Voxels that are marked, ascending; rows[v] becomes a marked voxel's position among them, else -1."""
    found = np.empty(len(marks), np.int32)
    n = 0
    for v in range(len(marks)):
        if marks[v]:
            found[n] = v
            rows[v] = n
            n += 1
        else:
            rows[v] = -1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def _dilate(voxels, r, marks):
    """Marks every voxel within one step of `voxels` along each axis."""
    for v in voxels:
        x, y, z = v // (r * r), v // r % r, v % r
        for a in range(max(x - 1, 0), min(x + 2, r)):
            for b in range(max(y - 1, 0), min(y + 2, r)):
                for c in range(max(z - 1, 0), min(z + 2, r)):
                    marks[(a * r + b) * r + c] = 1


@njit(cache=True, nogil=True)
def _pairs(outputs, inputs, r):
    """(pairs int32 [2, P], starts int64 [28]): every input voxel within one step of an output voxel, by offset."""
    s = r + 2  # a frame of empty voxels in place of tests at the border
    rows = np.full(s * s * s, -1, np.int32)
    for i in range(len(inputs)):
        v = inputs[i]
        rows[((v // (r * r) + 1) * s + v // r % r + 1) * s + v % r + 1] = i
    place = np.empty(len(outputs), np.int64)
    for i in range(len(outputs)):
        v = outputs[i]
        place[i] = ((v // (r * r) + 1) * s + v // r % r + 1) * s + v % r + 1
    pairs = np.empty((2, 27 * len(outputs)), np.int32)
    starts = np.zeros(28, np.int64)
    n = 0
    for k in range(27):
        step = ((k // 9 - 1) * s + k // 3 % 3 - 1) * s + k % 3 - 1
        for i in range(len(outputs)):
            row = rows[place[i] + step]
            if row >= 0:
                pairs[0, n] = row
                pairs[1, n] = i
                n += 1
        starts[k + 1] = n
    return pairs[:, :n].copy(), starts


def kinds(voxels: NDArray[np.int32], r: int) -> NDArray[np.uint8]:
    """Border kind of voxels: 0 low, 1 inside, 2 high along each axis; 3 where R is 1 and both borders are one voxel."""
    place = np.stack((voxels // (r * r), voxels // r % r, voxels % r))
    kind = np.where(place == 0, 0, np.where(place == r - 1, 2, 1)) if r > 1 else np.full_like(place, 3)
    return ((kind[0] * 4 + kind[1]) * 4 + kind[2]).astype(np.uint8)


def needed(grid: PointGrid, cloud: int, whole: bool) -> Needed:
    """The voxels of one cloud of a grid; whole: as many of the second convolution's outputs as are no constant."""
    r = grid.resolution
    cells, corners = grid.cells[cloud].numpy(), grid.corners[cloud].numpy()
    marks, rows = np.zeros(r**3, np.uint8), np.empty(r**3, np.int32)
    marks[cells] = 1
    occupied = _number(marks, rows)
    point_row = rows[cells]
    _dilate(occupied, r, marks)
    near = _number(marks, rows)
    if whole:
        _dilate(near, r, marks)
    else:
        marks[:] = 0
        marks[corners.ravel()] = 1
    read = _number(marks, rows)
    first, second = _map(near, occupied, r), _map(read, near, r)
    return Needed(occupied, near, read, point_row, rows[corners], first, second, kinds(read, r))
