"""Points to voxels and back, differentiable in the features: numba on the CPU, plain torch elsewhere and on request.

Both are linear in the features, so each one's gradient is its adjoint; coordinates get none (as published). Shapes are
torch's, [B, C, …]; in memory the results have their channels side by side (channels_last_3d for grids).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.pvcnn import kernels
from models.pvcnn.grid import PointGrid

ENGINES = ("auto", "numba", "torch")


def voxelise(features: Tensor, grid: PointGrid, engine: str = "auto") -> Tensor:
    """Means of the points of every voxel: features [B, C, N] -> [B, C, R, R, R], empty voxels 0.

    engine: "numba" (CPU tensors, float32 or float64), "torch" (any device), "auto". ValueError where shapes do not fit.
    """
    b, n = grid.cells.shape
    if features.ndim != 3 or features.shape[0] != b or features.shape[2] != n:
        raise ValueError(f"features have shape {list(features.shape)}: expected [{b}, C, {n}], the clouds' points")
    r, rows = grid.resolution, features.transpose(1, 2)
    if _numba(features, engine):
        flat = _Average.apply(rows, grid)
    else:
        at = grid.cells.long()[:, :, None].expand_as(rows)
        values = rows * grid.share[:, :, None].to(rows)
        flat = rows.new_zeros(b, grid.voxels, rows.shape[2]).scatter_add(1, at, values)
    return flat.reshape(b, r, r, r, -1).permute(0, 4, 1, 2, 3)


def devoxelise(voxels: Tensor, grid: PointGrid, engine: str = "auto") -> Tensor:
    """Trilinear interpolation at the points' unrounded coordinates: voxels [B, C, R, R, R] -> [B, C, N]."""
    r, (b, n) = grid.resolution, grid.cells.shape
    if voxels.ndim != 5 or voxels.shape[0] != b or voxels.shape[2:] != (r, r, r):
        raise ValueError(f"voxels have shape {list(voxels.shape)}: expected [{b}, C, {r}, {r}, {r}]")
    flat = voxels.permute(0, 2, 3, 4, 1).reshape(b, grid.voxels, -1)
    if _numba(voxels, engine):
        return _Interpolate.apply(flat, grid).transpose(1, 2)
    c = flat.shape[2]
    at = grid.corners.long().reshape(b, n * 8, 1).expand(b, n * 8, c)
    rows = (flat.gather(1, at).reshape(b, n, 8, c) * grid.weights[..., None].to(flat)).sum(2)
    return rows.transpose(1, 2)


def _numba(x: Tensor, engine: str) -> bool:
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown; known: {', '.join(ENGINES)}")
    return engine != "torch" and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()


class _Average(torch.autograd.Function):
    """[B, N, C] -> [B, V, C]."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, grid: PointGrid) -> Tensor:
        ctx.grid = grid
        out = rows.new_zeros(len(rows), grid.voxels, rows.shape[2])
        share = _array(grid.share.to(rows))
        given = _array(rows), _array(grid.cells), share, out.numpy()
        kernels.in_parallel(kernels.gather_add, len(rows), rows.numel(), *given)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,), grid = gradients, ctx.grid
        out = gradient.new_empty(*grid.cells.shape, gradient.shape[2])
        share = _array(grid.share.to(gradient))
        given = _array(gradient), _array(grid.cells), share, out.numpy()
        kernels.in_parallel(kernels.take, grid.cells.numel(), out.numel(), *given)
        return out, None


class _Interpolate(torch.autograd.Function):
    """[B, V, C] -> [B, N, C]."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, grid: PointGrid) -> Tensor:
        ctx.grid = grid
        out = flat.new_empty(*grid.cells.shape, flat.shape[2])
        given = _array(flat), _array(grid.corners), _array(grid.weights.to(flat)), out.numpy()
        kernels.in_parallel(kernels.interpolate, grid.cells.numel(), 8 * out.numel(), *given)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,), grid = gradients, ctx.grid
        out = gradient.new_zeros(len(gradient), grid.voxels, gradient.shape[2])
        given = _array(gradient), _array(grid.corners), _array(grid.weights.to(gradient)), out.numpy()
        kernels.in_parallel(kernels.spread, len(gradient), 8 * gradient.numel(), *given)
        return out, None
