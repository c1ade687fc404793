"""SPVCNN: MinkUNet with a high-resolution point branch (see `point_voxel`), with the official state-dict keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.spvcnn.blocks import Pair
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.point_voxel import PointView, PointVoxelNetwork

__all__ = ["SPVCNN", "PointView"]


class SPVCNN(PointVoxelNetwork, MinkUNet):
    """Logits per point; arguments as MinkUNet's, and `pres`, `vres` as in PointVoxelNetwork."""

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        in_channels: int = 4,
        pres: float = 0.05,
        vres: float = 0.05,
        dropout: float = 0.3,
    ):
        MinkUNet.__init__(self, num_classes, channels, in_channels, point_branch=True, dropout=dropout)
        self.pres, self.vres = pres, vres

    def down_layers(self) -> list[Any]:
        """See MinkUNet."""
        return MinkUNet.down_layers(self)

    def up_layers(self) -> list[Any]:
        """See MinkUNet."""
        return MinkUNet.up_layers(self)

    def point_layers(self) -> list[Pair]:
        """(linear, batch norm) of the three layers of the point branch."""
        branches: Any = self.point_transforms
        return [(branch[0], branch[1]) for branch in branches]
