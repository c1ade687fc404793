"""bevfusion-lite: cameras and LiDAR in one bird's-eye view, for CPU cores.

    pictures -> CameraLift -> pool ┐
                                   ├ Trunk (fuse, temporal shift, 128 x 128 cells) ┬ decoder, BoxHead
    points   -> PillarEncoder -----┘                                              └ decoder, MapHead

Axes are REP 103's (x forward, y left, z up), origin at the LiDAR. A missing sensor is a map of zeros; the network is
trained with sensors left out. Any number of cameras at any pose: the pool sums them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.bevfusion.lite.depth_bins import DepthBins
from models.bevfusion.lite.lift import CameraLift
from models.bevfusion.lite.pillars import PillarEncoder
from models.bevfusion.lite.trunk import BoxHead, MapHead, Trunk
from models.bevfusion.pool.association import Grid


class LiteOutputs(NamedTuple):
    """boxes [B, outputs, X, Y] (see BoxHead.split) · map: logits [B, classes, X', Y'] · kept [B, C/8, X, Y]: channels
    for the next frame."""

    boxes: Tensor
    map: Tensor
    kept: Tensor


class BevFusionLite(nn.Module):
    """See the module. config: numbers of `lite/fused_build.py` · boxes, maps: numbers of classes."""

    def __init__(self, config: dict[str, Any], boxes: int, maps: int):
        super().__init__()
        edge, pillar, (low, high) = float(config["edge"]), float(config["pillar"]), config["heights"]
        z = (float(low), float(high), float(high) - float(low))
        self.fine = Grid((-edge, edge, pillar), (-edge, edge, pillar), z)
        self.coarse = Grid((-edge, edge, 2 * pillar), (-edge, edge, 2 * pillar), z)
        channels, context = int(config["channels"]), int(config["context"])
        self.lift = CameraLift(int(config["features"]), context, DepthBins(*config["depth_bins"]))
        self.pillars = PillarEncoder(self.fine, int(config["pillar_channels"]))
        self.trunk = Trunk(self.pillars.channels, context, channels)
        self.boxes = BoxHead(channels, boxes)
        scope = [[-edge, edge, 2 * pillar]] * 2
        self.map = MapHead(channels, maps, scope, config["map"])

    @property
    def cells(self) -> tuple[int, int]:
        """Cells of the trunk along x and y."""
        return self.coarse.cells[:2]

    def bev(self, pillars: Tensor, context: Tensor, past: Tensor, has_past: Tensor) -> LiteOutputs:
        """Maps as `Trunk` takes them -> what the heads say."""
        x, kept = self.trunk(pillars, context, past, has_past)
        return LiteOutputs(self.boxes(x), self.map(x), kept)

    def no_context(self, batch: int) -> Tensor:
        """The cameras' map where no camera sees anything, [B, K, X, Y]."""
        return torch.zeros(batch, self.lift.channels, *self.cells)

    def no_past(self, batch: int) -> tuple[Tensor, Tensor]:
        """(past, has_past) of a first frame."""
        return torch.zeros(batch, self.trunk.shifted, *self.cells), torch.zeros(batch, 1, 1, 1)
