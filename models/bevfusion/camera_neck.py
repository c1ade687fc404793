"""GeneralizedLSSFPN: the camera's feature pyramid, top down, by concatenation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.blocks import ConvModule


class GeneralizedLSSFPN(nn.Module):
    """Each level takes the coarser one, resized to its own size (bilinear, align_corners False), beside itself; a 1x1
    and a 3x3 convolution reduce both to `out_channels`. The coarsest level has no output of its own.

    in_channels: of the levels, finest first.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int):
        super().__init__()
        last = len(in_channels) - 2
        above = [in_channels[-1] if i == last else out_channels for i in range(last + 1)]
        self.lateral_convs = nn.ModuleList(
            ConvModule(own + more, out_channels, 1) for own, more in zip(in_channels, above)
        )
        self.fpn_convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3) for _ in above)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """levels: [N, in_channels[i], Hi, Wi], finest first -> [N, out_channels, Hi, Wi] for all but the last."""
        found: list[Tensor] = []
        coarser = levels[-1]
        for i in reversed(range(len(self.lateral_convs))):
            up = F.interpolate(coarser, size=levels[i].shape[2:], mode="bilinear", align_corners=False)
            coarser = self.fpn_convs[i](self.lateral_convs[i](torch.cat([levels[i], up], 1)))
            found.insert(0, coarser)
        return tuple(found)
