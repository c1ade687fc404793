"""The blocks of MinkUNet and SPVCNN (Tang et al., ECCV 2020), with the official state-dict keys.

Sparse tensors in, sparse tensors out; a `kernel` is [27 or 8, Cin, Cout], or [Cin, Cout] for a 1 x 1 x 1 convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from models.sparse import BatchNorm, Conv3d, ReLU, SparseTensor, cat

Pair = tuple[nn.Module, nn.Module]  # a convolution or linear layer and its batch norm
Layers = tuple[Any, list[Any]]  # a strided or transposed convolution block, and residual blocks


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU: `net.0`, `net.1`."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, transposed: bool = False):
        super().__init__()
        conv = Conv3d(inputs, outputs, kernel_size=kernel_size, stride=stride, transposed=transposed)
        self.net = nn.Sequential(conv, BatchNorm(outputs), ReLU())

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self.net(x)

    def pair(self) -> Pair:
        """(convolution, batch norm)."""
        return self.net[0], self.net[1]


class ResidualBlock(nn.Module):
    """relu(conv3 BN ReLU conv3 BN (x) + x), with a 1 x 1 x 1 convolution and BN on the shortcut where widths differ."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.net = nn.Sequential(
            Conv3d(inputs, outputs, kernel_size=3),
            BatchNorm(outputs),
            ReLU(),
            Conv3d(outputs, outputs, kernel_size=3),
            BatchNorm(outputs),
        )
        same = inputs == outputs
        self.downsample = (
            nn.Identity() if same else nn.Sequential(Conv3d(inputs, outputs, kernel_size=1), BatchNorm(outputs))
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        out = self.net(x)
        return out.with_feats(torch.relu(out.feats + self.downsample(x).feats))

    def pairs(self) -> tuple[Pair, Pair, Pair | None]:
        """(convolution, batch norm) of both convolutions and of the shortcut, None where that is the identity."""
        shortcut = None if isinstance(self.downsample, nn.Identity) else (self.downsample[0], self.downsample[1])
        return (self.net[0], self.net[1]), (self.net[3], self.net[4]), shortcut


def down_stage(inputs: int, outputs: int) -> nn.Sequential:
    """Halves the resolution, then two residual blocks."""
    return nn.Sequential(
        ConvBlock(inputs, inputs, kernel_size=2, stride=2),
        ResidualBlock(inputs, outputs),
        ResidualBlock(outputs, outputs),
    )


def up_stage(inputs: int, outputs: int, skip: int) -> nn.ModuleList:
    """Doubles the resolution; after concatenation with the skip features, two residual blocks."""
    blocks = nn.Sequential(ResidualBlock(outputs + skip, outputs), ResidualBlock(outputs, outputs))
    return nn.ModuleList([ConvBlock(inputs, outputs, kernel_size=2, stride=2, transposed=True), blocks])


def point_transform(inputs: int, outputs: int) -> nn.Sequential:
    """A layer of the point branch: linear, batch norm, ReLU on [points, channels]."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU())


def descend(layers: Layers, x: SparseTensor) -> SparseTensor:
    """One down stage: strided convolution, residual blocks."""
    transition, blocks = layers
    x = transition(x)
    for block in blocks:
        x = block(x)
    return x


def climb(layers: Layers, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
    """One up stage: transposed convolution, concatenation with the skip features, residual blocks."""
    transition, blocks = layers
    x = cat([transition(x), skip])
    for block in blocks:
        x = block(x)
    return x
