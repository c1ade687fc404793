"""The compiled engine under autograd: float32 on the CPU, forward and backward. Same functions as `torch_backend`.

Results do not depend on the number of threads (`native.threads`): every sum runs in one fixed order.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from . import native
from .kernel_map import KernelMap

PANEL = native.PANEL


def _library() -> ctypes.CDLL:
    loaded = native.library()
    if loaded is None:
        raise RuntimeError(f"the compiled sparse engine is not there: {native.absence()}")
    return loaded


def _padded(x: torch.Tensor, columns: int) -> torch.Tensor:
    """x [..., C] contiguous, zero columns added up to `columns`."""
    extra = columns - x.shape[-1]
    return torch.nn.functional.pad(x, (0, extra)) if extra else x.contiguous()


def _width(channels: int) -> int:
    return -(-channels // PANEL) * PANEL


def _run(x: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """[inputs, Cin] x [K, Cin, Cout] -> [outputs, Cout], no autograd."""
    volume, channels, outputs = weight.shape
    width = _width(outputs)
    x = x.contiguous()
    packed = _padded(weight, width).view(volume, channels, width // PANEL, PANEL).transpose(1, 2).contiguous()
    out = torch.empty(kernel_map.outputs, width)
    term = native.Term(
        rows=x.data_ptr(),
        stride=channels,
        rows_in=native.address(kernel_map.pairs[0]),
        rows_out=native.address(kernel_map.pairs[1]),
        starts=native.address(kernel_map.starts),
        weights=packed.data_ptr(),
        volume=volume,
        channels=channels,
    )
    job = native.Convolution(
        terms=ctypes.addressof(term),
        terms_count=1,
        outputs=kernel_map.outputs,
        width=width,
        out=out.data_ptr(),
        out_stride=width,
        level=native.level(),
        threads=native.threads(),
    )
    if _library().sparse_convolve(ctypes.byref(job)):
        raise MemoryError("sparse convolution: no memory for its tiles")
    return out if width == outputs else out[:, :outputs].contiguous()


def _weight_gradient(x: torch.Tensor, grad: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    channels, outputs = x.shape[1], grad.shape[1]
    width = _width(outputs)
    x, grad = x.contiguous(), _padded(grad, width)
    out = torch.zeros(kernel_map.volume, channels, width)
    failed = _library().sparse_weight_gradient(
        x.data_ptr(),
        channels,
        grad.data_ptr(),
        width,
        native.address(kernel_map.pairs[0]),
        native.address(kernel_map.pairs[1]),
        native.address(kernel_map.starts),
        kernel_map.volume,
        channels,
        width,
        out.data_ptr(),
        native.level(),
        native.threads(),
    )
    if failed:
        raise MemoryError("sparse convolution: no memory for the gradient of its weights")
    return out if width == outputs else out[:, :, :outputs].contiguous()


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
        ctx.kernel_map = kernel_map
        ctx.save_for_backward(feats, weight)
        return _run(feats, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        feats, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad_feats = grad_weight = None
        if ctx.needs_input_grad[0]:
            # A submanifold map is its own transpose with the offsets in reverse order.
            own = kernel_map.centre >= 0
            back = (weight.flip(0) if own else weight).transpose(1, 2)
            grad_feats = _run(grad, back, kernel_map if own else kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(feats, grad, kernel_map)
        return grad_feats, grad_weight, None


def convolve(feats: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """Sparse convolution [inputs, Cin] x [K, Cin, Cout] -> [outputs, Cout] through a kernel map; differentiable in
    both.
    """
    return _Convolution.apply(feats, weight.to(feats.dtype), kernel_map)


class _Interpolation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: torch.Tensor, corners: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(corners, weights)
        ctx.shape = feats.shape
        width = _width(feats.shape[1])
        rows, out = _padded(feats, width), torch.empty(len(corners), width)
        _library().sparse_interpolate(
            0,
            rows.data_ptr(),
            None,
            width,
            corners.data_ptr(),
            weights.data_ptr(),
            len(corners),
            width,
            out.data_ptr(),
            width,
            0,
            native.level(),
            native.threads(),
        )
        return out if width == feats.shape[1] else out[:, : feats.shape[1]].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        corners, weights = ctx.saved_tensors
        grad, out = grad.contiguous(), torch.zeros(ctx.shape)
        _library().sparse_interpolate_gradient(
            grad.data_ptr(),
            grad.shape[1],
            corners.data_ptr(),
            weights.data_ptr(),
            len(corners),
            grad.shape[1],
            out.data_ptr(),
            native.threads(),
        )
        return out, None, None


def interpolate(feats: torch.Tensor, corners: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """out[p] = sum_c weights[p, c] * feats[corners[p, c]]; corners int32 [P, 8], weights float32 [P, 8], feats [N,
    C].
    """
    if not len(feats) or corners.shape[1] != 8:
        from . import torch_backend

        return torch_backend.interpolate(feats, corners, weights)
    return _Interpolation.apply(feats, corners.contiguous(), weights.contiguous())


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: torch.Tensor, voxel: torch.Tensor, voxels: int) -> torch.Tensor:
        order, starts = torch.empty(len(voxel), dtype=torch.int32), torch.empty(voxels + 1, dtype=torch.int64)
        _library().sparse_by_voxel(voxel.data_ptr(), len(voxel), voxels, order.data_ptr(), starts.data_ptr())
        width = _width(feats.shape[1])
        rows, out = _padded(feats, width), torch.empty(voxels, width)
        failed = _library().sparse_point_mean(
            rows.data_ptr(),
            width,
            order.data_ptr(),
            starts.data_ptr(),
            voxels,
            width,
            out.data_ptr(),
            None,
            width,
            0,
            native.level(),
            native.threads(),
        )
        if failed:
            raise MemoryError("scatter_mean: no memory for its tiles")
        ctx.save_for_backward(voxel, 1 / starts.diff().clamp(min=1).to(feats.dtype))
        return out if width == feats.shape[1] else out[:, : feats.shape[1]].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        voxel, share = ctx.saved_tensors
        at = voxel.clamp(min=0).long()
        return grad.index_select(0, at) * (share[at] * (voxel >= 0))[:, None], None, None


def scatter_mean(feats: torch.Tensor, voxel: torch.Tensor, voxels: int) -> torch.Tensor:
    """Mean of the rows of feats [P, C] that share a voxel (int32 [P], -1: left out): [voxels, C], zeros where none.

    Raises ValueError for voxel rows of another type or number, or beyond `voxels`.
    """
    if voxel.dtype != torch.int32 or voxel.shape != (len(feats),):
        raise ValueError(
            f"voxel rows are {voxel.dtype} {tuple(voxel.shape)}: expected torch.int32 ({len(feats)},), one a point"
        )
    if len(voxel) and not -1 <= int(voxel.min()) <= int(voxel.max()) < voxels:
        raise ValueError(f"voxel rows reach from {int(voxel.min())} to {int(voxel.max())}: expected -1 to {voxels - 1}")
    if not voxels:
        return feats.new_zeros(0, feats.shape[1])
    return _Mean.apply(feats, voxel.contiguous(), voxels)
