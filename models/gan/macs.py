"""Multiply-accumulates of a network on inputs of given shapes, counted on the meta device: nothing is computed.

Two conventions, both named:

true       what a direct computation performs: a transposed convolution multiplies every input value once by its kernel
official   what the papers' counter reports: a transposed convolution is charged its output size times its kernel,
           four times the true number at stride 2; fixed filters (blur, resampling) are not counted
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


@dataclass(frozen=True)
class Macs:
    """true, official: multiply-accumulates of one forward pass (see the module)."""

    true: int
    official: int


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.true, self.official = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket
        if name is aten.convolution:
            x, weight, transposed = args[0], args[1], args[6]
            true = (x.numel() if transposed else out.numel()) * weight[0].numel()
            self.true += true
            if weight.stride(0):  # 0: one fixed filter, repeated for every channel
                groups = args[8]
                inputs = x.shape[1] // groups
                self.official += out.numel() * inputs * weight[0, 0].numel()
        elif name in (aten.mm, aten.addmm, aten.bmm, aten.linear):
            inputs = args[1] if name is aten.addmm else args[0]
            self._add(out.numel() * inputs.shape[-1])
        return out

    def _add(self, count: int) -> None:
        self.true += count
        self.official += count


def count_macs(network: nn.Module, *inputs: Any, **options: Any) -> Macs:
    """MACs of `network(*inputs, **options)`: convolutions and matrix products; norms and activations count nothing.

    Tensors among the inputs only give their shapes.
    """
    twin = copy.deepcopy(network).to("meta").eval()
    counter = _Counter()

    def on_meta(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to("meta")
        return [on_meta(v) for v in value] if isinstance(value, (list, tuple)) else value

    with torch.no_grad(), counter:
        twin(*(on_meta(v) for v in inputs), **{k: on_meta(v) for k, v in options.items()})
    return Macs(counter.true, counter.official)


def count_parameters(network: nn.Module) -> int:
    """Learned numbers; buffers do not count."""
    return sum(p.numel() for p in network.parameters())
