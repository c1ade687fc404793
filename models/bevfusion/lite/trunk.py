"""The dense part of bevfusion-lite: fusion of both maps, the trunk, the temporal shift, a decoder and head per task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.blocks import conv_norm_relu
from models.bevfusion.map_head import BEVGridTransform, Scope

RARE = -2.19  # bias of heatmaps: a first guess of 10 %
HEADS = {"heatmap": 0, "reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}  # outputs; heatmap: one for each class
SHIFT = 8  # one of so many channels comes from the frame before (TSM, Lin et al., ICCV 2019)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int):
        super().__init__()
        second = conv_norm_relu(channels, channels, 3)[:2]  # ReLU after the sum
        self.body = nn.Sequential(*conv_norm_relu(channels, channels, 3), *second)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y] -> the same shape."""
        return F.relu(x + self.body(x))


class Trunk(nn.Module):
    """Both maps -> fused features at the trunk's cells.

    pillars, context: channels of the LiDAR's map (twice as fine) and of the cameras' map · channels: of the result.
    """

    def __init__(self, pillars: int, context: int, channels: int):
        super().__init__()
        self.shifted = channels // SHIFT
        self.shrink = nn.Sequential(*conv_norm_relu(pillars, channels, 3, stride=2))
        self.fuse = nn.Sequential(*conv_norm_relu(channels + context, channels, 3))
        self.fine = Residual(channels)
        self.down = nn.Sequential(*conv_norm_relu(channels, 2 * channels, 3, stride=2), Residual(2 * channels))
        self.lower = nn.Sequential(*conv_norm_relu(2 * channels, 2 * channels, 3, stride=2), Residual(2 * channels))
        self.up = nn.Sequential(*conv_norm_relu(2 * channels, channels, 1))

    def forward(self, pillars: Tensor, context: Tensor, past: Tensor, has_past: Tensor) -> tuple[Tensor, Tensor]:
        """pillars [B, P, 2X, 2Y], context [B, K, X, Y], past [B, C/8, X, Y]: the shifted channels of the frame before
        in this frame's cells, has_past [B, 1, 1, 1]: 1, or 0 where there is none -> (features [B, C, X, Y], this
        frame's channels for the next one)."""
        x = self.fuse(torch.cat([self.shrink(pillars), context], 1))
        own = x[:, : self.shifted]
        x = torch.cat([past * has_past + own * (1 - has_past), x[:, self.shifted :]], 1)
        fine = self.fine(x)
        half = self.down(fine)
        half = half + F.interpolate(self.lower(half), scale_factor=2.0, mode="nearest")
        return fine + F.interpolate(self.up(half), scale_factor=2.0, mode="nearest"), own


class BoxHead(nn.Module):
    """CenterPoint's head (Yin et al., CVPR 2021) with one task, behind a decoder of its own."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.decoder = nn.Sequential(Residual(channels), *conv_norm_relu(channels, channels, 3))
        self.outputs = tuple(classes if name == "heatmap" else n for name, n in HEADS.items())
        self.branch = nn.Sequential(*conv_norm_relu(channels, channels, 3), nn.Conv2d(channels, sum(self.outputs), 1))
        bias = self.branch[-1].bias
        assert isinstance(bias, nn.Parameter)
        nn.init.constant_(bias[:classes], RARE)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y] -> [B, outputs, X, Y]; see `split`."""
        return self.branch(self.decoder(x))

    def split(self, found: Tensor) -> dict[str, Tensor]:
        """What `forward` gave by name: heatmap (logits), reg (cells from the cell's corner), height (m), dim (log of
        length, width, height in m), rot (sin, cos), vel (m/s)."""
        return dict(zip(HEADS, found.split(self.outputs, 1)))


class MapHead(nn.Module):
    """Map classes on the output's grid, behind a decoder of their own."""

    def __init__(self, channels: int, classes: int, source: Scope, output: Scope):
        super().__init__()
        self.decoder = nn.Sequential(Residual(channels), *conv_norm_relu(channels, channels, 3))
        self.resample = BEVGridTransform(source, output)
        self.classify = nn.Sequential(*conv_norm_relu(channels, channels // 2, 3), nn.Conv2d(channels // 2, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y] -> logits [B, classes, X', Y']."""
        return self.classify(self.resample(self.decoder(x)))
