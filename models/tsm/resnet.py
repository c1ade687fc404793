"""Residual networks in torchvision's key layout (He et al., CVPR 2016; the stride of a bottleneck is in its 3x3)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from models.tsm.backbone import Backbone, ResidualBlock, Site
from models.tsm.shift import Time, run
from models.tsm.tpool import TemporalPool

DEPTHS: dict[str, tuple[int, ...]] = {
    "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3),
}  # fmt: skip
EVERY_SECOND_FROM = 23  # blocks in layer3 from which only every second block of a stage shifts


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class _Block(ResidualBlock):
    """A residual block: `_branch` beside the identity or its projection."""

    expansion = 1
    conv1: nn.Module

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.in_channels = inputs
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def wrap_branch(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Puts `wrap` around the first layer of the residual branch."""
        self.conv1 = wrap(self.conv1)

    def _branch(self, x: Tensor, time: Time) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        y = self._branch(x, time)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class BasicBlock(_Block):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__(inputs, channels, stride)
        self.conv1 = _conv(inputs, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)

    def _branch(self, x: Tensor, time: Time) -> Tensor:
        y = F.relu(self.bn1(run(self.conv1, x, time)), inplace=True)
        return self.bn2(run(self.conv2, y, time))


class Bottleneck(_Block):
    """1x1, 3x3, 1x1 convolutions (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__(inputs, 4 * channels, stride)
        self.conv1 = _conv(inputs, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = _conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, 4 * channels, 1)
        self.bn3 = nn.BatchNorm2d(4 * channels)

    def _branch(self, x: Tensor, time: Time) -> Tensor:
        y = F.relu(self.bn1(run(self.conv1, x, time)), inplace=True)
        y = F.relu(self.bn2(run(self.conv2, y, time)), inplace=True)
        return self.bn3(self.conv3(y))


class ResNet(Backbone):
    """Stem, four stages of blocks, the mean over the picture."""

    def __init__(self, name: str, width: float = 1.0, in_channels: int = 3):
        super().__init__()
        block = BasicBlock if name in ("resnet18", "resnet34") else Bottleneck
        stem = max(1, round(64 * width))
        self.conv1: nn.Module = nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, layers = stem, []
        for i, count in enumerate(DEPTHS[name]):
            blocks = nn.ModuleList()
            for j in range(count):
                blocks.append(block(channels, stem * 2**i, 2 if i and j == 0 else 1))
                channels = stem * 2**i * block.expansion
            layers.append(blocks)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.feature_channels = tuple(stem * 2**i * block.expansion for i in (1, 2, 3))
        self.feature_dim = channels

    def shift_sites(self) -> list[Site]:
        """(list, position, input stride) of every block that shifts in its branch: all, or every second one in
        networks as deep as ResNet-101."""
        step = 2 if len(self.layer3) >= EVERY_SECOND_FROM else 1
        return [site for site in self.whole_sites() if site[1] % step == 0]

    def whole_sites(self) -> list[Site]:
        """(list, position, input stride) of every block."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        return [
            (layer, j, 4 if i == 0 else 2 ** (i + 1) * (1 if j == 0 else 2))
            for i, layer in enumerate(layers)
            for j in range(len(layer))
        ]

    def stages(self, x: Tensor, time: Time) -> list[Tensor]:
        """Frames [B, C, H, W] -> features at strides 8, 16 and 32."""
        x = self.maxpool(self.relu(self.bn1(run(self.conv1, x, time))))
        found = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            blocks = layer
            if isinstance(layer, TemporalPool):
                x, time = layer.pool(x, time)
                blocks = layer.net
            for block in blocks:
                x = run(block, x, time)
            found.append(x)
        return found[1:]
