"""Hard voxelisation: points to the mean of the first points of each voxel, as the released models are fed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class VoxelGrid:
    """point_range: least and most x, y, z, m · voxel_size: x, y, z, m · max_points: of a voxel, those that come first
    count · max_voxels: voxels that come later are left out, with their points.
    """

    point_range: tuple[float, ...]
    voxel_size: tuple[float, ...]
    max_points: int = 10
    max_voxels: int = 160_000

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        low, high = self.point_range[:3], self.point_range[3:]
        x, y, z = (int(round((b - a) / s)) for a, b, s in zip(low, high, self.voxel_size))
        return x, y, z


@njit(cache=True, nogil=True)
def _hard(points, low, size, shape, max_points, max_voxels, sums, counts, coords):
    """Fills sums [V, C], counts [V], coords [V, 3] (x, y, z); returns V. Voxels are looked up by open addressing."""
    slots = 1
    while slots < 4 * max_voxels:
        slots *= 2
    table = np.full(slots, -1, np.int32)
    found = 0
    for i in range(len(points)):
        ok = True
        for axis in range(3):
            v = np.floor((points[i, axis] - low[axis]) / size[axis])
            if not (v >= 0 and v < shape[axis]):  # also false for NaN
                ok = False
                break
        if not ok:
            continue
        x = np.int64(np.floor((points[i, 0] - low[0]) / size[0]))
        y = np.int64(np.floor((points[i, 1] - low[1]) / size[1]))
        z = np.int64(np.floor((points[i, 2] - low[2]) / size[2]))
        slot = (((x * shape[1] + y) * shape[2] + z) * np.int64(0x9E3779B1)) & (slots - 1)
        voxel = table[slot]
        while voxel >= 0 and (coords[voxel, 0] != x or coords[voxel, 1] != y or coords[voxel, 2] != z):
            slot = (slot + 1) & (slots - 1)
            voxel = table[slot]
        if voxel < 0:
            if found >= max_voxels:
                continue
            voxel = found
            table[slot] = voxel
            coords[voxel, 0], coords[voxel, 1], coords[voxel, 2] = x, y, z
            found += 1
        if counts[voxel] < max_points:
            for c in range(points.shape[1]):
                sums[voxel, c] += points[i, c]
            counts[voxel] += 1
    return found


def voxelise(points: NDArray[np.float32], grid: VoxelGrid) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """points float32 [P, C], x, y, z first -> (means float32 [V, C], coords int32 [V, 3] in x, y, z), in the order in
    which the voxels are met. Points outside the range, or not finite in x, y or z, are left out.
    """
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] < 3:
        raise ValueError(f"points have shape {points.shape}: expected [P, C] with x, y, z first")
    most = min(grid.max_voxels, len(points))
    sums = np.zeros((most, points.shape[1]), np.float32)
    counts, coords = np.zeros(most, np.int32), np.empty((most, 3), np.int32)
    low, size = np.array(grid.point_range[:3], np.float32), np.array(grid.voxel_size, np.float32)
    found = _hard(points, low, size, grid.shape, grid.max_points, most, sums, counts, coords)
    means = sums[:found]
    np.divide(means, counts[:found, None].astype(np.float32), out=means)
    return means, coords[:found]
