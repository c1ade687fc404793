"""Multiply-accumulates of a dense network on one input: convolutions and linear layers, counted where they run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.pvcnn.layers import PointLinear


@torch.inference_mode()
def count_macs(network: nn.Module, inputs: Tensor) -> dict[str, int]:
    """MACs by kind (Conv3d, ConvTranspose3d, Linear, points) of one forward pass. Interpolation, averaging, norms and
    activations count nothing, as in the papers."""
    found: dict[str, int] = {}

    def note(module: nn.Module, given: Any, result: Tensor) -> None:
        if isinstance(module, nn.Linear):
            kind, work = "Linear", result.numel() * module.in_features
        elif isinstance(module, nn.ConvTranspose3d):
            kind, work = "ConvTranspose3d", given[0].numel() * int(module.weight[0].numel())
        elif isinstance(module, nn.Conv3d):
            kind, work = "Conv3d", result.numel() * int(module.weight[0].numel())
        else:
            return
        found[kind] = found.get(kind, 0) + work

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    points = len(inputs) * inputs.shape[2]  # every layer on points sees all of them
    found["points"] = sum(points * m.weight.numel() for m in network.modules() if isinstance(m, PointLinear))
    return found
