"""From facts or a preset to a network of the point-voxel family on dense grids, and strict loading of its weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from models.facts import ModelError


def load_weights(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Copies `state` into the network: every key must be there with its shape, none left over; only
    `num_batches_tracked` may be absent (nothing reads it). Raises ModelError."""
    own = network.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [k for k in state if k not in own]
    wrong = [k for k in own if k in state and own[k].shape != state[k].shape]
    parts = []
    if missing:
        parts.append(f"{len(missing)} keys are missing (first: {missing[0]})")
    if unknown:
        parts.append(f"{len(unknown)} keys are unknown (first: {unknown[0]})")
    if wrong:
        k = wrong[0]
        shapes = f"{list(state[k].shape)}, expected {list(own[k].shape)}"
        parts.append(f"{len(wrong)} shapes differ (first: {k} is {shapes})")
    if parts:
        raise ModelError(
            f"{source} does not fit {type(network).__name__}: {'; '.join(parts)}; check architecture and widths in its "
            "facts, or convert a released file with `perception weights import`"
        )
    network.load_state_dict(dict(state), strict=False)
