"""MinkUNet: a sparse residual U-Net over voxels (Choy et al., CVPR 2019, as released with SPVNAS).

Widths c0..c8: stem c0; down stages c1..c4 at strides 2, 4, 8, 16; up stages c5..c8 back to stride 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from models.sparse import BatchNorm, Conv3d, ReLU, SparseTensor
from models.spvcnn.blocks import Layers, Pair, climb, descend, down_stage, point_transform, up_stage


class MinkUNet(nn.Module):
    """Logits per voxel.

    num_classes: outputs · channels: nine widths (see above) · in_channels: input features per voxel · point_branch:
    whether to own the `point_transforms.*` layers that the released MinkUNet checkpoints hold and never use.
    """

    unused_prefixes = ("point_transforms.",)

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        in_channels: int = 4,
        point_branch: bool = True,
        dropout: float = 0.3,
    ):
        super().__init__()
        c = list(channels)
        if len(c) != 9 or min(c) < 1:
            raise ValueError(f"channels is {c}: expected nine positive widths (stem, four down, four up)")
        self.channels, self.num_classes, self.in_channels = tuple(c), num_classes, in_channels
        self.stem = nn.Sequential(
            Conv3d(in_channels, c[0], kernel_size=3),
            BatchNorm(c[0]),
            ReLU(),
            Conv3d(c[0], c[0], kernel_size=3),
            BatchNorm(c[0]),
            ReLU(),
        )
        self.stage1 = down_stage(c[0], c[1])
        self.stage2 = down_stage(c[1], c[2])
        self.stage3 = down_stage(c[2], c[3])
        self.stage4 = down_stage(c[3], c[4])
        self.up1 = up_stage(c[4], c[5], skip=c[3])
        self.up2 = up_stage(c[5], c[6], skip=c[2])
        self.up3 = up_stage(c[6], c[7], skip=c[1])
        self.up4 = up_stage(c[7], c[8], skip=c[0])
        self.classifier = nn.Sequential(nn.Linear(c[8], num_classes))
        if point_branch:
            self.point_transforms = nn.ModuleList(
                [point_transform(c[0], c[4]), point_transform(c[4], c[6]), point_transform(c[6], c[8])]
            )
        self.dropout = nn.Dropout(dropout)

    def down_layers(self) -> list[Layers]:
        """The down stages, each its strided convolution and its residual blocks."""
        stages = (self.stage1, self.stage2, self.stage3, self.stage4)
        return [(stage[0], list(stage)[1:]) for stage in stages]

    def up_layers(self) -> list[Layers]:
        """The up stages, each its transposed convolution and the residual blocks behind the concatenation."""
        stages: Any = (self.up1, self.up2, self.up3, self.up4)
        return [(stage[0], list(stage[1])) for stage in stages]

    def point_layers(self) -> list[Pair]:
        """(linear, batch norm) of the point branch; empty where the network does not use one."""
        return []

    def head(self) -> nn.Linear:
        """The classifier."""
        return self.classifier[0]  # type: ignore[return-value]

    def forward(self, x: SparseTensor) -> torch.Tensor:
        """x: features [N, in_channels] at stride 1 -> logits [N, num_classes], one row per input voxel."""
        skips = [self.stem(x)]
        for layers in self.down_layers():
            skips.append(descend(layers, skips[-1]))
        y = skips.pop()
        for layers in self.up_layers():
            y = climb(layers, y, skips.pop())
        return self.classifier(y.feats)
