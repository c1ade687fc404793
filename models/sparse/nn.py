"""Sparse layers with the parameter names and shapes of torchsparse, so that released weights load by key."""

from __future__ import annotations

import math

import torch
from torch import nn

from . import functional
from .offsets import Triple, triple
from .tensor import SparseTensor


class Conv3d(nn.Module):
    """Sparse convolution without bias.

    Parameter `kernel`: [K, in, out], or [in, out] for kernel size 1 and stride 1; uniform in +-1/sqrt(in * K) (out *
    K where transposed).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Triple = 3,
        stride: int | Triple = 1,
        dilation: int | Triple = 1,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.transposed = in_channels, out_channels, transposed
        self.kernel_size, self.stride = triple(kernel_size, "kernel_size"), triple(stride, "stride")
        self.dilation = triple(dilation, "dilation")
        volume = math.prod(self.kernel_size)
        flat = volume == 1 and self.stride == (1, 1, 1)
        shape = (in_channels, out_channels) if flat else (volume, in_channels, out_channels)
        bound = 1 / math.sqrt((out_channels if transposed else in_channels) * volume)
        self.kernel = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return functional.conv3d(x, self.kernel, self.kernel_size, self.stride, self.dilation, self.transposed)

    def extra_repr(self) -> str:
        parts = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        return parts + (", transposed=True" if self.transposed else "")


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d over all voxels of a sparse tensor (eps 1e-5, momentum 0.1)."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_feats(super().forward(x.feats))


class ReLU(nn.ReLU):
    """ReLU on the features of a sparse tensor."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_feats(super().forward(x.feats))
