"""BEV map segmentation: resampling from the decoder's grid to the map's grid, then a small classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.blocks import conv_norm_relu

Scope = Sequence[Sequence[float]]  # ((x from, to, cell), (y from, to, cell)), m


def cell_centres(scope: Scope) -> tuple[Tensor, Tensor]:
    """Centres of a grid's cells along x and y, m, float32."""
    x, y = (torch.arange(low + cell / 2, high, cell) for low, high, cell in scope)
    return x, y


class BEVGridTransform(nn.Module):
    """Bilinear resampling of a BEV map (align_corners False); places outside the input's range read zeros.

    input_scope, output_scope: the two grids, see Scope; the input's cell size follows from the map itself.
    """

    grid: Tensor

    def __init__(self, input_scope: Scope, output_scope: Scope):
        super().__init__()
        normalised = []
        for centres, (low, high, _) in zip(cell_centres(output_scope), input_scope):
            normalised.append((centres - low) / (high - low) * 2 - 1)
        x, y = torch.meshgrid(*normalised, indexing="ij")
        # grid_sample's last axis is (column, row), and here rows are x and columns are y
        self.register_buffer("grid", torch.stack([y, x], -1)[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y] on the input's grid -> [B, C, X', Y'] on the output's grid."""
        return F.grid_sample(x, self.grid.expand(len(x), -1, -1, -1), mode="bilinear", align_corners=False)


class BEVSegmentationHead(nn.Module):
    """Probabilities of map classes, each on its own (they overlap: a crossing lies on drivable area)."""

    def __init__(self, in_channels: int, input_scope: Scope, output_scope: Scope, classes: int):
        super().__init__()
        self.transform = BEVGridTransform(input_scope, output_scope)
        self.classifier = nn.Sequential(
            *conv_norm_relu(in_channels, in_channels, 3),
            *conv_norm_relu(in_channels, in_channels, 3),
            nn.Conv2d(in_channels, classes, 1),
        )

    def logits(self, x: Tensor) -> Tensor:
        """x [B, in_channels, X, Y] of the decoder -> [B, classes, X', Y'] before the sigmoid."""
        return self.classifier(self.transform(x))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, in_channels, X, Y] of the decoder -> probabilities [B, classes, X', Y'], rows x, columns y."""
        return self.logits(x).sigmoid()


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean sigmoid focal loss without class weights (Lin et al., ICCV 2017), as the official map heads are trained.

    logits, target: the same shape; target 0 or 1. The official loss is this mean per class, summed over the classes.
    """
    target = target.to(logits.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    right = p * target + (1 - p) * (1 - target)
    return (cross_entropy * (1 - right) ** gamma).mean()
