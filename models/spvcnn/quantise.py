"""Raw points to voxels for the session: cells, means, counts and the voxel of every point, in two linear passes.

The result equals `models.sparse.voxelize` (voxels sorted by x, y, z) on the points that are finite and in range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.sparse import Level
from models.sparse.keys import LIMITS, X_BIAS, X_SHIFT, Y_BIAS, Y_SHIFT, Z_BIAS

OUTSIDE = -1


@njit(cache=True, nogil=True)
def _keys(xyz, low, size, inverse_size, key, rows):
    """Packed cells of the usable points, those that are finite and in range; returns how many there are."""
    inside = 0
    for i in range(len(xyz)):
        x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            continue
        a = np.floor(x * inverse_size)
        b = np.floor(y * inverse_size)
        c = np.floor(z * inverse_size)
        u, v, w = a - low[0], b - low[1], c - low[2]
        if u < 0 or v < 0 or w < 0 or u >= size[0] or v >= size[1] or w >= size[2]:
            continue
        key[inside] = (np.uint64(u) * np.uint64(size[1]) + np.uint64(v)) * np.uint64(size[2]) + np.uint64(w)
        rows[inside] = i
        inside += 1
    return inside


@njit(cache=True, nogil=True)
def _radix_pass(key, rows, key_out, rows_out, shift, count):
    """One stable pass over 11 bits of the key."""
    starts = np.zeros(2049, np.int64)
    for i in range(count):
        starts[((key[i] >> np.uint64(shift)) & np.uint64(2047)) + np.uint64(1)] += 1
    for b in range(2048):
        starts[b + 1] += starts[b]
    for i in range(count):
        b = (key[i] >> np.uint64(shift)) & np.uint64(2047)
        at = starts[b]
        key_out[at] = key[i]
        rows_out[at] = rows[i]
        starts[b] = at + 1


@njit(cache=True, nogil=True)
def _group(key, rows, count, xyz, intensity, low, size, coords, packed, means, counts, first, voxel_of):
    """Voxels of the sorted points: coordinates, keys of models.sparse, mean x, y, z, intensity (float64 sums), number
    of points; returns how many."""
    voxel = -1
    last = np.uint64(0)
    sums = np.zeros(4, np.float64)
    for i in range(count):
        row = rows[i]
        if voxel < 0 or key[i] != last:
            if voxel >= 0:
                for c in range(4):
                    means[voxel, c] = sums[c] / counts[voxel]
            voxel += 1
            last = key[i]
            w = last % np.uint64(size[2])
            v = (last // np.uint64(size[2])) % np.uint64(size[1])
            u = last // (np.uint64(size[2]) * np.uint64(size[1]))
            x, y, z = np.int64(u) + low[0], np.int64(v) + low[1], np.int64(w) + low[2]
            coords[voxel, 0] = x
            coords[voxel, 1] = y
            coords[voxel, 2] = z
            coords[voxel, 3] = 0
            packed[voxel] = ((x + X_BIAS) << X_SHIFT) | ((y + Y_BIAS) << Y_SHIFT) | (z + Z_BIAS)
            counts[voxel] = 0
            first[voxel] = row
            sums[:] = 0.0
        counts[voxel] += 1
        sums[0] += xyz[row, 0]
        sums[1] += xyz[row, 1]
        sums[2] += xyz[row, 2]
        sums[3] += intensity[row]
        voxel_of[row] = voxel
    if voxel >= 0:
        for c in range(4):
            means[voxel, c] = sums[c] / counts[voxel]
    return voxel + 1


class Quantiser:
    """Voxels of one sweep at a time, in buffers that are kept and grow with the largest sweep.

    size: edge of a voxel, m · point_range: x, y, z least and most, m, or None for +-1000 m. The attributes `low` and
    `size`, int64 [3], are that range in voxels.
    Raises ValueError for a range of more voxels than a key of models.sparse holds.
    """

    def __init__(self, size: float, point_range: tuple[float, ...] | None):
        box = np.asarray(point_range or (-1000.0, -1000.0, -200.0, 1000.0, 1000.0, 200.0), np.float64).reshape(2, 3)
        self.voxel_size = size
        self._scale = np.float32(1.0 / size)
        self.low = np.floor(box[0] / size + 1e-6).astype(np.int64)
        self.size = np.ceil(box[1] / size - 1e-6).astype(np.int64) - self.low
        if (abs(self.low) > LIMITS).any() or (abs(self.low + self.size) > LIMITS).any():
            raise ValueError(
                f"a range of {box.tolist()} m at voxels of {size} m: at most {LIMITS.tolist()} voxels each way"
            )
        self._passes = range(0, max(1, int(np.prod(self.size) - 1).bit_length()), 11)
        self._room = 0

    def _grow(self, points: int) -> None:
        if 0 < self._room >= points:
            return
        n = self._room = max(1024, int(points * 1.25))
        self._key, self._key2 = np.empty(n, np.uint64), np.empty(n, np.uint64)
        self._rows, self._rows2 = np.empty(n, np.int32), np.empty(n, np.int32)
        self._coords, self._means = np.empty((n, 4), np.int32), np.empty((n, 4), np.float32)
        self._packed = np.empty(n, np.int64)
        self._counts, self._first, self._voxel_of = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)

    def __call__(self, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> QuantisedCloud:
        """xyz float32 [N, 3] m, any values; intensity float32 [N], finite. The result's arrays are views that the next
        call overwrites."""
        n = len(xyz)
        self._grow(n)
        count = _keys(xyz, self.low, self.size, self._scale, self._key, self._rows)
        key, rows, key2, rows2 = self._key, self._rows, self._key2, self._rows2
        for shift in self._passes:
            _radix_pass(key, rows, key2, rows2, shift, count)
            key, rows, key2, rows2 = key2, rows2, key, rows
        self._voxel_of[:n] = OUTSIDE
        m = _group(
            key, rows, count, xyz, intensity, self.low, self.size,
            self._coords, self._packed, self._means, self._counts, self._first, self._voxel_of,
        )  # fmt: skip
        return QuantisedCloud(
            self._coords[:m], self._packed[:m], self._means[:m], self._counts[:m], self._first[:m], self._voxel_of[:n]
        )


@dataclass(frozen=True, eq=False)
class QuantisedCloud:
    """coords int32 [M, 4] (x, y, z, 0), sorted · keys int64 [M], the same packed (models.sparse.keys) · means float32
    [M, 4] (x, y, z, intensity) · counts int32 [M] points per voxel · first int32 [M], a voxel's first point · voxel_of
    int32 [N], OUTSIDE where a point has none."""

    coords: NDArray[np.int32]
    keys: NDArray[np.int64]
    means: NDArray[np.float32]
    counts: NDArray[np.int32]
    first: NDArray[np.int32]
    voxel_of: NDArray[np.int32]

    def level(self) -> Level:
        """The voxels as the finest level of a sparse tensor."""
        return Level.from_keys(self.keys, (1, 1, 1), self.coords)
