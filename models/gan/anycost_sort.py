"""Channel sorting before AnyCost's adaptive-channel training: the leading channels become the most important ones.

A channel's importance is, over the layers that read it, the sum of |W| over its weights times the mean |style| that
scales it, over many latent vectors. The channels are permuted where they are made (weight, bias, constant) and where
they are read (weight, modulation), so the full generator computes the same pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.gan.anycost import AnycostGenerator
from models.gan.style_layers import ConstantInput, ModulatedConv2d, StyledConv, ToRGB


@torch.no_grad()
def sort_channels(network: AnycostGenerator, count: int = 10_000, generator: torch.Generator | None = None) -> None:
    """Permutes the channels of `network` in place, from the last layer back.

    count: random latent vectors for the mean style (the paper's code takes 100,000).
    """
    z = torch.randn(count, network.style_dim, generator=generator, device=network.input.input.device)
    w = network.mapping(z)
    makers, readers = _graph(network)
    for maker, consumers in reversed(list(zip(makers, readers))):
        importance = sum(_importance(c, w) for c in consumers)
        assert isinstance(importance, Tensor)
        order = importance.argsort(descending=True, stable=True)
        _permute_outputs(maker, order)
        for consumer in consumers:
            _permute_inputs(consumer, order)


def _graph(network: AnycostGenerator) -> tuple[list[nn.Module], list[list[ModulatedConv2d]]]:
    """Layers that make channels, in order, and for each the convolutions that read them."""
    makers: list[nn.Module] = [network.input, network.conv1, *network.convs]
    pictures: dict[int, nn.Module] = {1: network.to_rgb1}
    pictures |= {2 * i + 3: to_rgb for i, to_rgb in enumerate(network.to_rgbs)}
    readers: list[list[ModulatedConv2d]] = []
    for i in range(len(makers)):
        found: list[nn.Module] = makers[i + 1 : i + 2] + ([pictures[i]] if i in pictures else [])
        readers.append([layer.conv for layer in found if isinstance(layer, (StyledConv, ToRGB))])
    return makers, readers


def _importance(conv: ModulatedConv2d, w: Tensor) -> Tensor:
    return conv.weight[0].abs().sum((0, 2, 3)) * conv.modulation(w).abs().mean(0)


def _permute_outputs(maker: nn.Module, order: Tensor) -> None:
    if isinstance(maker, ConstantInput):
        maker.input.copy_(maker.input[:, order])
    elif isinstance(maker, StyledConv):
        maker.conv.weight.copy_(maker.conv.weight[:, order])
        maker.activate.bias.copy_(maker.activate.bias[order])


def _permute_inputs(conv: ModulatedConv2d, order: Tensor) -> None:
    conv.weight.copy_(conv.weight[:, :, order])
    conv.modulation.weight.copy_(conv.modulation.weight[order])
    conv.modulation.bias.copy_(conv.modulation.bias[order])
