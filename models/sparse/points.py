"""Points and the voxels around them: quantisation, and the maps between points and the voxels of a level."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import native
from .kernel_map import KernelMap
from .keys import LIMITS, check_coords, pack, unpack
from .level import Level
from .offsets import kernel_offsets

if TYPE_CHECKING:
    import torch


class Voxels(NamedTuple):
    """Result of `voxelize`.

    coords: int32 [N, 4] (x, y, z, batch), sorted by (batch, x, y, z), unique.
    inverse: int32 [P], the voxel of every point.
    first: int32 [N], the first point in every voxel.
    counts: int32 [N], points per voxel.
    """

    coords: np.ndarray
    inverse: np.ndarray
    first: np.ndarray
    counts: np.ndarray


def voxelize(xyz: np.ndarray, size: float, batch: np.ndarray | int = 0) -> Voxels:
    """Quantises points: voxel = floor(xyz / size).

    xyz: float [P, 3] in metres, finite. size: voxel edge in metres. batch: integer [P] or one for all.
    Raises ValueError for a wrong shape, a non-finite point, a size that is not positive, or voxels out of range (see
    `keys`).
    """
    xyz = np.asarray(xyz)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"points have shape {xyz.shape}: expected [P, 3]")
    if not size > 0:
        raise ValueError(f"voxel size is {size}: expected a positive number of metres")
    grid = np.floor(xyz.astype(np.float32) * np.float32(1.0 / size))
    if not np.isfinite(grid).all():
        raise ValueError(
            f"{int((~np.isfinite(grid).all(1)).sum())} of {len(xyz)} points are not finite: remove them first"
        )
    if len(grid) and (abs(grid).max(0) > LIMITS).any():
        raise ValueError(
            f"points reach {abs(xyz).max(0).tolist()} m from the origin: at voxels of {size} m the limit is "
            f"{(LIMITS * size).tolist()} m (x, y, z); crop the cloud or use larger voxels"
        )
    coords = np.empty((len(grid), 4), np.int32)
    coords[:, :3] = grid
    coords[:, 3] = batch
    return _unique_native(coords) if native.library() is not None else _unique(check_coords(coords))


def _unique(coords: np.ndarray) -> Voxels:
    keys = pack(coords)
    order = np.argsort(keys, kind="stable").astype(np.int32)
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    inverse = np.empty(len(keys), np.int32)
    inverse[order] = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(keys))).astype(np.int32)
    return Voxels(unpack(ordered[starts]), inverse, order[starts], counts)


def _unique_native(coords: np.ndarray) -> Voxels:
    loaded = native.library()
    assert loaded is not None
    n = len(coords)
    unique, (inverse, first, counts) = np.empty_like(coords), (np.empty(n, np.int32) for _ in range(3))
    found = loaded.sparse_unique(
        native.address(coords), n, *(native.address(a) for a in (unique, inverse, first, counts))
    )
    if found < 0:
        raise MemoryError("voxelize: no memory to sort the points")
    return Voxels(unique[:found].copy(), inverse, first[:found].copy(), counts[:found].copy())


@dataclass
class PointMap:
    """Points against the voxels of one level.

    voxel: int32 [P], the voxel that holds the point, -1 where that voxel does not exist.
    corners: int32 [P, 8], voxels at the corners offset by {0, 1} strides from it (x outermost, z fastest); 0 where
        missing.
    weights: float32 [P, 8], trilinear weights; missing corners have 0, the rest is scaled to sum to s / (s + 1e-8).
    voxels: number of voxels of the level.
    """

    voxel: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    voxels: int
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.voxel)

    def by_voxel(self) -> tuple[np.ndarray, np.ndarray]:
        """(points int32 in the order of their voxels, starts int64 [voxels + 1]); points without a voxel are left
        out.
        """
        if "by_voxel" not in self._cache:
            loaded = native.library()
            if loaded is not None:
                self._cache["by_voxel"] = self._by_voxel_native(loaded)
                return self._cache["by_voxel"]
            known = self.voxel[self.voxel >= 0] if len(self.voxel) and self.voxel.min() < 0 else self.voxel
            starts = np.zeros(self.voxels + 1, np.int64)
            np.cumsum(np.bincount(known, minlength=self.voxels), out=starts[1:])
            order = np.argsort(self.voxel, kind="stable")[len(self.voxel) - len(known) :].astype(np.int32)
            self._cache["by_voxel"] = (order, starts)
        return self._cache["by_voxel"]

    def _by_voxel_native(self, loaded: ctypes.CDLL) -> tuple[np.ndarray, np.ndarray]:
        voxel = np.ascontiguousarray(self.voxel)
        order, starts = np.empty(len(voxel), np.int32), np.empty(self.voxels + 1, np.int64)
        loaded.sparse_by_voxel(
            native.address(voxel), len(voxel), self.voxels, native.address(order), native.address(starts)
        )
        return order[: starts[-1]], starts

    def tensors(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(voxel, corners, weights) on `device`, kept there for the next call."""
        import torch

        if str(device) not in self._cache:
            arrays = (self.voxel, self.corners, self.weights)
            self._cache[str(device)] = tuple(torch.from_numpy(a).to(device) for a in arrays)
        return self._cache[str(device)]


def corner_table(level: Level) -> np.ndarray:
    """int32 [N, 8]: the voxel at each corner offset {0, 1}^3 of every voxel (x outermost), -1 where there is none.

    These are 8 of the 27 columns of the submanifold map, so nothing is searched.
    """
    if "corners" not in level.cache:
        found: KernelMap = level.submanifold(3)
        table = np.full((len(level), 8), -1, np.int32)
        for c, (dx, dy, dz) in enumerate(kernel_offsets(2)):
            k = (dz + 1) * 9 + (dy + 1) * 3 + (dx + 1)
            ins, outs = found.pairs[:, found.starts[k] : found.starts[k + 1]]
            table[outs, c] = ins
        level.cache["corners"] = table
    return level.cache["corners"]


def find_voxels(level: Level, coords: np.ndarray) -> np.ndarray:
    """Rows int32 [P] of voxels given by any coordinates inside them (x, y, z, batch; full-resolution units); -1 where
    absent.
    """
    wanted = pack(coords, level.stride)
    if not len(level):
        return np.full(len(wanted), -1, np.int32)
    at = np.searchsorted(level.keys, wanted)
    at[at == len(level)] = 0
    rows = at if level.order is None else level.order[at]
    return np.where(level.keys[at] == wanted, rows, -1).astype(np.int32)


def map_points(
    level: Level, points: np.ndarray, batch: np.ndarray | int = 0, voxel: np.ndarray | None = None
) -> PointMap:
    """Maps points onto a level.

    points: float [P, 3] in voxel units of stride 1 (metres / voxel size). batch: integer [P] or one for all.
    voxel: int32 [P], where the caller knows it already: the voxel of every point, -1 where absent.
    """
    points = np.ascontiguousarray(points, np.float32)
    loaded = native.library()
    if loaded is not None and voxel is not None and len(level) and voxel.min(initial=0) >= 0:
        return _map_points_native(loaded, points, level, voxel)
    stride = np.array(level.stride)
    coords = np.empty((len(points), 4), np.int64)
    coords[:, :3] = np.floor(points / stride.astype(np.float32)) * stride
    coords[:, 3] = batch
    if voxel is None:
        voxel = find_voxels(level, check_coords(coords))
    known, absent = np.flatnonzero(voxel >= 0), np.flatnonzero(voxel < 0)
    # The voxel that the caller names counts, not floor(): the two may differ by the last bit at a border.
    coords[known] = level.coords[voxel[known]]
    table = corner_table(level) if len(level) else np.full((1, 8), -1, np.int32)
    corners = table[voxel]
    if len(absent):
        for c, offset in enumerate(kernel_offsets(2)):
            shifted = coords[absent]
            shifted[:, :3] += offset * stride
            corners[absent, c] = find_voxels(level, shifted)
    upper = np.clip((points - coords[:, :3].astype(np.float32)) / stride.astype(np.float32), 0, 1)
    parts = np.stack([1 - upper, upper])  # [corner 0 or 1, P, axis]
    weights = (parts[:, None, None, :, 0] * parts[None, :, None, :, 1] * parts[None, None, :, :, 2]).reshape(8, -1).T
    weights = np.where(corners < 0, np.float32(0), weights)
    weights = weights / (weights.sum(1, keepdims=True) + np.float32(1e-8))
    return PointMap(voxel, np.maximum(corners, 0), np.ascontiguousarray(weights, np.float32), len(level))


def _map_points_native(loaded: ctypes.CDLL, points: np.ndarray, level: Level, voxel: np.ndarray) -> PointMap:
    if len(voxel) != len(points) or voxel.max(initial=-1) >= len(level):
        raise ValueError(
            f"{len(points)} points and {len(voxel)} voxel rows up to {voxel.max(initial=-1)} of {len(level)}"
        )
    voxel, table = np.ascontiguousarray(voxel, np.int32), corner_table(level)
    corners, weights = np.empty((len(points), 8), np.int32), np.empty((len(points), 8), np.float32)
    stride = np.array(level.stride, np.float32)
    loaded.sparse_corners(
        native.address(points),
        len(points),
        native.address(stride),
        native.address(voxel),
        native.address(level.coords),
        native.address(table),
        native.address(corners),
        native.address(weights),
        native.threads(),
    )
    return PointMap(voxel, corners, weights, len(level))
