"""A narrower student's first weights: the strongest channels of a wider network (GAN Compression's distillation stage).

Layer by layer, the output channels with the largest sum of |weight| over the inputs kept so far are chosen; the next
layer keeps those as its inputs. A residual block hands on the channels that came in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.gan.resnet import ResnetBlock
from models.gan.separable import SeparableConv2d


@torch.no_grad()
def transfer_weights(wide: nn.Module, narrow: nn.Module) -> None:
    """Fills `narrow` from `wide`: two ResNet generators of one kind (both with separable or both with dense blocks) and
    the same number of blocks. ValueError where they do not correspond or `narrow` is wider somewhere."""
    pair: Any = (wide.model, narrow.model)
    if len(pair[0]) != len(pair[1]):
        raise ValueError(f"{len(pair[0])} layers against {len(pair[1])}: expected the same number of blocks")
    kept = torch.arange(_inputs(pair[1][1]))
    last = len(pair[0]) - 2
    for i, (source, target) in enumerate(zip(*pair)):
        if isinstance(source, ResnetBlock) != isinstance(target, ResnetBlock):
            raise ValueError(f"layer {i} is {type(source).__name__} here, {type(target).__name__} there")
        if isinstance(source, ResnetBlock):
            inner = _copy(source.conv_block[1], target.conv_block[1], kept, None)
            _copy_norm(source.conv_block[2], target.conv_block[2], inner)
            _copy(source.conv_block[6], target.conv_block[6], inner, kept)
            _copy_norm(source.conv_block[7], target.conv_block[7], kept)
        elif isinstance(source, (nn.Conv2d, nn.ConvTranspose2d)):
            kept = _copy(source, target, kept, torch.arange(source.out_channels) if i == last else None)
        else:
            _copy_norm(source, target, kept)


def _inputs(conv: nn.Module) -> int:
    assert isinstance(conv, nn.Conv2d)
    return conv.in_channels


def _copy(source: nn.Module, target: nn.Module, inputs: Tensor, outputs: Tensor | None) -> Tensor:
    """Copies one convolution between `inputs` and `outputs` (None: the strongest); returns the outputs."""
    if isinstance(source, SeparableConv2d) and isinstance(target, SeparableConv2d):
        depthwise: Any = source.conv[0]
        _put(depthwise, target.conv[0], depthwise.weight[inputs], inputs)
        _copy_norm(source.conv[1], target.conv[1], inputs)
        return _copy(source.conv[2], target.conv[2], inputs, outputs)
    if type(source) is not type(target) or not isinstance(source, (nn.Conv2d, nn.ConvTranspose2d)):
        raise ValueError(f"{type(source).__name__} does not correspond to {type(target).__name__}")
    transposed = isinstance(source, nn.ConvTranspose2d)
    weight = source.weight[inputs] if transposed else source.weight[:, inputs]
    if outputs is None:
        narrow: Any = target
        outputs = strongest(weight, 1 if transposed else 0, narrow.out_channels)
    weight = weight[:, outputs] if transposed else weight[outputs]
    _put(source, target, weight, outputs)
    return outputs


def strongest(weight: Tensor, axis: int, count: int) -> Tensor:
    """Numbers of the `count` channels along `axis` with the largest sum of absolute values, in rising order."""
    if count > weight.shape[axis]:
        raise ValueError(f"{count} channels were asked for: the wide network has {weight.shape[axis]}")
    strength = weight.abs().sum([d for d in range(weight.ndim) if d != axis])
    return strength.topk(count).indices.sort().values


def _put(source: Any, target: Any, weight: Tensor, outputs: Tensor) -> None:
    if weight.shape != target.weight.shape:
        raise ValueError(f"a weight of {list(target.weight.shape)} was expected: {list(weight.shape)} was found")
    target.weight.copy_(weight)
    if target.bias is not None:
        target.bias.copy_(source.bias[outputs])


def _copy_norm(source: nn.Module, target: nn.Module, kept: Tensor) -> None:
    if isinstance(source, nn.BatchNorm2d) and isinstance(target, nn.BatchNorm2d):
        own: Any = target
        for name, value in source.state_dict().items():
            getattr(own, name).copy_(value[kept] if value.ndim else value)
