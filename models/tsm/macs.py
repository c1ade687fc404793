"""Parameters and multiply-accumulates of video networks. A shift has neither."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.tsm.builder import build_tsm
from models.tsm.inflate import TimeConv
from models.tsm.network import VideoNetwork
from models.tsm.non_local import NonLocal3d
from models.tsm.spec import TsmSpec


def parameters(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in network.parameters())


def macs_per_frame(network: VideoNetwork, height: int, width: int, segments: int | None = None) -> float:
    """Multiply-accumulates of convolutions, linear and recurrent layers and attention, for one frame of a clip of
    `segments` frames (the spec's by default) of height x width px. Normalisation, activations and pooling are not
    counted, as in the papers' tables; nor is optical flow."""
    t = network.spec.segments if segments is None else segments
    copy = deepcopy(network).to("meta").eval()
    total = 0

    def counted(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        total += _macs(module, inputs, output)

    hooks = [m.register_forward_hook(counted) for m in copy.modules() if isinstance(m, tuple(_RULES))]
    with torch.no_grad():
        copy(torch.empty(1, t, network.spec.in_channels, height, width, device="meta"))
    for hook in hooks:
        hook.remove()
    return total / t


def _conv(module: Any, inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * module.weight[0].numel()


def _linear(module: Any, inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * module.in_features


def _lstm(module: Any, inputs: tuple[Any, ...], output: Any) -> int:
    steps = inputs[0].shape[0] * inputs[0].shape[1]
    return steps * 4 * module.hidden_size * (module.input_size + module.hidden_size)


def _attention(module: Any, inputs: tuple[Any, ...], output: Tensor) -> int:
    """Query with keys, weights with values; its convolutions are counted as such."""
    n, c, t, h, w = inputs[0].shape
    return n * 2 * (t * h * w) * (t * (h // 2) * (w // 2)) * max(1, c // 2)


_RULES: dict[type[nn.Module], Callable[..., int]] = {
    nn.Conv2d: _conv,
    nn.Conv3d: _conv,
    TimeConv: _conv,
    nn.Linear: _linear,
    nn.LSTM: _lstm,
    NonLocal3d: _attention,
}


def _macs(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> int:
    return next(rule for kind, rule in _RULES.items() if isinstance(module, kind))(module, inputs, output)


def added_by_shift(spec: TsmSpec, height: int = 224, width: int = 224) -> tuple[int, float]:
    """(parameters, MACs per frame) that the shift adds to the 2D network; both are 0."""
    shifted = build_tsm(spec)
    plain = build_tsm(replace(spec, mode="none", architecture="tsn"))
    macs = [macs_per_frame(n, height, width) for n in (shifted, plain)]
    return parameters(shifted) - parameters(plain), macs[0] - macs[1]
