"""The one place where a spec becomes a network and where the shift is inserted."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from models.tsm.backbone import Backbone, ResidualBlock
from models.tsm.efficientnet_lite import efficientnet_lite0
from models.tsm.inflate import inflate_backbone
from models.tsm.lstm import LstmNetwork
from models.tsm.mobilenetv2 import mobilenet_v2
from models.tsm.network import ClipNetwork, VideoNetwork
from models.tsm.non_local import WithNonLocal
from models.tsm.resnet import ResNet
from models.tsm.shift import Shifted
from models.tsm.spec import FLOW_CHANNELS, TsmSpec
from models.tsm.tpool import TemporalPool
from models.tsm.two_stream import TwoStream, stream_spec

NON_LOCAL_AFTER = {"layer2": (0, 2), "layer3": (0, 2, 4)}


def build_backbone(spec: TsmSpec) -> Backbone:
    """The 2D network of a spec with random weights: no shift, no classifier."""
    if spec.backbone.startswith("resnet"):
        network: Backbone = ResNet(spec.backbone, spec.width, spec.in_channels)
    elif spec.backbone == "mobilenetv2":
        network = mobilenet_v2(spec.width, spec.in_channels)
    else:
        network = efficientnet_lite0(spec.width, spec.in_channels)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[:, 0].numel() / module.groups  # a depthwise output has one kernel
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
    return network


def insert_shift(backbone: Backbone, spec: TsmSpec) -> None:
    """Puts `Shifted` where the spec says: around the first layer of residual branches, or around whole blocks."""
    whole = spec.place != "blockres"
    for blocks, i, stride in backbone.whole_sites() if whole else backbone.shift_sites():
        block = cast(ResidualBlock, blocks[i])
        if whole:
            blocks[i] = Shifted(block, spec.fold_div, block.in_channels, stride)
        else:
            block.wrap_branch(_wrapper(spec.fold_div, block.in_channels, stride))


def _wrapper(fold_div: int, channels: int, stride: int) -> Callable[[nn.Module], nn.Module]:
    return lambda net: Shifted(net, fold_div, channels, stride)


def insert_non_local(backbone: ResNet) -> None:
    """Five non-local blocks, after the blocks of NON_LOCAL_AFTER."""
    for layer, places in NON_LOCAL_AFTER.items():
        blocks = getattr(backbone, layer)
        channels = backbone.feature_channels[0 if layer == "layer2" else 1]
        for i in places:
            blocks[i] = WithNonLocal(blocks[i], channels)


def assemble(spec: TsmSpec) -> Backbone:
    """The backbone with everything that the spec inserts into it."""
    backbone = build_backbone(spec)
    if spec.mode != "none":
        insert_shift(backbone, spec)
    if isinstance(backbone, ResNet) and spec.non_local:
        insert_non_local(backbone)
    if isinstance(backbone, ResNet) and spec.tpool:
        backbone.add_module("layer2", TemporalPool(backbone.layer2))
    return backbone


def _two_stream(spec: TsmSpec) -> VideoNetwork:
    rgb, flow = (stream_spec(spec, channels) for channels in (3, FLOW_CHANNELS))
    return TwoStream(spec, ClipNetwork(rgb, assemble(rgb)), ClipNetwork(flow, assemble(flow)))


def _inflated(spec: TsmSpec) -> VideoNetwork:
    backbone = assemble(spec)
    inflate_backbone(backbone, spec.inflate)
    return ClipNetwork(spec, backbone)


BUILDERS: dict[str, Callable[[TsmSpec], VideoNetwork]] = {
    "tsm": lambda spec: ClipNetwork(spec, assemble(spec)),
    "tsn": lambda spec: ClipNetwork(spec, assemble(spec)),
    "tsm-i3d": _inflated,
    "tsm-lstm": lambda spec: LstmNetwork(spec, assemble(spec)),
    "tsm-two-stream": _two_stream,
}


def build_tsm(spec: TsmSpec, seed: int | None = None) -> VideoNetwork:
    """The clip network of `spec`, in eval mode, with random weights (reproducible with a seed).

    forward(clip [N, T, C, H, W]) -> logits [N, K]; frame_logits(clip) -> [N, T, K].
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return BUILDERS[spec.architecture](spec).eval()
