"""Exponential moving average of a generator's weights: the network that is evaluated and released."""

from __future__ import annotations

import copy

import torch
from torch import nn


def decay_of(half_life: float, batch: int) -> float:
    """Decay per step whose effect halves after `half_life` pictures (StyleGAN2: 10,000)."""
    if half_life <= 0 or batch < 1:
        raise ValueError(f"half-life {half_life} pictures at batch {batch}: expected positive numbers")
    return 0.5 ** (batch / half_life)


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy in eval mode that needs no gradients: the start of an average."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay average + (1 - decay) network for weights; buffers are copied."""
    own = dict(network.named_parameters())
    for name, parameter in average.named_parameters():
        parameter.lerp_(own[name].detach().to(parameter.dtype), 1 - decay)
    buffers = dict(network.named_buffers())
    for name, buffer in average.named_buffers():
        buffer.copy_(buffers[name])
