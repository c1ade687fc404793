"""Sizes of StyleGAN2, AnyCost, StyleGAN2-ADA and MSG-GAN networks, read from the shapes of a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.gan.style_layers import BASE_CHANNELS

State = Mapping[str, Tensor]
Found = tuple[str, dict[str, Any]]


def _numbers(state: State, start: str) -> list[int]:
    """The numbers N of the keys `start`N…, sorted."""
    found = {k[len(start) :].split(".")[0] for k in state if k.startswith(start)}
    return sorted(int(n) for n in found if n.isdigit())


def _multiplier(widths: Mapping[int, int]) -> dict[str, float | int]:
    """channel_multiplier and channel_max from the width at each resolution."""
    side, cap = max(widths), max(widths.values())
    return {"channel_multiplier": widths[side] / BASE_CHANNELS[side], "channel_max": cap}


def anycost_network(state: State) -> Found:
    """The StyleGAN2 generator in AnyCost's layout."""
    convs = _numbers(state, "convs.")
    widths = {4: int(state["input.input"].shape[1])}
    widths |= {2 ** (i // 2 + 3): int(state[f"convs.{i}.conv.weight"].shape[1]) for i in convs[1::2]}
    network: dict[str, Any] = {"resolution": max(widths), "style_dim": int(state["style.1.weight"].shape[1])}
    return "gan-anycost", {**network, "n_mlp": len(_numbers(state, "style.")), **_multiplier(widths)}


def stylegan2_discriminator(state: State) -> Found:
    """The StyleGAN2 discriminator, or AnyCost's of several resolutions."""
    if "blocks.0.conv1.0.weight" in state:
        blocks, name = _numbers(state, "blocks."), "gan-anycost-discriminator"
        outputs = [int(state[f"blocks.{i}.conv2.1.weight"].shape[0]) for i in blocks]
        entries = _numbers(state, "convs.")
        extra: dict[str, Any] = {
            "n_res": len(entries),
            "modulate": any(k.endswith("weight_mapping.weight") for k in state),
        }
    else:
        blocks, name, extra = _numbers(state, "convs.")[1:], "gan-stylegan2-discriminator", {}
        outputs = [int(state[f"convs.{i}.conv2.1.weight"].shape[0]) for i in blocks]
    side = 4 * 2 ** len(blocks)
    widths = {side: int(state["convs.0.0.weight"].shape[0])}
    widths |= {side // 2 ** (i + 1): width for i, width in enumerate(outputs)}
    return name, {"resolution": side, **_multiplier(widths), **extra}


def ada_network(state: State) -> Found:
    """The StyleGAN2-ADA generator."""
    sides = _numbers(state, "synthesis.b")
    widths = {side: int(state[f"synthesis.b{side}.conv1.weight"].shape[0]) for side in sides}
    first = state["mapping.fc0.weight"]
    classes = int(state["mapping.embed.weight"].shape[1]) if "mapping.embed.weight" in state else 0
    w_dim = int(first.shape[0])
    return "gan-stylegan2-ada", {
        "z_dim": int(first.shape[1]) - (w_dim if classes else 0),
        "c_dim": classes,
        "w_dim": w_dim,
        "img_resolution": max(sides),
        "img_channels": int(state["synthesis.b4.torgb.weight"].shape[0]),
        "num_layers": len(_numbers(state, "mapping.fc")),
        "channel_base": widths[max(sides)] * max(sides),
        "channel_max": max(widths.values()),
    }


def msg_network(state: State) -> Found:
    """The MSG-GAN generator."""
    depth = len(_numbers(state, "rgb_converters."))
    return "gan-msg", {"depth": depth, "latent_size": int(state["layers.0.conv_1.weight"].shape[0])}
