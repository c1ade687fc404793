"""The voxel-only counterpart: a dense 3-D U-Net whose points see nothing but their voxels (Çiçek et al., MICCAI 2016).

Points are averaged into the same grid as PVCNN's and the last grid is interpolated back at them; there is no point
branch, so two points of one voxel differ by their place between its neighbours only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.pvcnn.grid import check_coords, point_grid
from models.pvcnn.layers import SLOPE, VOXEL_NORM_EPS, GridConv, PointLinear, SharedMLP
from models.pvcnn.ops import devoxelise, voxelise


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        GridConv(inputs, outputs, 3, stride),
        nn.BatchNorm3d(outputs, eps=VOXEL_NORM_EPS),
        nn.LeakyReLU(SLOPE, True),
    )


class VoxelUNet(nn.Module):
    """width: channels at full resolution, doubled at every halving (two of them) · resolution: voxels along an axis, a
    multiple of 4 · head: channels of the perceptron behind the interpolation · normalize: see `grid.normalised`."""

    def __init__(
        self,
        num_classes: int,
        extra_feature_channels: int,
        width: int = 12,
        resolution: int = 32,
        head: int = 64,
        normalize: bool = True,
    ):
        super().__init__()
        if resolution % 4 or resolution < 4 or width < 1:
            raise ValueError(f"resolution {resolution}, width {width}: expected a multiple of 4, and 1 or more")
        self.in_channels, self.num_classes = 3 + extra_feature_channels, num_classes
        self.resolution, self.normalize = resolution, normalize
        c = width
        self.fine = nn.Sequential(_conv(self.in_channels, c), _conv(c, c))
        self.middle = nn.Sequential(_conv(c, 2 * c, 2), _conv(2 * c, 2 * c))
        self.coarse = nn.Sequential(_conv(2 * c, 4 * c, 2), _conv(4 * c, 4 * c))
        self.up_middle = nn.ConvTranspose3d(4 * c, 2 * c, 2, stride=2)
        self.out_middle = _conv(4 * c, 2 * c)
        self.up_fine = nn.ConvTranspose3d(2 * c, c, 2, stride=2)
        self.out_fine = _conv(2 * c, c)
        self.classifier = nn.Sequential(SharedMLP(c, head), PointLinear(head, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [B, 3 + extra, N]: x, y, z and features -> logits [B, num_classes, N]."""
        if inputs.ndim != 3 or inputs.shape[1] != self.in_channels:
            raise ValueError(f"points have shape {list(inputs.shape)}: expected [clouds, {self.in_channels}, points]")
        check_coords(inputs[:, :3])
        grid = point_grid(inputs[:, :3], self.resolution, self.normalize)
        fine = self.fine(voxelise(inputs, grid))
        middle = self.middle(fine)
        found = self.coarse(middle)
        found = self.out_middle(torch.cat((self.up_middle(found), middle), 1))
        found = self.out_fine(torch.cat((self.up_fine(found), fine), 1))
        return self.classifier(devoxelise(found, grid))
