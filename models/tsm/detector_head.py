"""Neck and head of the video detector: a small feature pyramid and separable convolutions on its levels.

Pyramid: T.-Y. Lin et al., "Feature Pyramid Networks", CVPR 2017. Head: anchor-free, one prediction a place (Z. Tian et
al., "FCOS", ICCV 2019), its weights shared by the levels while each level keeps batch norms of its own (C. Lyu et al.,
"RTMDet", 2022). A place's box is coded by its centre's offset and its size: ((cx - px) / s, (cy - py) / s, log(w / s),
log(h / s)) for the place (px, py) of a level with stride s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_SCORE = 0.01  # what an untrained head says everywhere (T.-Y. Lin et al., focal loss, ICCV 2017, section 4.1)
LONGEST = 6.0  # largest log(w / s) that is decoded: exp of a wild value would be infinite


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1, batch norm, ReLU6; `levels` norms of which the caller picks one."""

    def __init__(self, channels: int, levels: int = 1):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, momentum=0.03) for _ in range(levels))
        nn.init.kaiming_normal_(self.depthwise.weight, mode="fan_in", nonlinearity="linear")
        nn.init.kaiming_normal_(self.pointwise.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        """float [B, C, H, W] -> the same shape."""
        return F.relu6(self.norms[level](self.pointwise(self.depthwise(x))))


class Pyramid(nn.Module):
    """Features of strides 8, 16, 32 (any channels) to as many of `width` channels, coarse added to fine."""

    def __init__(self, channels: Sequence[int], width: int):
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width, momentum=0.03)) for c in channels
        )
        self.smooth = nn.ModuleList(Separable(width) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """[B, C_l, H_l, W_l] fine to coarse -> [B, width, H_l, W_l]."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features)]
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[-2:], mode="nearest")
        return [smooth(x) for smooth, x in zip(self.smooth, levels)]


class DenseHead(nn.Module):
    """Class scores (before the sigmoid) and box codes of every place of every level."""

    def __init__(self, width: int, classes: int, levels: int = 3, depth: int = 2):
        super().__init__()
        self.scores = nn.ModuleList(Separable(width, levels) for _ in range(depth))
        self.boxes = nn.ModuleList(Separable(width, levels) for _ in range(depth))
        self.score = nn.Conv2d(width, classes, 1)
        self.code = nn.Conv2d(width, 4, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.code.weight, std=0.01)
        self.score.bias = nn.Parameter(torch.full((classes,), math.log(FIRST_SCORE / (1 - FIRST_SCORE))))
        # first guess: a box of three strides around the place
        self.code.bias = nn.Parameter(torch.tensor([0.0, 0.0, math.log(3.0), math.log(3.0)]))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """[B, width, H_l, W_l] -> logits [B, A, K], codes [B, A, 4]; places level by level, row by row."""
        logits, codes = [], []
        for i, x in enumerate(levels):
            a = b = x
            for score_layer, box_layer in zip(self.scores, self.boxes):
                a, b = score_layer(a, i), box_layer(b, i)
            logits.append(self.score(a).flatten(2).transpose(1, 2))  # [B, H*W, K]
            codes.append(self.code(b).flatten(2).transpose(1, 2))  # [B, H*W, 4]
        return torch.cat(logits, 1), torch.cat(codes, 1)


def places(height: int, width: int, strides: Sequence[int]) -> Tensor:
    """float32 [A, 3]: (px, py, stride) of every place of a picture of height x width px, in the head's order."""
    rows = []
    for s in strides:
        y, x = torch.meshgrid(
            torch.arange(-(-height // s), dtype=torch.float32),
            torch.arange(-(-width // s), dtype=torch.float32),
            indexing="ij",
        )
        rows.append(torch.stack([(x + 0.5) * s, (y + 0.5) * s, torch.full_like(x, s)], -1).reshape(-1, 3))
    return torch.cat(rows)


def decode(codes: Tensor, where: Tensor) -> Tensor:
    """Box codes [..., A, 4] at places [A, 3] -> boxes x1, y1, x2, y2 px [..., A, 4]."""
    stride = where[:, 2:]
    centre = where[:, :2] + codes[..., :2] * stride
    half = codes[..., 2:].clamp(max=LONGEST).exp() * (stride * 0.5)
    return torch.cat([centre - half, centre + half], -1)
