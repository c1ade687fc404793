"""Sparse operations on tensors. Each one asks `backend` which engine runs it."""

from __future__ import annotations

import torch

from . import backend
from .level import Level
from .offsets import Triple, triple
from .points import PointMap
from .tensor import SparseTensor


def conv3d(
    x: SparseTensor,
    kernel: torch.Tensor,
    kernel_size: int | Triple,
    stride: int | Triple = 1,
    dilation: int | Triple = 1,
    transposed: bool = False,
) -> SparseTensor:
    """Sparse convolution: out[o] = sum_k x[o + offset_k] @ kernel[k] (offsets and their order:
    `offsets.kernel_offsets`).

    kernel: [K, Cin, Cout], K the volume of kernel_size; or [Cin, Cout] for kernel size 1.
    stride 1: the output voxels are the input voxels. Larger: see `Level.down`. transposed: onto the voxels that the
    matching strided convolution came from (`Level.up`). Differentiable in the features and the kernel.
    Raises ValueError where the kernel's shape does not fit.
    """
    size, factor = triple(kernel_size, "kernel_size"), triple(stride, "stride")
    volume = size[0] * size[1] * size[2]
    weight = kernel[None] if kernel.ndim == 2 else kernel
    if weight.ndim != 3 or weight.shape[0] != volume or weight.shape[1] != x.feats.shape[1]:
        raise ValueError(
            f"kernel has shape {tuple(kernel.shape)}: expected [{volume}, {x.feats.shape[1]}, channels out] "
            f"for kernel size {size} on {x.feats.shape[1]} channels"
        )
    if volume == 1 and factor == (1, 1, 1):
        return x.with_feats(x.feats @ weight[0])
    if transposed:
        level, kernel_map = x.level.up(size, factor, dilation)
    elif factor == (1, 1, 1):
        level, kernel_map = x.level, x.level.submanifold(size, dilation)
    else:
        level, kernel_map = x.level.down(size, factor, dilation)
    engine = backend.for_tensor(x.feats)
    if hasattr(engine, "conv3d"):  # torchsparse builds its own maps
        return engine.conv3d(x, weight, level, size, factor, triple(dilation, "dilation"), transposed)
    return SparseTensor(engine.convolve(x.feats, weight, kernel_map), level=level)


def devoxelize(x: SparseTensor, points: PointMap, nearest: bool = False) -> torch.Tensor:
    """Voxel features at points, trilinear over the eight corners around each (or of its own voxel): [P, C].

    points: the map of these points onto x's level (`MapSet.points[stride]` or `map_points`). Differentiable in the
        features.
    """
    if points.voxels != len(x):
        raise ValueError(f"the point map belongs to a level of {points.voxels} voxels, the tensor has {len(x)}")
    voxel, corners, weights = points.tensors(x.feats.device)
    if nearest:
        corners, weights = voxel.clamp(min=0)[:, None], (voxel >= 0)[:, None].float()
    return backend.for_tensor(x.feats).interpolate(x.feats, corners, weights)


def point_to_voxel(feats: torch.Tensor, points: PointMap, level: Level) -> SparseTensor:
    """Mean of the point features [P, C] in each voxel of `level`; points whose voxel does not exist are left out."""
    if points.voxels != len(level) or len(points) != len(feats):
        raise ValueError(
            f"the map holds {len(points)} points on {points.voxels} voxels; "
            f"given {len(feats)} points and {len(level)} voxels"
        )
    voxel = points.tensors(feats.device)[0]
    return SparseTensor(backend.for_tensor(feats).scatter_mean(feats, voxel, len(level)), level=level)
