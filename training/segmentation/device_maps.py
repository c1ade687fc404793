"""Voxels and kernel maps of a batch of sweeps, computed where the points are (CUDA): sorts and binary searches only.

The same maps as `models.sparse.build_maps` makes on the CPU, as tables (row of every neighbour of every voxel), which
is what the GPU convolution reads. Half of the 27 neighbours are searched, the mirrored half is the inverse relation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.sparse.keys import BATCH_SHIFT, X_BIAS, X_SHIFT, Y_BIAS, Y_SHIFT, Z_BIAS
from models.sparse.offsets import kernel_offsets

X_MASK, Y_MASK, Z_MASK = (1 << (BATCH_SHIFT - X_SHIFT)) - 1, (1 << (X_SHIFT - Y_SHIFT)) - 1, (1 << Y_SHIFT) - 1


def pack(cells: Tensor, batch: Tensor) -> Tensor:
    """Keys int64 [N] of voxel indices int64 [N, 3] and batch int64 [N]; the bit layout of models.sparse.keys."""
    x, y, z = cells.unbind(1)
    return (batch << BATCH_SHIFT) | ((x + X_BIAS) << X_SHIFT) | ((y + Y_BIAS) << Y_SHIFT) | (z + Z_BIAS)


def parent_keys(keys: Tensor) -> Tensor:
    """Keys of the 2^3 blocks that hold the voxels (each axis halved, rounding down)."""
    x = ((keys >> X_SHIFT) & X_MASK) - X_BIAS
    y = ((keys >> Y_SHIFT) & Y_MASK) - Y_BIAS
    z = (keys & Z_MASK) - Z_BIAS
    return pack(torch.stack((x >> 1, y >> 1, z >> 1), 1), keys >> BATCH_SHIFT)


def block_slot(keys: Tensor) -> Tensor:
    """Which of its block's eight places a voxel takes: x * 4 + y * 2 + z, int64 [N]."""
    # the biases are even, so parities can be read off the biased fields
    return ((keys >> X_SHIFT) & 1) * 4 + ((keys >> Y_SHIFT) & 1) * 2 + (keys & 1)


@dataclass
class TableMap:
    """A kernel map as two tables, the part of KernelMap that the CUDA convolution uses.

    forward int32 [outputs, K], backward int32 [inputs, K]; `inputs` or `outputs` mark an empty place.
    """

    forward: Tensor
    backward: Tensor
    centre: int = -1

    @property
    def outputs(self) -> int:
        """Rows on the output side."""
        return len(self.forward)

    @property
    def inputs(self) -> int:
        """Rows on the input side."""
        return len(self.backward)

    @property
    def volume(self) -> int:
        """Kernel offsets."""
        return self.forward.shape[1]

    def table(self, device: torch.device | str, by_input: bool = False) -> Tensor:
        """See KernelMap.table."""
        return self.backward if by_input else self.forward

    @property
    def transposed(self) -> TableMap:
        """Sides swapped."""
        return TableMap(self.backward, self.forward, self.centre)


@dataclass(eq=False)
class DeviceLevel:
    """One resolution on the device; stands in for models.sparse.Level in a U-Net. keys int64 [N] sorted, unique."""

    keys: Tensor
    stride: tuple[int, int, int]
    same: TableMap
    coarser: tuple[DeviceLevel, TableMap] | None = None
    finer: tuple[DeviceLevel, TableMap] | None = None
    cache: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def submanifold(self, kernel_size=3, dilation=1) -> TableMap:
        """The 3^3 map onto itself."""
        return self.same

    def down(self, kernel_size=2, stride=2, dilation=1) -> tuple[DeviceLevel, TableMap]:
        """(coarser level, 2^3 map onto it)."""
        if self.coarser is None:
            raise ValueError("these maps end here: build them with more depth")
        return self.coarser

    def up(self, kernel_size=2, stride=2, dilation=1) -> tuple[DeviceLevel, TableMap]:
        """(finer level, map onto it)."""
        if self.finer is None:
            raise ValueError("no finer level")
        return self.finer


@dataclass
class DevicePoints:
    """Stands in for models.sparse.PointMap: voxel int32 [P], corners int32 [P, 8], weights float32 [P, 8]."""

    voxel: Tensor
    corners: Tensor
    weights: Tensor
    voxels: int

    def __len__(self) -> int:
        return len(self.voxel)

    def tensors(self, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor]:
        """(voxel, corners, weights)."""
        return self.voxel, self.corners, self.weights


def submanifold_table(keys: Tensor) -> Tensor:
    """int32 [N, 27]: the row of each neighbour of each voxel, N where there is none."""
    n = len(keys)
    offsets = torch.from_numpy(kernel_offsets(3)).to(keys.device)
    steps = offsets[:, 0] * (1 << X_SHIFT) + offsets[:, 1] * (1 << Y_SHIFT) + offsets[:, 2]
    table = torch.full((n, 27), n, dtype=torch.int32, device=keys.device)
    rows = torch.arange(n, dtype=torch.int32, device=keys.device)
    table[:, 13] = rows
    for k in range(14, 27):
        wanted = keys + steps[k]
        at = torch.searchsorted(keys, wanted).clamp(max=max(n - 1, 0))
        hit = keys[at] == wanted
        source = at[hit]
        table[hit, k] = source.int()
        table[source, 26 - k] = rows[hit]
    return table


def build_levels(keys: Tensor, depth: int = 4) -> list[DeviceLevel]:
    """Levels at strides 1, 2, … 2^depth of sorted unique keys [N], linked by their 2^3 maps."""
    same = submanifold_table(keys)
    levels = [DeviceLevel(keys, (1, 1, 1), TableMap(same, same.flip(1), 13))]
    for _ in range(depth):
        fine = levels[-1]
        above, parent = torch.unique(parent_keys(fine.keys), return_inverse=True)
        slot = block_slot(fine.keys)
        n, m = len(fine), len(above)
        down = torch.full((m, 8), n, dtype=torch.int32, device=keys.device)
        down[parent, slot] = torch.arange(n, dtype=torch.int32, device=keys.device)
        up = torch.full((n, 8), m, dtype=torch.int32, device=keys.device)
        up[torch.arange(n, device=keys.device), slot] = parent.int()
        s = fine.stride[0] * 2
        same = submanifold_table(above)
        coarse = DeviceLevel(above, (s, s, s), TableMap(same, same.flip(1), 13))
        fine.coarser = (coarse, TableMap(down, up))
        coarse.finer = (fine, TableMap(up, down))
        fine.cache["parent"] = parent
        levels.append(coarse)
    return levels


def points_at(levels: list[DeviceLevel], strides: tuple[int, ...] = (4, 16)) -> dict[int, DevicePoints]:
    """Trilinear maps between the voxels of level 0, as points at their integer coordinates, and coarser levels."""
    keys = levels[0].keys
    cells = torch.stack(
        (((keys >> X_SHIFT) & X_MASK) - X_BIAS, ((keys >> Y_SHIFT) & Y_MASK) - Y_BIAS, (keys & Z_MASK) - Z_BIAS), 1
    )
    corner_columns = [(dz + 1) * 9 + (dy + 1) * 3 + (dx + 1) for dx, dy, dz in kernel_offsets(2).tolist()]
    found: dict[int, DevicePoints] = {}
    voxel = torch.arange(len(keys), device=keys.device)
    for i, level in enumerate(levels):
        if i:
            voxel = levels[i - 1].cache["parent"][voxel]
        s = level.stride[0]
        if s not in strides:
            continue
        corners = level.same.forward[:, corner_columns][voxel]  # [P, 8]
        upper = (cells % s).float() / s
        parts = torch.stack((1 - upper, upper))  # [2, P, 3]
        weights = (
            (parts[:, None, None, :, 0] * parts[None, :, None, :, 1] * parts[None, None, :, :, 2]).reshape(8, -1).t()
        )
        weights = torch.where(corners == len(level), torch.zeros_like(weights), weights)
        weights = weights / (weights.sum(1, keepdim=True) + 1e-8)
        corners = torch.where(corners == len(level), torch.zeros_like(corners), corners)
        found[s] = DevicePoints(voxel.int(), corners.contiguous(), weights.contiguous(), len(level))
    return found
