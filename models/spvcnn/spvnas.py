"""SPVNAS: one sub-network of the super network as a plain network, with the state-dict keys of the released ones
(`downsample.0.feature.0.net.0.net.conv.kernel`, …, after the super network's choices were made for good).

Its layers are SPVCNN's; every width is its own, a stage has one or two residual blocks, and a stage's first block
always has a convolution on its shortcut.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from models.sparse import BatchNorm, Conv3d, ReLU, SparseTensor
from models.spvcnn.blocks import Layers, Pair
from models.spvcnn.point_voxel import PointVoxelNetwork
from models.spvcnn.subnet import Subnet


class Convolution(nn.Module):
    """Convolution, batch norm and, where `relu`, ReLU: `net.conv`, `net.bn`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int = 3,
        stride: int = 1,
        transposed: bool = False,
        relu: bool = True,
    ):
        super().__init__()
        conv = Conv3d(inputs, outputs, kernel_size=kernel_size, stride=stride, transposed=transposed)
        layers: list[tuple[str, nn.Module]] = [("conv", conv), ("bn", BatchNorm(outputs))]
        self.net = nn.Sequential(OrderedDict(layers + [("act", ReLU())] * relu))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self.net(x)

    def pair(self) -> Pair:
        """(convolution, batch norm)."""
        return self.net[0], self.net[1]


class Residual(nn.Module):
    """relu(conv BN ReLU conv BN (x) + shortcut(x)); a 1 x 1 x 1 convolution and BN on the shortcut of a first block."""

    def __init__(self, inputs: int, middle: int, outputs: int, first: bool):
        super().__init__()
        self.net = nn.Sequential(Convolution(inputs, middle), Convolution(middle, outputs, relu=False))
        self.downsample: nn.Module = Convolution(inputs, outputs, 1, relu=False) if first else nn.Identity()

    def forward(self, x: SparseTensor) -> SparseTensor:
        out = self.net(x)
        return out.with_feats(torch.relu(out.feats + self.downsample(x).feats))

    def pairs(self) -> tuple[Pair, Pair, Pair | None]:
        """(convolution, batch norm) of both convolutions and of the shortcut, None where that is the identity."""
        net: Any = self.net
        shortcut = self.downsample.pair() if isinstance(self.downsample, Convolution) else None
        return net[0].pair(), net[1].pair(), shortcut


class _Stage(nn.Module):
    """`transition`, then `feature`: one or two residual blocks."""

    def __init__(self, transition: Convolution, blocks: list[Residual]):
        super().__init__()
        self.transition, self.feature = transition, nn.Sequential(*blocks)


class _PointTransform(nn.Module):
    """Linear, batch norm, ReLU: `net.conv`, `net.bn`."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        layers = [("conv", nn.Linear(inputs, outputs)), ("bn", nn.BatchNorm1d(outputs)), ("act", nn.ReLU())]
        self.net = nn.Sequential(OrderedDict(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class _Classifier(nn.Module):
    """`linear`."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class SPVNAS(PointVoxelNetwork):
    """Logits per point.

    num_classes: outputs · channels, transitions, middles: the sub-network, see Subnet.from_numbers · in_channels:
    input features per voxel · pres, vres: see PointVoxelNetwork. Raises ModelError for numbers that make no network.
    """

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        transitions: Sequence[int],
        middles: Sequence[Sequence[int]],
        in_channels: int = 4,
        pres: float = 0.05,
        vres: float = 0.05,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.subnet = subnet = Subnet.from_numbers(channels, transitions, middles)
        self.num_classes, self.in_channels, self.pres, self.vres = num_classes, in_channels, pres, vres
        c = self.channels = subnet.channels
        self.stem = stem(in_channels, c[0])
        stages, width = [], c[0]
        for i, stage in enumerate(subnet.stages):
            transition = Convolution(width, stage.transition, 2, stride=2, transposed=i >= 4)
            inputs, blocks = subnet.inputs(i), []
            for j, middle in enumerate(stage.middles):
                blocks.append(Residual(inputs, middle, stage.outputs, first=j == 0))
                inputs = stage.outputs
            stages.append(_Stage(transition, blocks))
            width = stage.outputs
        self.downsample, self.upsample = nn.ModuleList(stages[:4]), nn.ModuleList(stages[4:])
        branches = [_PointTransform(a, b) for a, b in ((c[0], c[4]), (c[4], c[6]), (c[6], c[8]))]
        self.point_transforms = nn.ModuleList(branches)
        self.classifier = _Classifier(c[8], num_classes)
        self.dropout = nn.Dropout(dropout)

    def down_layers(self) -> list[Layers]:
        """See PointVoxelNetwork."""
        stages: Any = self.downsample
        return [(stage.transition, list(stage.feature)) for stage in stages]

    def up_layers(self) -> list[Layers]:
        """See PointVoxelNetwork."""
        stages: Any = self.upsample
        return [(stage.transition, list(stage.feature)) for stage in stages]

    def point_layers(self) -> list[Pair]:
        """(linear, batch norm) of the three layers of the point branch."""
        branches: Any = self.point_transforms
        return [(branch.net[0], branch.net[1]) for branch in branches]

    def head(self) -> nn.Linear:
        """The classifier's linear layer."""
        classifier: Any = self.classifier
        return classifier.linear


def stem(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions at full resolution."""
    return nn.Sequential(
        Conv3d(inputs, outputs, kernel_size=3),
        BatchNorm(outputs),
        ReLU(),
        Conv3d(outputs, outputs, kernel_size=3),
        BatchNorm(outputs),
        ReLU(),
    )
