"""The layers of PVCNN: shared MLPs on points, and PVConv, a coarse voxel branch beside a fine point branch.

Modules and their keys follow the released code's layout, so that its checkpoints load. Points are [B, C, N].
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.pvcnn.grid import Grids
from models.pvcnn.ops import devoxelise, voxelise

VOXEL_NORM_EPS = 1e-4
SLOPE = 0.1


class SharedMLP(nn.Module):
    """The same perceptron on every point: [1x1 convolution, batch norm, ReLU] per width. [B, C, N] -> [B, C', N]."""

    def __init__(self, in_channels: int, widths: int | Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for width in [widths] if isinstance(widths, int) else widths:
            layers += [nn.Conv1d(in_channels, width, 1), nn.BatchNorm1d(width), nn.ReLU(True)]
            in_channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class SE3d(nn.Module):
    """Squeeze and excitation of a grid: every channel scaled by a gate computed from the means of all channels."""

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, voxels: Tensor) -> Tensor:
        """[B, C, R, R, R] -> the same."""
        gate = self.fc(voxels.mean((2, 3, 4)))
        return voxels * gate[:, :, None, None, None]


class PVConv(nn.Module):
    """Voxel branch (voxelise, two dense 3-D convolutions, devoxelise) plus point branch (shared MLP), summed.

    resolution: voxels along an axis · with_se: squeeze-excitation after the convolutions · normalize, eps: see
    `grid.normalised`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        resolution: int = 32,
        with_se: bool = False,
        normalize: bool = True,
        eps: float = 0.0,
    ):
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.resolution, self.normalize, self.eps = resolution, normalize, float(eps)
        layers: list[nn.Module] = []
        for inputs in (in_channels, out_channels):
            layers += [
                nn.Conv3d(inputs, out_channels, kernel_size, padding=kernel_size // 2),
                nn.BatchNorm3d(out_channels, eps=VOXEL_NORM_EPS),
                nn.LeakyReLU(SLOPE, True),
            ]
        self.voxel_layers = nn.Sequential(*layers, *([SE3d(out_channels)] if with_se else []))
        self.point_features = SharedMLP(in_channels, out_channels)

    def forward(self, features: Tensor, grids: Grids) -> Tensor:
        """features [B, in_channels, N] -> [B, out_channels, N]."""
        grid = grids.at(self.resolution, self.normalize, self.eps)
        voxels = self.voxel_layers(voxelise(features, grid))
        return devoxelise(voxels, grid) + self.point_features(features)
