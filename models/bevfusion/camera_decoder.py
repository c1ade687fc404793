"""The BEV decoder of the camera-only models: residual stages (GeneralizedResNet) and a two-level neck (LSSFPN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.blocks import conv_norm_relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al., CVPR 2016); the shortcut is a 1x1 convolution where the shape
    changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, X, Y] -> [B, outputs, X / stride, Y / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class GeneralizedResNet(nn.ModuleList):
    """Residual stages; blocks: (number, channels, stride of the first) per stage."""

    def __init__(self, in_channels: int, blocks: Sequence[Sequence[int]]):
        super().__init__()
        for number, channels, stride in blocks:
            first = BasicBlock(in_channels, channels, stride)
            self.append(nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(number - 1))))
            in_channels = channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x [B, in_channels, X, Y] -> one map per stage."""
        found = []
        for stage in self:
            x = stage(x)
            found.append(x)
        return tuple(found)


class LSSFPN(nn.Module):
    """Joins the last and the first stage (bilinear, align_corners True), then doubles the size.

    in_channels: of the last and of the first stage · scale_factor: of the final enlargement, 1 for none.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, scale_factor: int = 2):
        super().__init__()
        self.fuse = nn.Sequential(
            *conv_norm_relu(sum(in_channels), out_channels, 1), *conv_norm_relu(out_channels, out_channels, 3)
        )
        self.upsample: nn.Module = nn.Identity()
        if scale_factor > 1:
            enlarge = nn.Upsample(scale_factor=scale_factor, mode="bilinear", align_corners=True)
            self.upsample = nn.Sequential(enlarge, *conv_norm_relu(out_channels, out_channels, 3))

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """stages as GeneralizedResNet returns them -> [B, out_channels, X0 * scale_factor, Y0 * scale_factor]."""
        last = F.interpolate(stages[-1], size=stages[0].shape[2:], mode="bilinear", align_corners=True)
        return self.upsample(self.fuse(torch.cat([last, stages[0]], 1)))
