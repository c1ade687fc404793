"""The sparse tensor: a row of features per voxel."""

from __future__ import annotations

import numpy as np
import torch

from .level import Level
from .offsets import Triple


class SparseTensor:
    """Features on voxels.

    feats: float tensor [N, C] on any device.
    coords: integer tensor or array [N, 4], columns x, y, z, batch, in full-resolution units (at stride s: multiples
        of s); not needed where `level` is given. Kernel maps are computed from it on the CPU, or arrive ready with
        `level` (see `build_maps`).
    stride: tensor stride, one integer or three (x, y, z).
    Raises ValueError for duplicate voxels, wrong shapes, or coordinates out of range (see `keys`).
    """

    def __init__(
        self,
        feats: torch.Tensor,
        coords: torch.Tensor | np.ndarray | None = None,
        stride: int | Triple = 1,
        level: Level | None = None,
    ) -> None:
        if level is None:
            if coords is None:
                raise ValueError("a sparse tensor needs coords or a level")
            level = Level(coords.cpu().numpy() if isinstance(coords, torch.Tensor) else coords, stride)
        if feats.ndim != 2 or len(feats) != len(level):
            raise ValueError(
                f"features have shape {tuple(feats.shape)}: expected [{len(level)}, channels], one row per voxel"
            )
        self.feats = feats
        self.level = level

    @property
    def coords(self) -> torch.Tensor:
        """int32 [N, 4] on the CPU: x, y, z, batch."""
        return torch.from_numpy(self.level.coords)

    @property
    def stride(self) -> Triple:
        """Tensor stride per axis (x, y, z)."""
        return self.level.stride

    def with_feats(self, feats: torch.Tensor) -> SparseTensor:
        """The same voxels with other features [N, C']."""
        return SparseTensor(feats, level=self.level)

    def to(self, device: torch.device | str) -> SparseTensor:
        """Features on `device`; kernel maps follow when they are used there."""
        return self.with_feats(self.feats.to(device))

    def __len__(self) -> int:
        return len(self.level)

    def __repr__(self) -> str:
        shape = tuple(self.feats.shape)
        return f"SparseTensor(feats={shape} {self.feats.dtype} on {self.feats.device}, stride={self.stride})"


def cat(tensors: list[SparseTensor]) -> SparseTensor:
    """Features of tensors on the same voxels side by side. Raises ValueError where the voxels differ."""
    first = tensors[0].level
    for other in tensors[1:]:
        same = other.level is first or (
            other.stride == first.stride and np.array_equal(other.level.coords, first.coords)
        )
        if not same:
            raise ValueError("cat: the tensors do not lie on the same voxels")
    return tensors[0].with_feats(torch.cat([t.feats for t in tensors], dim=1))
