"""MinkUNet: a sparse residual U-Net over voxels (Choy et al., CVPR 2019, as released with SPVNAS).

Widths c0..c8: stem c0; down stages c1..c4 at strides 2, 4, 8, 16; up stages c5..c8 back to stride 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.sparse import BatchNorm, Conv3d, ReLU, SparseTensor, cat
from models.spvcnn.blocks import down_stage, point_transform, up_stage


class MinkUNet(nn.Module):
    """Logits per voxel.

    num_classes: outputs · channels: nine widths (see above) · in_channels: input features per voxel · point_branch:
    whether to own the `point_transforms.*` layers that the released MinkUNet checkpoints hold and never use.
    """

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

    @staticmethod
    def climb(stage: nn.ModuleList, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
        """One up stage: transposed convolution, concatenation with the skip features, residual blocks."""
        return stage[1](cat([stage[0](x), skip]))

    def forward(self, x: SparseTensor) -> torch.Tensor:
        """x: features [N, in_channels] at stride 1 -> logits [N, num_classes], one row per input voxel."""
        x0 = self.stem(x)
        x1 = self.stage1(x0)
        x2 = self.stage2(x1)
        x3 = self.stage3(x2)
        x4 = self.stage4(x3)
        y = self.climb(self.up1, x4, x3)
        y = self.climb(self.up2, y, x2)
        y = self.climb(self.up3, y, x1)
        y = self.climb(self.up4, y, x0)
        return self.classifier(y.feats)
