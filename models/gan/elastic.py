"""Layers whose width is chosen at run time by leading slices of their weights (once-for-all, Cai et al., ICLR 2020).

A layer takes as many input channels as its input has, and makes `outputs` channels (None: all of them). State-dict keys
are those of the plain layers, so a sub-network's weights are leading slices of the super network's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.norms import Kit


def _leading(vector: Tensor | None, count: int | None) -> Tensor | None:
    return None if vector is None else vector[:count]


class ElasticConv2d(nn.Conv2d):
    """A convolution with zero padding, dense or depthwise; a depthwise one keeps the width of its input."""

    outputs: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.shape[1]
        depthwise = self.groups > 1
        count = inputs if depthwise else self.outputs
        weight = self.weight[:count] if depthwise else self.weight[:count, :inputs]
        groups = inputs if depthwise else 1
        bias = _leading(self.bias, count)
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, groups)


class ElasticConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution; its weight is [in, out, k, k]."""

    outputs: int | None = None

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None:
            raise ValueError("output_size is not supported: the output padding decides the size")
        weight, bias = self.weight[: x.shape[1], : self.outputs], _leading(self.bias, self.outputs)
        return F.conv_transpose2d(x, weight, bias, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]


class ElasticInstanceNorm2d(nn.Module):
    """Instance norm without parameters, for any number of channels."""

    def __init__(self, channels: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        return F.instance_norm(x)


class ElasticBatchNorm2d(nn.BatchNorm2d):
    """Batch norm of the leading channels. The statistics belong to whichever widths ran last in training mode, so they
    are measured anew before a sub-network is scored (training/gan/recalibrate.py)."""

    def forward(self, x: Tensor) -> Tensor:
        count = x.shape[1]
        factor = 0.0
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            factor = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        mean, var = _leading(self.running_mean, count), _leading(self.running_var, count)
        weight, bias = _leading(self.weight, count), _leading(self.bias, count)
        return F.batch_norm(x, mean, var, weight, bias, self.training, factor, self.eps)


ELASTIC = Kit(ElasticConv2d, ElasticConvTranspose2d, ElasticInstanceNorm2d, ElasticBatchNorm2d)


def set_width(module: nn.Module, outputs: int | None) -> None:
    """Chooses the output width of an elastic convolution, or of the pointwise one of a separable convolution."""
    layer = module.conv[-1] if hasattr(module, "conv") else module  # type: ignore[index]
    if not isinstance(layer, (ElasticConv2d, ElasticConvTranspose2d)):
        raise TypeError(f"{type(layer).__name__} has no elastic width: expected an elastic convolution")
    layer.outputs = outputs


def sliced_state(state: Mapping[str, Tensor], target: nn.Module) -> dict[str, Tensor]:
    """The leading part of every tensor in `state`, cut to the shapes of `target`'s entries.

    Raises ValueError where a key is absent or smaller than the target's.
    """
    out = {}
    for key, wanted in target.state_dict().items():
        if key not in state:
            raise ValueError(f"the super network has no {key}: expected the same layers as {type(target).__name__}")
        full = state[key]
        if full.ndim != wanted.ndim or any(a < b for a, b in zip(full.shape, wanted.shape)):
            raise ValueError(f"{key} is {list(full.shape)}: too small for {list(wanted.shape)}")
        out[key] = full[tuple(slice(0, n) for n in wanted.shape)].clone()
    return out


@torch.no_grad()
def copy_slices(source: nn.Module, target: nn.Module) -> None:
    """Loads the leading slices of `source`'s weights into `target`."""
    target.load_state_dict(sliced_state(source.state_dict(), target))
