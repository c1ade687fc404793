"""Copies a trained SPVCNN's weights into a super network that is at least as wide, so that it starts with equal scores.

SPVCNN's weights go to the leading channels. The other weights are set so that the largest sub-network computes the
same as the SPVCNN: new channels are random, but the weights that read them are zero (they get gradients from the first
step), and a shortcut that SPVCNN does not have is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.facts import ModelError
from models.spvcnn.elastic import Inputs, joined, leading
from models.spvcnn.subnet import Subnet
from models.spvcnn.supernet import SuperNetwork


@torch.no_grad()
def warm_start(network: SuperNetwork, state: Mapping[str, Tensor], channels: tuple[int, ...]) -> Subnet:
    """Copies the state dict of an SPVCNN with nine `channels` into `network`; returns the subnet of that SPVCNN.

    Raises ModelError where the super network is too narrow for it or a key is missing.
    """
    subnet = Subnet.of_spvcnn(channels)
    network.select(subnet)
    try:
        _copy(network, state, subnet)
    except KeyError as error:
        raise ModelError(
            f"the weights to start from have no {error}: expected an SPVCNN of widths {channels}"
        ) from None
    except RuntimeError as error:
        raise ModelError(f"the weights to start from do not fit an SPVCNN of widths {channels}: {error}") from None
    network.select(network.space.largest())
    return subnet


def _copy(network: SuperNetwork, state: Mapping[str, Tensor], subnet: Subnet) -> None:
    network.stem.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("stem.")})
    stages: list[Any] = [*network.downsample, *network.upsample]
    width = subnet.stem
    for i, (stage, chosen) in enumerate(zip(stages, subnet.stages)):
        up = i >= 4
        root = f"up{i - 3}" if up else f"stage{i + 1}"
        _convolution(stage.transition, state, f"{root}.0.net.0", f"{root}.0.net.1", leading(width), chosen.transition)
        sources = (
            joined(chosen.transition, network.space.upper[i + 1], subnet.skip(i - 4))
            if up
            else leading(chosen.transition)
        )
        for j, block in enumerate(stage.blocks()):
            name = f"{root}.1.{j}" if up else f"{root}.{j + 1}"
            first, second = block.layers()
            _convolution(first, state, f"{name}.net.0", f"{name}.net.1", sources, chosen.outputs)
            inner = leading(chosen.outputs)
            _convolution(second, state, f"{name}.net.3", f"{name}.net.4", inner, chosen.outputs)
            if j == 0 and f"{name}.downsample.0.kernel" in state:
                where = f"{name}.downsample"
                _convolution(block.downsample, state, f"{where}.0", f"{where}.1", sources, chosen.outputs)
            elif j == 0:
                _identity(block.downsample, stage.transition.net["bn"].part(chosen.transition), sources)
            sources = inner
        width = chosen.outputs
    c = subnet.channels
    branches: Any = network.point_transforms
    for i, (branch, (a, b)) in enumerate(zip(branches, ((c[0], c[4]), (c[4], c[6]), (c[6], c[8])))):
        _linear(branch.net["conv"].linear, state, f"point_transforms.{i}.0", a, b)
        _norm(branch.net["bn"], state, f"point_transforms.{i}.1", b)
    classifier: Any = network.classifier
    _linear(classifier.linear, state, "classifier.0", c[8], network.num_classes)


def _places(inputs: Inputs) -> Tensor:
    return torch.cat([torch.arange(part.start, part.stop) for part in inputs])


def _convolution(layer: Any, state: Mapping[str, Tensor], conv: str, norm: str, inputs: Inputs, outputs: int) -> None:
    """Kernel and batch norm into the leading outputs; old outputs do not read new inputs."""
    kernel = layer.net["conv"].kernel  # [K, in, out] or [in, out]
    given = state[f"{conv}.kernel"]
    part = torch.zeros_like(kernel[..., :outputs])
    part[..., _places(inputs), :] = given
    kernel[..., :outputs] = part
    _norm(layer.net["bn"], state, norm, outputs)


def _norm(layer: Any, state: Mapping[str, Tensor], name: str, channels: int) -> None:
    for key, tensor in layer.part(channels).items():
        tensor.copy_(state[f"{name}.{key}"])


def _linear(linear: Any, state: Mapping[str, Tensor], name: str, inputs: int, outputs: int) -> None:
    part = torch.zeros_like(linear.weight[:outputs])
    part[:, :inputs] = state[f"{name}.weight"]
    linear.weight[:outputs] = part
    linear.bias[:outputs] = state[f"{name}.bias"]


def _identity(layer: Any, before: dict[str, Tensor], inputs: Inputs) -> None:
    """A 1 x 1 x 1 convolution and batch norm that pass on what a batch norm with the parameters `before`, and a ReLU,
    gave: in training too, as their own statistics are set to those of a normal variable cut off at zero."""
    places = _places(inputs)
    width = len(places)
    kernel = layer.net["conv"].kernel
    part = torch.zeros_like(kernel[:, :width])
    part[places, torch.arange(width)] = 1.0
    kernel[:, :width] = part
    centre, spread = before["bias"], before["weight"].abs() + 1e-3
    ratio = centre / spread
    below = 0.5 * (1.0 + torch.erf(ratio / math.sqrt(2.0)))
    bell = torch.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
    mean = centre * below + spread * bell
    variance = ((centre**2 + spread**2) * below + centre * spread * bell - mean**2).clamp(min=1e-4)
    own = layer.net["bn"].part(width)
    own["running_mean"].copy_(mean)
    own["running_var"].copy_(variance)
    own["weight"].copy_(torch.sqrt(variance + layer.net["bn"].bn.eps))
    own["bias"].copy_(mean)
