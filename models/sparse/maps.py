"""All maps of a U-Net (MinkUNet, SPVCNN) for one batch of clouds, built in one call and shipped to where they are used.

    voxels = voxelize(xyz, 0.05)
    maps = build_maps(voxels.coords, points=xyz / 0.05, point_voxel=voxels.inverse)
    x = SparseTensor(feats, level=maps.levels[0])        # every convolution of the plan finds its map ready

In a data loader's worker: `maps.arrays()` is a flat dict of numpy arrays (what default collation and shared memory
like); `MapSet.from_arrays(...)` and `.to("cuda")` restore it in the training process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kernel_map import KernelMap
from .level import Level
from .points import PointMap, map_points

UNET_DEPTH = 4
POINT_STRIDES = (1, 4, 16)
_DOWN = (2, 2, 2), (2, 2, 2), (1, 1, 1)


@dataclass
class MapSet:
    """Levels at strides 1, 2, 4, ... with their 3^3 and 2^3 maps, and point maps by stride.

    levels: levels[i] has stride 2^i; levels[i].submanifold(3), levels[i].down(2, 2) and levels[i+1].up(2, 2) are ready.
    points: PointMap by stride (integer), where points were given.
    """

    levels: list[Level]
    points: dict[int, PointMap]

    def to(self, device: str) -> MapSet:
        """Uploads every map to `device` (a torch device) ahead of use; returns self."""
        for level in self.levels:
            maps = [level.submanifold(3)] + [found for _, found in level._coarser.values()]
            for found in maps:
                found.rows(device) if "cpu" in str(device) else found.table(device)
        for points in self.points.values():
            points.tensors(device)
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as a flat dict of arrays; `from_arrays` is the inverse."""
        out: dict[str, np.ndarray] = {}
        for i, level in enumerate(self.levels):
            out[f"{i}/coords"], out[f"{i}/keys"], out[f"{i}/stride"] = level.coords, level.keys, np.array(level.stride)
            if level.order is not None:
                out[f"{i}/order"] = level.order
            same = level.submanifold(3)
            out[f"{i}/same"], out[f"{i}/same_starts"] = same.pairs, same.starts
            if i + 1 < len(self.levels):
                down = level.down()[1]
                out[f"{i}/down"], out[f"{i}/down_starts"] = down.pairs, down.starts
        for stride, points in self.points.items():
            for name in ("voxel", "corners", "weights"):
                out[f"points{stride}/{name}"] = getattr(points, name)
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> MapSet:
        """The MapSet that `arrays()` was taken from, without computing anything. Accepts torch tensors as values
        too.
        """
        data = {name: np.asarray(value) for name, value in arrays.items()}
        levels: list[Level] = []
        while f"{len(levels)}/coords" in data:
            i = len(levels)
            x, y, z = (int(s) for s in data[f"{i}/stride"])
            level = Level.from_keys(data[f"{i}/keys"], (x, y, z))
            level.coords, level.order = data[f"{i}/coords"], data.get(f"{i}/order")
            n = len(level)
            level._maps[(3, 3, 3), (1, 1, 1)] = KernelMap(data[f"{i}/same"], data[f"{i}/same_starts"], n, n, centre=13)
            if levels:
                finer = levels[-1]
                down = KernelMap(data[f"{i - 1}/down"], data[f"{i - 1}/down_starts"], len(finer), n)
                finer._coarser[_DOWN], level._finer[_DOWN] = (level, down), (finer, down)
            levels.append(level)
        points = {}
        for name in data:
            if name.startswith("points") and name.endswith("/voxel"):
                stride = int(name[len("points") : -len("/voxel")])
                size = next(len(level) for level in levels if level.stride[0] == stride)
                voxel, corners, weights = (data[f"points{stride}/{n}"] for n in ("voxel", "corners", "weights"))
                points[stride] = PointMap(voxel, corners, weights, size)
        return cls(levels, points)


def build_maps(
    coords: np.ndarray | Level,
    depth: int = UNET_DEPTH,
    points: np.ndarray | None = None,
    point_batch: np.ndarray | int = 0,
    point_voxel: np.ndarray | None = None,
    point_strides: tuple[int, ...] = POINT_STRIDES,
) -> MapSet:
    """Computes the maps of a U-Net with `depth` stride-2 stages on the CPU (numpy and compiled merges; no torch).

    coords: integer [N, 4] voxels (x, y, z, batch), unique; sorted as `voxelize` returns them is fastest. Or a Level.
    points: float [P, 3] in voxel units (metres / voxel size), where point branches are wanted; for a network that
        takes one point per voxel at its integer coordinates (the released SPVCNN) pass coords[:, :3].
    point_batch: integer [P] or one for all.
    point_voxel: int32 [P], the voxel of each point where known (`Voxels.inverse`), else it is searched.
    point_strides: the strides at which points meet voxels; SPVCNN uses 1, 4 and 16.
    """
    levels = [coords if isinstance(coords, Level) else Level(coords)]
    levels[0].submanifold(3)
    for _ in range(depth):
        levels.append(levels[-1].down()[0])
        levels[-1].submanifold(3)
    found: dict[int, PointMap] = {}
    if points is not None:
        voxel = point_voxel
        for i, level in enumerate(levels):
            if i and voxel is not None:
                # The parent of a point's voxel is the point's voxel one level up: no search.
                parent = levels[i - 1].down()[1].parent
                assert parent is not None
                voxel = parent[voxel] if voxel.min(initial=0) >= 0 else np.where(voxel < 0, -1, parent[voxel])
            if level.stride[0] in point_strides:
                found[level.stride[0]] = map_points(level, points, point_batch, voxel)
                level.cache.pop("corners", None)
    return MapSet(levels, found)
