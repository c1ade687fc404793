"""Starting a video network from another's weights: 2D to shifted or inflated, offline to online, one stream to two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.facts import ModelError, load_network
from models.tsm.convert import to_online
from models.tsm.inflate import inflated
from models.tsm.network import ClipNetwork, VideoNetwork
from training.common.checkpoints import CHECKPOINT, averaged_weights


def state_of(source: str, online: bool = False) -> dict[str, Tensor]:
    """The weights of a model (name or folder) or the averaged ones of a training's checkpoint file.

    online: they are for a uni-directional network, so an offline model's slots are moved first.
    """
    if source.endswith(CHECKPOINT):
        return averaged_weights(Path(source))[0]
    network, _ = load_network(source)
    if online and isinstance(network, ClipNetwork) and network.spec.mode == "offline":
        network = to_online(network)
    return network.state_dict()


@torch.no_grad()
def start_from(network: VideoNetwork, state: Mapping[str, Tensor]) -> list[str]:
    """Fills `network` with the weights of `state` whose names and shapes fit; the names of those left as they were.

    A shifted layer's `.net` is put in or taken away, 2D kernels are inflated along time, both streams of a two-stream
    network take a single stream's weights (the flow's stem the mean over the colours, scaled to keep its sums). The
    classifier stays as it is where the classes differ. The shift's slots are not moved: weights of a bi-directional
    network have to be converted (models.tsm.convert) before they serve a uni-directional one. Raises ModelError where
    less than half of the network is found.
    """
    given = {k.replace(".net.", "."): v for k, v in state.items()}
    own = network.state_dict()
    left = []
    for key, value in own.items():
        plain = key.replace(".net.", ".")
        source = given.get(plain)
        if source is None:
            source = given.get(plain.removeprefix("rgb.").removeprefix("flow."))
        if source is not None and source.shape != value.shape:
            source = _fitted(source, value)
        if source is None:
            left.append(key)
        else:
            value.copy_(source)
    if 2 * len(left) > len(own):
        raise ModelError(
            f"only {len(own) - len(left)} of the network's {len(own)} tensors are in the given weights (missing: "
            f"{left[0]}); expected weights of the same backbone ({network.spec.backbone}, width {network.spec.width})"
        )
    return left


def _fitted(source: Tensor, value: Tensor) -> Tensor | None:
    """`source` in the shape of `value`, or None."""
    if value.ndim == 5 and source.ndim == 4 and source.shape[:2] == value.shape[:2]:
        return inflated(source, value.shape[2])
    if value.ndim == 4 and source.ndim == 4 and source.shape[0] == value.shape[0] and source.shape[1] == 3:
        return source.mean(1, keepdim=True).expand_as(value) * (3.0 / value.shape[1])
    return None
