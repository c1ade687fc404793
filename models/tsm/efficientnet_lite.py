"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6 (Tan and Le 2019; Liu 2020).

Trained in TensorFlow: SAME padding, batch normalisation with epsilon 1e-3 and momentum 0.99 (0.01 in torch's sense).
"""

from __future__ import annotations

from torch import nn

from models.tsm.inverted_residual import InvertedResidualNet, Row, same_conv
from models.tsm.mobilenetv2 import make_divisible

ROWS = (
    Row(1, 16, 1, 1, 3), Row(6, 24, 2, 2, 3), Row(6, 40, 2, 2, 5), Row(6, 80, 3, 2, 3),
    Row(6, 112, 3, 1, 5), Row(6, 192, 4, 2, 5), Row(6, 320, 1, 1, 3),
)  # fmt: skip
STEM, LAST = 32, 1280


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def efficientnet_lite0(width: float = 1.0, in_channels: int = 3) -> InvertedResidualNet:
    """EfficientNet-Lite0 without its classifier; stem and last convolution keep their channels at every width."""
    rows: tuple[Row, ...] = ROWS
    if width != 1.0:
        rows = tuple(Row(r.expand, make_divisible(r.channels * width), r.blocks, r.stride, r.kernel) for r in ROWS)
    return InvertedResidualNet(rows, STEM, LAST, in_channels, same_conv, _norm)
