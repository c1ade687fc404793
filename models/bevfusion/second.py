"""SECOND's 2-D backbone and its FPN: the BEV decoder of every model that has a LiDAR (Yan et al., Sensors 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.bevfusion.blocks import conv_norm_relu, second_norm


class SECOND(nn.Module):
    """Stages of 3x3 convolutions; the first of each stage has its stride.

    in_channels: of the BEV map · out_channels, layer_nums, layer_strides: per stage; `layer_nums` counts the
    convolutions after the first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: Sequence[int] = (128, 256),
        layer_nums: Sequence[int] = (5, 5),
        layer_strides: Sequence[int] = (1, 2),
    ):
        super().__init__()
        self.blocks = nn.ModuleList()
        for channels, layers, stride in zip(out_channels, layer_nums, layer_strides):
            parts = conv_norm_relu(in_channels, channels, 3, stride, norm=second_norm)
            for _ in range(layers):
                parts += conv_norm_relu(channels, channels, 3, norm=second_norm)
            self.blocks.append(nn.Sequential(*parts))
            in_channels = channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x [B, in_channels, X, Y] -> one map per stage, [B, out_channels[i], X / strides, Y / strides]."""
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return tuple(found)


class SECONDFPN(nn.Module):
    """Brings the stages to the first one's size (1x1 convolution for stride 1, transposed convolution of kernel =
    stride otherwise) and concatenates them.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256),
        out_channels: Sequence[int] = (256, 256),
        upsample_strides: Sequence[int] = (1, 2),
    ):
        super().__init__()
        self.deblocks = nn.ModuleList()
        for inputs, outputs, stride in zip(in_channels, out_channels, upsample_strides):
            first: nn.Module = nn.Conv2d(inputs, outputs, 1, bias=False)
            if stride > 1:
                first = nn.ConvTranspose2d(inputs, outputs, stride, stride, bias=False)
            norm = second_norm(outputs)
            self.deblocks.append(nn.Sequential(first, norm, nn.ReLU(inplace=True)))

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """stages as SECOND returns them -> [B, sum(out_channels), X, Y]."""
        return torch.cat([block(x) for block, x in zip(self.deblocks, stages)], 1)
