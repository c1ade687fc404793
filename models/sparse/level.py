"""One resolution of a sparse tensor: its voxels, and the kernel maps to itself and to coarser levels, each computed
once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import index
from .kernel_map import KernelMap
from .keys import LIMITS, check_coords, pack, unpack
from .offsets import Triple, kernel_offsets, triple


class Level:
    """Voxels of one tensor stride.

    coords: int32 [N, 4], columns x, y, z, batch, in full-resolution units (multiples of the stride), no duplicates,
        any order.
    stride: tensor stride per axis (x, y, z).
    Raises ValueError for duplicates, for coordinates that are no multiples of the stride or that a 64-bit key cannot
    hold.
    """

    def __init__(self, coords: np.ndarray, stride: int | Triple = 1) -> None:
        self.coords = check_coords(coords)
        self.stride = triple(stride, "stride")
        if any((self.coords[:, a] % self.stride[a]).any() for a in range(3) if self.stride[a] > 1):
            raise ValueError(
                f"coordinates at stride {self.stride} are not all multiples of it: full-resolution units expected"
            )
        keys = pack(self.coords, self.stride)
        rising = keys[1:] > keys[:-1]
        self.order: np.ndarray | None = None
        if not rising.all():
            self.order = np.argsort(keys, kind="stable")
            keys = keys[self.order]
            twice = np.flatnonzero(keys[1:] == keys[:-1])
            if len(twice):
                where = self.coords[self.order[twice[0]]].tolist()
                raise ValueError(
                    f"{len(twice)} duplicate voxels, the first at (x, y, z, batch) = {where}: "
                    "a sparse tensor holds each voxel once; use models.sparse.voxelize"
                )
        self.keys = keys
        self._maps: dict[Any, KernelMap] = {}
        self._coarser: dict[Any, tuple[Level, KernelMap]] = {}
        self._finer: dict[Any, tuple[Level, KernelMap]] = {}
        self.cache: dict[Any, Any] = {}

    @classmethod
    def from_keys(cls, keys: np.ndarray, stride: Triple, coords: np.ndarray | None = None) -> Level:
        """Level of sorted unique keys (and their coords, where the caller has them), without the checks that these
        need not pass again.
        """
        level = cls.__new__(cls)
        level.keys, level.stride, level.order = keys, stride, None
        level.coords = unpack(keys, stride) if coords is None else coords
        level._maps, level._coarser, level._finer, level.cache = {}, {}, {}, {}
        return level

    def __len__(self) -> int:
        return len(self.keys)

    def submanifold(self, kernel_size: int | Triple = 3, dilation: int | Triple = 1) -> KernelMap:
        """Map of a stride-1 convolution: the output voxels are these voxels."""
        size, step = triple(kernel_size, "kernel_size"), triple(dilation, "dilation")
        if (size, step) not in self._maps:
            if size == (3, 3, 3) and step == (1, 1, 1):
                found = index.submanifold_map(self.keys)
            else:
                found = index.search_map(self.keys, self.keys, size, step, centre=True)
            self._maps[size, step] = index.reorder(found, self.order, self.order)
        return self._maps[size, step]

    def down(
        self, kernel_size: int | Triple = 2, stride: int | Triple = 2, dilation: int | Triple = 1
    ) -> tuple[Level, KernelMap]:
        """(coarser level, map onto it) of a strided convolution.

        Kernel equal to stride: the output voxels are the blocks that hold an input voxel. Otherwise they are the
        candidates c + offset that are multiples of the new stride and not below the least coordinate of the input
        (torchsparse 1.4's rule).
        """
        key = triple(kernel_size, "kernel_size"), triple(stride, "stride"), triple(dilation, "dilation")
        if key not in self._coarser:
            size, factor, step = key
            if size == factor == (2, 2, 2) and step == (1, 1, 1):
                keys, found = index.down_map(self.keys)
                level = Level.from_keys(keys, self._times(factor))
            else:
                level = self._strided(size, factor, step)
                found = index.search_map(self.keys, pack(level.coords, self.stride), size, step)
            self._coarser[key] = (level, index.reorder(found, self.order, None))
            level._finer[key] = (self, self._coarser[key][1])
        return self._coarser[key]

    def up(
        self, kernel_size: int | Triple = 2, stride: int | Triple = 2, dilation: int | Triple = 1
    ) -> tuple[Level, KernelMap]:
        """(finer level, map onto it) of a transposed convolution: the matching `down`'s map with its sides swapped.

        Raises ValueError where this level did not come from a `down` with the same arguments.
        """
        key = triple(kernel_size, "kernel_size"), triple(stride, "stride"), triple(dilation, "dilation")
        if key not in self._finer:
            raise ValueError(
                f"transposed convolution (kernel, stride, dilation) = {key}: "
                f"this level came from no such strided convolution; "
                f"known: {list(self._finer)}"
            )
        level, found = self._finer[key]
        return level, found.transposed

    def _times(self, factor: Triple) -> Triple:
        x, y, z = (s * f for s, f in zip(self.stride, factor))
        return x, y, z

    def _strided(self, size: Triple, factor: Triple, dilation: Triple) -> Level:
        """The output level of a strided convolution that is not 2^3 stride 2."""
        new = np.array(self._times(factor))
        if size == factor:
            coords = self.coords.copy()
            coords[:, :3] = coords[:, :3] // new * new
        else:
            shifts = kernel_offsets(size, dilation) * np.array(self.stride)
            coords = np.repeat(self.coords[None], len(shifts), axis=0)
            coords[:, :, :3] += shifts[:, None].astype(np.int32)
            coords = coords.reshape(-1, 4)
            keep = (coords[:, :3] % new == 0).all(1)
            if len(self.coords):
                keep &= (coords[:, :3] >= self.coords[:, :3].min(0)).all(1) & (abs(coords[:, :3]) <= LIMITS).all(1)
            coords = coords[keep]
        return Level.from_keys(np.unique(pack(coords, self._times(factor))), self._times(factor))
