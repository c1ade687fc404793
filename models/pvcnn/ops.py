"""Points to voxels and back, differentiable in the features: numba on the CPU, plain torch elsewhere and on request.

Both are linear in the features, so each one's gradient is its adjoint; coordinates get none (as published).
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

    engine: "numba" (CPU tensors, float32 or float64), "torch" (any device, autograd), "auto". ValueError where the
    shapes do not fit."""
    check_features(features, grid)
    r = grid.resolution
    if _numba(features, engine):
        flat = _Average.apply(features, grid)
    else:
        b, c, n = features.shape
        at = grid.cells.long()[:, None].expand(b, c, n)
        flat = features.new_zeros(b, c, grid.voxels).scatter_add(2, at, features * grid.share[:, None].to(features))
    return flat.reshape(*features.shape[:2], r, r, r)


def devoxelise(voxels: Tensor, grid: PointGrid, engine: str = "auto") -> Tensor:
    """Trilinear interpolation at the points' unrounded coordinates: voxels [B, C, R, R, R] -> [B, C, N]."""
    r = grid.resolution
    if voxels.ndim != 5 or voxels.shape[0] != len(grid.cells) or voxels.shape[2:] != (r, r, r):
        raise ValueError(f"voxels have shape {list(voxels.shape)}: expected [{len(grid.cells)}, C, {r}, {r}, {r}]")
    flat = voxels.flatten(2)
    if _numba(voxels, engine):
        return _Interpolate.apply(flat, grid)
    b, c, _ = flat.shape
    n = grid.cells.shape[1]
    at = grid.corners.long().reshape(b, 1, n * 8).expand(b, c, n * 8)
    return (flat.gather(2, at).reshape(b, c, n, 8) * grid.weights[:, None].to(flat)).sum(3)


def check_features(features: Tensor, grid: PointGrid) -> None:
    """ValueError unless features is [B, C, N] of the grid's clouds."""
    b, n = grid.cells.shape
    if features.ndim != 3 or features.shape[0] != b or features.shape[2] != n:
        raise ValueError(f"features have shape {list(features.shape)}: expected [{b}, C, {n}], the clouds' points")


def _numba(x: Tensor, engine: str) -> bool:
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown; known: {', '.join(ENGINES)}")
    return engine != "torch" and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _rows(x: Tensor) -> Any:
    """[B, C, X] as a contiguous array [B * C, X]."""
    return x.detach().contiguous().reshape(-1, x.shape[2]).numpy()


def _per_point(x: Tensor, like: Tensor) -> Any:
    return x.to(like.dtype).numpy()


class _Average(torch.autograd.Function):
    """[B, C, N] -> [B, C, V]."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, grid: PointGrid) -> Tensor:
        ctx.grid = grid
        b, c, n = features.shape
        out = torch.zeros(b, c, grid.voxels, dtype=features.dtype)
        kernels.over_rows(
            kernels.gather_add,
            b * c,
            n,
            _rows(features),
            grid.cells.numpy(),
            _per_point(grid.share, features),
            c,
            out=_rows(out),
        )
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,), grid = gradients, ctx.grid
        b, c, _ = gradient.shape
        n = grid.cells.shape[1]
        out = torch.empty(b, c, n, dtype=gradient.dtype)
        share = _per_point(grid.share, gradient)
        kernels.over_rows(kernels.take, b * c, n, _rows(gradient), grid.cells.numpy(), share, c, out=_rows(out))
        return out, None


class _Interpolate(torch.autograd.Function):
    """[B, C, V] -> [B, C, N]."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, grid: PointGrid) -> Tensor:
        ctx.grid = grid
        b, c, _ = flat.shape
        n = grid.cells.shape[1]
        out = torch.empty(b, c, n, dtype=flat.dtype)
        weights = _per_point(grid.weights, flat)
        kernels.over_rows(
            kernels.interpolate, b * c, 8 * n, _rows(flat), grid.corners.numpy(), weights, c, out=_rows(out)
        )
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,), grid = gradients, ctx.grid
        b, c, n = gradient.shape
        out = torch.zeros(b, c, grid.voxels, dtype=gradient.dtype)
        weights = _per_point(grid.weights, gradient)
        kernels.over_rows(
            kernels.spread, b * c, 8 * n, _rows(gradient), grid.corners.numpy(), weights, c, out=_rows(out)
        )
        return out, None
