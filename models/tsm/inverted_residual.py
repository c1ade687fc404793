"""Inverted residual networks: MobileNetV2 and EfficientNet-Lite are rows of numbers on one set of blocks.

Keys are those of the released TSM checkpoints: features.0 the stem, then the blocks, the last a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from models.tsm.backbone import Backbone, ResidualBlock, Site
from models.tsm.shift import Time, run


@dataclass(frozen=True)
class Row:
    """One row of a network's table: expand ratio, channels out, blocks, stride of the first, kernel width."""

    expand: int
    channels: int
    blocks: int
    stride: int
    kernel: int = 3


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: output ceil(n / stride), an odd row of padding at bottom and right."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', ceil(H / stride), ceil(W / stride)]."""
        (k, _), (s, _) = self.kernel_size, self.stride
        if s == 1:
            return F.conv2d(x, self.weight, self.bias, 1, k // 2, 1, self.groups)
        return F.conv2d(F.pad(x, same_pads(x, k, s)), self.weight, self.bias, s, 0, 1, self.groups)


def same_pads(x: Tensor, kernel: int, stride: int) -> list[int]:
    """TensorFlow's SAME padding of [N, C, H, W] in the order of F.pad: left, right, top, bottom."""
    pads: list[int] = []
    for n in (int(x.shape[3]), int(x.shape[2])):  # plain numbers in recorded graphs too
        total = max(((n + stride - 1) // stride - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


Conv = Callable[..., nn.Module]
Norm = Callable[[int], nn.Module]


def plain_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution without bias, padded by half its kernel on all sides."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def same_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution without bias, padded as TensorFlow does; plain where padding makes no difference."""
    if stride == 1:
        return plain_conv(inputs, outputs, kernel, 1, groups)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


class InvertedResidual(ResidualBlock):
    """[1x1 expand] -> depthwise -> 1x1 project, ReLU6 between; the input is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, kernel: int, conv: Conv, norm: Norm):
        super().__init__()
        self.in_channels = inputs
        self.residual = stride == 1 and inputs == outputs
        self.expands = expand != 1
        hidden = inputs * expand
        layers: list[nn.Module] = []
        if self.expands:
            layers += [conv(inputs, hidden, 1), norm(hidden), nn.ReLU6(inplace=True)]
        layers += [conv(hidden, hidden, kernel, stride, hidden), norm(hidden), nn.ReLU6(inplace=True)]
        layers += [conv(hidden, outputs, 1), norm(outputs)]
        self.conv = nn.ModuleList(layers)

    def wrap_branch(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Puts `wrap` around the first layer of the residual branch."""
        self.conv[0] = wrap(self.conv[0])

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        y = x
        for layer in self.conv:
            y = run(layer, y, time)
        return x + y if self.residual else y


class InvertedResidualNet(Backbone):
    """Stem, rows of inverted residuals, a last 1x1 convolution, the mean over the picture."""

    features: nn.ModuleList

    def __init__(self, rows: tuple[Row, ...], stem: int, last: int, in_channels: int, conv: Conv, norm: Norm):
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(conv(in_channels, stem, 3, 2), norm(stem), nn.ReLU6(inplace=True))]
        self.strides = [1]  # of each layer's input
        channels, stride, ends = stem, 2, {}
        for row in rows:
            for i in range(row.blocks):
                step = row.stride if i == 0 else 1
                self.strides.append(stride)
                layers.append(InvertedResidual(channels, row.channels, step, row.expand, row.kernel, conv, norm))
                channels, stride = row.channels, stride * step
                ends[stride] = (len(layers) - 1, channels)
        layers.append(nn.Sequential(conv(channels, last, 1), norm(last), nn.ReLU6(inplace=True)))
        self.features = nn.ModuleList(layers)
        self._ends = [ends[s][0] for s in (8, 16, 32)]
        self.feature_channels = tuple(ends[s][1] for s in (8, 16, 32))
        self.feature_dim = last

    def shift_sites(self) -> list[Site]:
        """(list, position, input stride) of every block that may shift: an expansion and an identity."""
        return [
            (self.features, i, self.strides[i])
            for i, block in enumerate(self.features)
            if isinstance(block, InvertedResidual) and block.expands and block.residual
        ]

    def stages(self, x: Tensor, time: Time, first: int = 0) -> list[Tensor]:
        """Frames [B, C, H, W] -> features at strides 8, 16 and 32; with `first`, x is what layer `first` is fed."""
        found = []
        for i in range(first, self._ends[-1] + 1):
            x = run(self.features[i], x, time)
            if i in self._ends:
                found.append(x)
        return found

    def embed(self, last: Tensor) -> Tensor:
        """The last stage's features [B, C, H, W] -> pooled features [B, feature_dim]."""
        return self.features[-1](last).mean((2, 3))
