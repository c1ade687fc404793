"""MobileNetV2 in the variant and key layout of the released TSM checkpoints (Sandler et al., CVPR 2018)."""

from __future__ import annotations

import math

from torch import nn

from models.tsm.inverted_residual import InvertedResidualNet, Row, plain_conv

ROWS = (
    Row(1, 16, 1, 1), Row(6, 24, 2, 2), Row(6, 32, 3, 2), Row(6, 64, 4, 2),
    Row(6, 96, 3, 1), Row(6, 160, 3, 2), Row(6, 320, 1, 1),
)  # fmt: skip
STEM, LAST = 32, 1280


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounded up to a multiple of `divisor`, the rule of the released networks."""
    return math.ceil(channels / divisor) * divisor


def mobilenet_v2(width: float = 1.0, in_channels: int = 3) -> InvertedResidualNet:
    """MobileNetV2 without its classifier. The stem and the first block keep their channels at every width, the last
    convolution grows with it but does not shrink."""
    rows = tuple(
        r if r.expand == 1 else Row(r.expand, make_divisible(r.channels * width), r.blocks, r.stride) for r in ROWS
    )
    last = make_divisible(LAST * width) if width > 1.0 else LAST
    return InvertedResidualNet(rows, STEM, last, in_channels, plain_conv, nn.BatchNorm2d)
