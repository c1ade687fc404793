"""Sparse operations in plain torch: autograd, any device, any float type. The reference for the compiled engine, and
the GPU path.

On the CPU a convolution gathers, multiplies and adds offset by offset. On a GPU it is one gather and one matrix
product per block of rows through a table of neighbours (empty entries read a zero row): more arithmetic, but few
kernel launches and no atomic additions, so the result is deterministic in both directions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .kernel_map import KernelMap

BLOCK_BYTES = 256 << 20  # of the gathered rows of one block on a GPU


def _by_pairs(x: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """out[o] = sum over pairs (i, o) of offset k: x[i] @ weight[k]; offset by offset."""
    rows_in, rows_out = kernel_map.rows(x.device)
    out = x.new_zeros(kernel_map.outputs, weight.shape[2])
    for k in range(kernel_map.volume):
        begin, end = int(kernel_map.starts[k]), int(kernel_map.starts[k + 1])
        if k == kernel_map.centre:
            out.addmm_(x, weight[k])
        elif end > begin:
            out.index_add_(0, rows_out[begin:end], x.index_select(0, rows_in[begin:end]) @ weight[k])
    return out


def _by_table(x: torch.Tensor, weight: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The same sum with table int32 [outputs, K] naming the row of x for each offset; len(x) names a row of zeros."""
    volume, channels, width = weight.shape
    padded = torch.cat([x, x.new_zeros(1, channels)])
    out = x.new_empty(len(table), width)
    flat = weight.reshape(volume * channels, width)
    block = max(1, BLOCK_BYTES // max(1, volume * channels * x.element_size()))
    for begin in range(0, len(table), block):
        part = table[begin : begin + block]
        gathered = padded.index_select(0, part.reshape(-1)).view(len(part), volume * channels)
        torch.mm(gathered, flat, out=out[begin : begin + block])
    return out


def _weight_gradient(x: torch.Tensor, grad: torch.Tensor, kernel_map: KernelMap, like: torch.Tensor) -> torch.Tensor:
    """d(loss)/d(weight) [K, Cin, Cout] for features x and output gradient grad."""
    if x.is_cuda:
        table = kernel_map.table(x.device)
        volume, channels = kernel_map.volume, x.shape[1]
        padded = torch.cat([x, x.new_zeros(1, channels)])
        total = like.new_zeros(volume * channels, grad.shape[1], dtype=torch.promote_types(torch.float32, like.dtype))
        block = max(1, BLOCK_BYTES // max(1, volume * channels * x.element_size()))
        for begin in range(0, len(table), block):
            part = table[begin : begin + block]
            gathered = padded.index_select(0, part.reshape(-1)).view(len(part), volume * channels)
            total += gathered.t() @ grad[begin : begin + block]
        return total.view(volume, channels, -1).to(like.dtype)
    rows_in, rows_out = kernel_map.rows(x.device)
    out = torch.zeros_like(like)
    for k in range(kernel_map.volume):
        begin, end = int(kernel_map.starts[k]), int(kernel_map.starts[k + 1])
        if k == kernel_map.centre:
            out[k] = x.t() @ grad
        elif end > begin:
            out[k] = x.index_select(0, rows_in[begin:end]).t() @ grad.index_select(0, rows_out[begin:end])
    return out


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
        ctx.kernel_map = kernel_map
        ctx.save_for_backward(feats, weight)
        if feats.is_cuda:
            return _by_table(feats, weight, kernel_map.table(feats.device))
        return _by_pairs(feats, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        feats, weight = ctx.saved_tensors
        grad = grad.contiguous()
        back, kernel_map = weight.transpose(1, 2), ctx.kernel_map
        grad_feats = grad_weight = None
        if ctx.needs_input_grad[0] and feats.is_cuda:
            grad_feats = _by_table(grad, back.contiguous(), kernel_map.table(feats.device, by_input=True))
        elif ctx.needs_input_grad[0]:
            grad_feats = _by_pairs(grad, back, kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(feats, grad, kernel_map, weight)
        return grad_feats, grad_weight, None


def convolve(feats: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """Sparse convolution [inputs, Cin] x [K, Cin, Cout] -> [outputs, Cout] through a kernel map; differentiable in
    both.

    Under autocast both operands are cast to the autocast type first, as torch.mm does.
    """
    kind = feats.device.type
    if torch.is_autocast_enabled(kind):
        kind_type = torch.get_autocast_dtype(kind)
        feats, weight = feats.to(kind_type), weight.to(kind_type)
    return _Convolution.apply(feats, weight, kernel_map)


class _Interpolation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: torch.Tensor, corners: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(corners, weights)
        ctx.shape = feats.shape
        out = feats.new_zeros(len(corners), feats.shape[1])
        for c in range(corners.shape[1]):
            out += feats.index_select(0, corners[:, c]) * weights[:, c, None].to(feats.dtype)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        corners, weights = ctx.saved_tensors
        out = grad.new_zeros(ctx.shape)
        for c in range(corners.shape[1]):
            out.index_add_(0, corners[:, c], grad * weights[:, c, None].to(grad.dtype))
        return out, None, None


def interpolate(feats: torch.Tensor, corners: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """out[p] = sum_c weights[p, c] * feats[corners[p, c]].

    feats [N, C]; corners int32 [P, 8], 0 where a corner is missing (its weight is 0); weights float32 [P, 8].
    """
    if not len(feats):
        return feats.new_zeros(len(corners), feats.shape[1]) + feats.sum()
    return _Interpolation.apply(feats, corners, weights)


def scatter_mean(feats: torch.Tensor, voxel: torch.Tensor, voxels: int) -> torch.Tensor:
    """Mean of the rows of feats [P, C] that share a voxel: [voxels, C], zeros where none. Points with voxel -1 are
    left out.
    """
    known = voxel >= 0
    target = torch.where(known, voxel, voxel.new_full((), voxels)).long()
    total = feats.new_zeros(voxels + 1, feats.shape[1]).index_add(0, target, feats)[:voxels]
    counts = torch.zeros(voxels + 1, device=feats.device).index_add(0, target, known.float())[:voxels]
    return total / counts.clamp(min=1)[:, None].to(feats.dtype)
