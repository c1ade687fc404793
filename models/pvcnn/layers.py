"""The layers of PVCNN: shared MLPs on points, and PVConv, a coarse voxel branch beside a fine point branch.

Modules and their keys follow the released code's layout, so that its checkpoints load. Points are [B, C, N].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.pvcnn.grid import Grids
from models.pvcnn.ops import devoxelise, voxelise

VOXEL_NORM_EPS = 1e-4
SLOPE = 0.1


class PointLinear(nn.Conv1d):
    """A 1x1 convolution on points, run as a matrix product over rows of channels (torch's Conv1d is slower on CPUs)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, N] -> [B, C', N], channels side by side in memory."""
        return F.linear(features.transpose(1, 2), self.weight[:, :, 0], self.bias).transpose(1, 2)

    def split(self, before: Tensor | None, features: Tensor, after: Tensor) -> Tensor:
        """What forward gives for cat(before, features, after), where before [B, Ca] and after [B, Cz] are the same at
        all points of a cloud and so are multiplied once a cloud. features [B, C, N] -> [B, C', N]."""
        weight = self.weight[:, :, 0]
        ahead = 0 if before is None else before.shape[1]
        middle = ahead + features.shape[1]
        constant = F.linear(after, weight[:, middle:], self.bias)
        if before is not None:
            constant = constant + F.linear(before, weight[:, :ahead])
        return (F.linear(features.transpose(1, 2), weight[:, ahead:middle]) + constant[:, None]).transpose(1, 2)


class SharedMLP(nn.Module):
    """The same perceptron on every point: [1x1 convolution, batch norm, ReLU] per width. [B, C, N] -> [B, C', N]."""

    def __init__(self, in_channels: int, widths: int | Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for width in [widths] if isinstance(widths, int) else widths:
            layers += [PointLinear(in_channels, width), PointNorm(width), nn.ReLU(True)]
            in_channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class PointNorm(nn.BatchNorm1d):
    """Batch norm of points [B, C, N] whose channels lie side by side in memory: no copy."""

    def forward(self, features: Tensor) -> Tensor:
        rows = features.transpose(1, 2)
        return super().forward(rows.flatten(0, 1)).view(rows.shape).transpose(1, 2)


class GridConv(nn.Conv3d):
    """A dense 3-D convolution in torch's fast kernel for one cloud, too; padded to keep the grid's size at stride 1.

    torch takes oneDNN for batches and a kernel several times slower for a single cloud on one thread."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)

    def forward(self, voxels: Tensor) -> Tensor:
        """[B, C, R, R, R] -> [B, C', R / stride, …]."""
        alone = len(voxels) == 1 and voxels.device.type == "cpu" and voxels.dtype == torch.float32
        if alone and not torch.is_grad_enabled() and torch.backends.mkldnn.is_available():
            pad, step = self.kernel_size[0] // 2, self.stride[0]
            fast: Any = torch.mkldnn_convolution
            return fast(voxels, self.weight, self.bias, [pad] * 3, [step] * 3, [1] * 3, 1)
        return super().forward(voxels)


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
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel size is {kernel_size}: expected an odd one, which keeps the grid's size")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.resolution, self.normalize, self.eps = resolution, normalize, float(eps)
        layers: list[nn.Module] = []
        for inputs in (in_channels, out_channels):
            layers += [
                GridConv(inputs, out_channels, kernel_size),
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
