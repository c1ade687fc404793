"""Weights into a network: every tensor must fit, or one sentence says what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_weights(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies `state` into the network: every key must be there with its shape, none left over.

    Only `num_batches_tracked` may be absent (nothing reads it), and keys under the network's own `unused_prefixes` are
    dropped where it has no such layers. source: the file, for the message. Raises ModelError.
    """
    own = network.state_dict()
    unused = tuple(p for p in getattr(network, "unused_prefixes", ()) if not any(k.startswith(p) for k in own))
    state = {k: v for k, v in state.items() if not k.startswith(unused)}
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
            f"{source} does not fit {described(network)}: {'; '.join(parts)}; check architecture and widths in its "
            "facts, or convert an official file with `perception weights import`"
        )
    network.load_state_dict(state, strict=False)


def described(network: nn.Module) -> str:
    """The network in a few words: its class, and its widths or its spec where it has them."""
    name = type(network).__name__
    spec, channels = getattr(network, "spec", None), getattr(network, "channels", None)
    if spec is not None and all(hasattr(spec, name) for name in ("backbone", "width", "mode")):
        return f"{getattr(spec, 'architecture', name)} {spec.backbone} of width {spec.width}, mode {spec.mode}"
    return name if not isinstance(channels, (tuple, list)) else f"{name} with channels {list(channels)}"
