"""Interval reduction: the sum over each cell's points of depth probability times feature, forward and backward.

Every number of a result is summed by one thread in the order of the association: results are the same bits for any
number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.bevfusion.pool.association import Association, associate
from models.parallel import over_ranges

PARALLEL_FROM = 400_000  # products, below which one thread is faster


@njit(cache=True, nogil=True)
def _sum_cells(depth, feats, at, pixel, cells, starts, out, first, last):
    """out[cells[m], c] = sum over the points p of cell m of depth[at[p]] * feats[pixel[p], c]; first <= m < last."""
    channels = feats.shape[1]
    total = np.empty(channels, np.float32)
    for m in range(first, last):
        total[:] = np.float32(0)
        for p in range(starts[m], starts[m + 1]):
            weight, row = depth[at[p]], feats[pixel[p]]
            for c in range(channels):
                total[c] += weight * row[c]
        out[cells[m]] = total


@njit(cache=True, nogil=True)
def _depth_gradient(grad, feats, at, pixel, cells, starts, out, first, last):
    """out[at[p]] = grad[cell of p] . feats[pixel[p]] for the points of the cells first <= m < last."""
    channels = feats.shape[1]
    for m in range(first, last):
        g = grad[cells[m]]
        for p in range(starts[m], starts[m + 1]):
            row, total = feats[pixel[p]], np.float32(0)
            for c in range(channels):
                total += g[c] * row[c]
            out[at[p]] = total


@njit(cache=True, nogil=True)
def _feature_gradient(grad, depth, at, cell, order, starts, out, first, last):
    """out[i, c] = sum over the points p of pixel i of depth[at[p]] * grad[cell[p], c]; first <= i < last."""
    channels = grad.shape[1]
    for i in range(first, last):
        row = out[i]
        for n in range(starts[i], starts[i + 1]):
            p = order[n]
            weight, g = depth[at[p]], grad[cell[p]]
            for c in range(channels):
                row[c] += weight * g[c]


def _edges(starts: NDArray[np.int64], channels: int, threads: int) -> list[int]:
    """Ranges of intervals that hold about equally many points each."""
    points, count = int(starts[-1] - starts[0]), len(starts) - 1
    if points * channels < PARALLEL_FROM or threads < 2:
        return [0, count]
    inner = np.searchsorted(starts, [points * i // threads for i in range(1, threads)]).tolist()
    return [0, *inner, count]


def _run(kernel: Any, starts: NDArray[np.int64], channels: int, threads: int | None, *arrays: Any) -> None:
    over_ranges(kernel, _edges(starts, channels, threads or torch.get_num_threads()), *arrays)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, depth: Tensor, feats: Tensor, association: Association, threads: int | None) -> Tensor:
        ctx.association, ctx.threads = association, threads
        ctx.save_for_backward(depth, feats)
        out = np.zeros((int(np.prod(association.shape)), feats.shape[1]), np.float32)
        sum_cells(_numpy(depth), _numpy(feats), association, out, threads)
        return torch.from_numpy(out).to(feats.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        a: Association = ctx.association
        depth, feats = (_numpy(t) for t in ctx.saved_tensors)
        g, channels = _numpy(grad), feats.shape[1]
        to_depth = to_feats = None
        if ctx.needs_input_grad[0]:
            found = np.zeros(len(depth), np.float32)
            _run(_depth_gradient, a.starts, channels, ctx.threads, g, feats, a.depth, a.pixel, a.cells, a.starts, found)
            to_depth = torch.from_numpy(found).to(grad.device)
        if ctx.needs_input_grad[1]:
            found = np.zeros(feats.shape, np.float32)
            order, starts = a.by_pixel()
            cell = a.cell_of_point()
            _run(_feature_gradient, starts, channels, ctx.threads, g, depth, a.depth, cell, order, starts, found)
            to_feats = torch.from_numpy(found).to(grad.device)
        return to_depth, to_feats, None, None


def sum_cells(
    depth: NDArray[np.float32],
    feats: NDArray[np.float32],
    association: Association,
    out: NDArray[np.float32],
    threads: int | None = None,
) -> None:
    """The forward pass on arrays: writes the rows of `out` float32 [B * X * Y * Z, C] that hold points; the others are
    left as they are. depth float32 [depths], feats float32 [pixels, C]; threads None: torch's number.
    """
    a = association
    if depth.shape != (a.depths,) or feats.ndim != 2 or len(feats) < a.pixels:
        raise ValueError(
            f"depth has shape {depth.shape} and features {feats.shape}: the association was made for "
            f"[{a.depths}] and [{a.pixels}, channels]"
        )
    _run(_sum_cells, a.starts, feats.shape[1], threads, depth, feats, a.depth, a.pixel, a.cells, a.starts, out)


def bev_pool(depth: Tensor, feats: Tensor, association: Association, threads: int | None = None) -> Tensor:
    """Pools image features into the BEV grid; differentiable in both arguments.

    depth: probabilities [depths], any shape of that many elements · feats: [pixels, C] · threads: None is torch's
    number; never changes a bit of the result.
    Returns [B, Z * C, X, Y] float32 (channel index z * C + c), in memory channels last.
    """
    batch, x, y, z = association.shape
    out: Tensor = _Pool.apply(depth.reshape(-1), feats, association, threads)
    return out.view(batch, x, y, z * feats.shape[1]).permute(0, 3, 1, 2)


def pool_points(feats: Tensor, coords: Tensor, batch: int, depth: int, height: int, width: int) -> Tensor:
    """Sum of the features that share a cell (the official `bev_pool` operation); differentiable in `feats`.

    feats: [P, C] · coords: integer [P, 4], columns x < height, y < width, z < depth, batch; rows outside are left out.
    Returns [batch, C, depth, height, width] float32.
    """
    places = coords.cpu().numpy()
    association = associate(places[:, :3], places[:, 3], (batch, height, width, depth))
    out: Tensor = _Pool.apply(torch.ones(len(feats)), feats, association, None)
    return out.view(batch, height, width, depth, -1).permute(0, 4, 3, 1, 2)
