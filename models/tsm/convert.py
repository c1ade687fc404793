"""From an offline network to an online one: the channels that saw the past keep seeing it.

An offline network's convolutions were trained with the future in channels 0:fold and the past in fold:2 fold of their
input; online, the past is in 0:fold. Along a residual stage all blocks read and write one stream of channels, so the
two folds can change places exactly: in the stream itself (outputs of every layer that writes it, inputs of every layer
that reads it). After that

* frame by frame, the online network sees the past in the very channels in which the offline network saw it, and the
  channels that came from the future hold the present instead. This equals the offline network with its future shift
  taken out, to rounding;
* on equal frames, away from the ends, all three give the same logits.

What it cannot do: replace the future. The convolutions still expect it in fold:2 fold, so the accuracy drops until the
network is fine-tuned with `mode: online` (training/video/trainer.py); the conversion is a start for that, not a result.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.tsm.builder import build_tsm
from models.tsm.inverted_residual import InvertedResidual, InvertedResidualNet
from models.tsm.network import ClipNetwork
from models.tsm.resnet import Bottleneck, ResNet
from models.tsm.shift import Shifted


def to_online(network: ClipNetwork) -> ClipNetwork:
    """The online network with the weights of an offline one; the given network is left alone.

    Raises ModelError where there is no exact exchange: networks that are not offline TSM, or with temporal pooling or
    non-local blocks.
    """
    spec = network.spec
    if spec.architecture != "tsm" or spec.mode != "offline" or spec.tpool or spec.non_local:
        raise ModelError(
            f"only an offline tsm without tpool and non_local becomes an online one; found {spec.architecture}, mode "
            f"{spec.mode}, tpool {spec.tpool}, non_local {spec.non_local}"
        )
    turned = exchange_folds(network)
    online = build_tsm(replace(spec, mode="online")).to(network.new_fc.weight)
    online.load_state_dict(turned.state_dict())
    assert isinstance(online, ClipNetwork)
    return online


def exchange_folds(network: ClipNetwork) -> ClipNetwork:
    """A copy whose residual streams have their first two folds exchanged; without shift it computes the same.

    Done twice it gives back the weights.
    """
    network = deepcopy(network)
    div = network.spec.fold_div
    with torch.no_grad():
        if isinstance(network.base_model, ResNet):
            _resnet(network.base_model, div)
            network.new_fc.weight.copy_(_exchanged(network.new_fc.weight, 1, div))
        elif isinstance(network.base_model, InvertedResidualNet):
            _inverted(network.base_model, div)
    return network


def _exchanged(x: Tensor, axis: int, div: int) -> Tensor:
    """The first two folds of an axis in each other's place."""
    fold = x.shape[axis] // div
    if 2 * fold > x.shape[axis]:
        raise ModelError(f"fold_div {div} leaves no two folds to exchange; expected 2 or more")
    first, second, rest = x.split([fold, fold, x.shape[axis] - 2 * fold], axis)
    return torch.cat((second, first, rest), axis)


def _plain(module: nn.Module) -> nn.Module:
    return module.net if isinstance(module, Shifted) else module


def _reads(layer: nn.Module, div: int) -> None:
    """Exchanges the folds in what a convolution reads."""
    layer = _plain(layer)
    assert isinstance(layer, nn.Conv2d) and layer.groups == 1
    layer.weight.copy_(_exchanged(layer.weight, 1, div))


def _writes(conv: nn.Module, norm: nn.Module, div: int) -> None:
    """Exchanges the folds in what a convolution and its normalisation write."""
    conv = _plain(conv)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    assert norm.running_var is not None
    for tensor in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.copy_(_exchanged(tensor, 0, div))


def _resnet(backbone: ResNet, div: int) -> None:
    _writes(backbone.conv1, backbone.bn1, div)
    for blocks, i, _ in backbone.whole_sites():
        block = _plain(blocks[i])
        _reads(block.conv1, div)  # type: ignore[arg-type]
        if isinstance(block, Bottleneck):
            _writes(block.conv3, block.bn3, div)
        else:
            _writes(block.conv2, block.bn2, div)  # type: ignore[arg-type]
        if isinstance(block.downsample, nn.Sequential):
            _reads(block.downsample[0], div)
            _writes(block.downsample[0], block.downsample[1], div)


def _inverted(backbone: InvertedResidualNet, div: int) -> None:
    """The stem's stream stays: only the first block reads it, channel by channel, and does not shift."""
    *blocks, last = list(backbone.features)[1:]
    for module in blocks:
        block = _plain(module)
        assert isinstance(block, InvertedResidual)
        if block.expands:
            _reads(block.conv[0], div)
        _writes(block.conv[-2], block.conv[-1], div)
    assert isinstance(last, nn.Sequential)
    _reads(last[0], div)
