"""Layers whose width is chosen at run time, weights shared between the choices: the leading channels are used.

State-dict names are those of SPVNAS's super network: `net.conv.kernel`, `net.bn.bn.weight`, `net.conv.linear.weight`.
Batch-norm statistics are sliced like the weights. They belong to whichever sub-networks ran last: before a sub-network
is scored they are measured anew (training/segmentation/batch_norms.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.sparse import Conv3d, SparseTensor
from models.sparse.functional import conv3d

Inputs = tuple[slice, ...]  # which input channels of the full layer a narrower input stands for


def leading(channels: int) -> Inputs:
    """The first channels."""
    return (slice(0, channels),)


def joined(transition: int, full_transition: int, skip: int) -> Inputs:
    """Channels after a concatenation: the first of the transition, and the first of the skip, which in the full layer
    begins behind the whole transition. Not a leading slice wherever the transition is narrowed."""
    return slice(0, transition), slice(full_transition, full_transition + skip)


def take(weight: Tensor, inputs: Inputs, dim: int) -> Tensor:
    """The input channels `inputs` of a weight, along `dim`."""
    parts = [weight.narrow(dim, s.start, s.stop - s.start) for s in inputs]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


class ElasticConv3d(Conv3d):
    """A sparse convolution that uses part of its kernel [K, in, out] (or [in, out] for kernel size 1)."""

    def part(self, inputs: Inputs, outputs: int) -> Tensor:
        """The kernel between these input channels and the first `outputs` channels."""
        return take(self.kernel, inputs, self.kernel.ndim - 2)[..., :outputs]

    def run(self, x: SparseTensor, inputs: Inputs, outputs: int) -> SparseTensor:
        """The convolution with that part."""
        kernel = self.part(inputs, outputs).contiguous()
        return conv3d(x, kernel, self.kernel_size, self.stride, self.dilation, self.transposed)


class ElasticBatchNorm(nn.Module):
    """Batch norm of the first channels of `bn` [full]; running statistics of the others stay as they are."""

    def __init__(self, channels: int):
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def part(self, channels: int) -> dict[str, Tensor]:
        """Weight, bias and running statistics of the first `channels`; views."""
        named: Any = self.bn
        return {n: getattr(named, n)[:channels] for n in ("weight", "bias", "running_mean", "running_var")}

    def forward(self, feats: Tensor) -> Tensor:
        """feats [N, channels] -> the same shape."""
        bn, p = self.bn, self.part(feats.shape[1])
        factor = 0.0
        if self.training and bn.num_batches_tracked is not None:
            bn.num_batches_tracked.add_(1)
            factor = bn.momentum if bn.momentum is not None else 1.0 / float(bn.num_batches_tracked)
        return F.batch_norm(
            feats, p["running_mean"], p["running_var"], p["weight"], p["bias"], self.training, factor, bn.eps
        )


class ElasticConvolution(nn.Module):
    """Convolution, batch norm and, where `relu`, ReLU; `outputs` channels of at most `full_outputs`.

    in_slices: where the input's channels lie among the full layer's; None: they are the first ones.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int = 3,
        stride: int = 1,
        transposed: bool = False,
        relu: bool = True,
    ):
        super().__init__()
        conv = ElasticConv3d(inputs, outputs, kernel_size=kernel_size, stride=stride, transposed=transposed)
        self.net = nn.ModuleDict({"conv": conv, "bn": ElasticBatchNorm(outputs)})
        self.full_inputs, self.full_outputs, self.relu = inputs, outputs, relu
        self.outputs = outputs
        self.in_slices: Inputs | None = None

    def select(self, outputs: int, in_slices: Inputs | None = None) -> None:
        """Chooses widths for the calls to come."""
        self.outputs, self.in_slices = outputs, in_slices

    def sources(self, inputs: int) -> Inputs:
        """Which channels of the full layer an input of `inputs` channels stands for."""
        return leading(inputs) if self.in_slices is None else self.in_slices

    def forward(self, x: SparseTensor) -> SparseTensor:
        net: Any = self.net
        out = net["conv"].run(x, self.sources(x.feats.shape[1]), self.outputs)
        feats = net["bn"](out.feats)
        return out.with_feats(torch.relu(feats) if self.relu else feats)


class ElasticResidual(nn.Module):
    """relu(conv BN ReLU conv BN (x) + shortcut(x)); the shortcut is a 1 x 1 x 1 convolution with BN in a stage's first
    block and the identity in its second, where input and output are the same stage's width."""

    def __init__(self, inputs: int, outputs: int, first: bool):
        super().__init__()
        layers = [ElasticConvolution(inputs, outputs), ElasticConvolution(outputs, outputs, relu=False)]
        self.net = nn.ModuleDict({"layers": nn.ModuleList(layers)})
        self.downsample: nn.Module = ElasticConvolution(inputs, outputs, 1, relu=False) if first else nn.Identity()

    def layers(self) -> tuple[Any, Any]:
        """The two convolutions."""
        net: Any = self.net
        return net["layers"][0], net["layers"][1]

    def select(self, middle: int, outputs: int, in_slices: Inputs | None = None) -> None:
        """Chooses the width between the convolutions and that of the output."""
        first, second = self.layers()
        first.select(middle, in_slices)
        second.select(outputs)
        if isinstance(self.downsample, ElasticConvolution):
            self.downsample.select(outputs, in_slices)

    def forward(self, x: SparseTensor) -> SparseTensor:
        first, second = self.layers()
        out = second(first(x))
        return out.with_feats(torch.relu(out.feats + self.downsample(x).feats))


class ElasticLinear(nn.Module):
    """A linear layer that uses the leading part of `linear` for its input; `outputs` of at most the full width."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C] -> [N, outputs]."""
        return F.linear(x, self.linear.weight[: self.outputs, : x.shape[1]], self.linear.bias[: self.outputs])


class ElasticPointTransform(nn.Module):
    """A layer of the point branch: linear, batch norm, ReLU on [points, channels]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.net = nn.ModuleDict({"conv": ElasticLinear(inputs, outputs), "bn": ElasticBatchNorm(outputs)})

    def select(self, outputs: int) -> None:
        """Chooses the width of the output."""
        net: Any = self.net
        net["conv"].outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        net: Any = self.net
        return torch.relu(net["bn"](net["conv"](x)))
