"""From facts or a preset to a GAN's network.

Architectures are keys of ARCHITECTURES; `network` in a model's facts holds the constructor's arguments. Pictures are
RGB in [-1, 1]: uint8 / 127.5 - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from models.facts import ModelError, ModelFacts
from models.gan.anycost import AnycostGenerator
from models.gan.msggan import MsgDiscriminator, MsgGenerator
from models.gan.patchgan import NLayerDiscriminator
from models.gan.plain import PlainDiscriminator, PlainGenerator
from models.gan.range_style import RangeStyle
from models.gan.resnet import MobileResnetGenerator, ResnetGenerator, SubMobileResnetGenerator
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from models.gan.spade_discriminator import MultiscaleDiscriminator
from models.gan.spade_encoder import SpadeEncoder
from models.gan.spade_generator import MobileSpadeGenerator, SpadeGenerator
from models.gan.spade_supernet import SuperMobileSpadeGenerator
from models.gan.style_discriminator import MultiResolutionDiscriminator, StyleGan2Discriminator
from models.gan.stylegan2_ada import StyleGan2AdaGenerator
from models.gan.stylegan2_ada_discriminator import StyleGan2AdaDiscriminator
from models.gan.tone import ToneLut, ToneResidual
from models.gan.unet import UnetGenerator

__all__ = ["ARCHITECTURES", "PRESETS", "build_network", "facts_of", "preset_facts"]

NORMALISATION = "RGB of 0..255 to -1..1 (x / 127.5 - 1)"
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "gan-resnet": ResnetGenerator,
    "gan-mobile-resnet": MobileResnetGenerator,
    "gan-sub-mobile-resnet": SubMobileResnetGenerator,
    "gan-super-mobile-resnet": SuperMobileResnetGenerator,
    "gan-unet": UnetGenerator,
    "gan-patchgan": NLayerDiscriminator,
    "gan-spade": SpadeGenerator,
    "gan-mobile-spade": MobileSpadeGenerator,
    "gan-super-mobile-spade": SuperMobileSpadeGenerator,
    "gan-spade-discriminator": MultiscaleDiscriminator,
    "gan-spade-encoder": SpadeEncoder,
    "gan-anycost": AnycostGenerator,
    "gan-anycost-discriminator": MultiResolutionDiscriminator,
    "gan-stylegan2-discriminator": StyleGan2Discriminator,
    "gan-stylegan2-ada": StyleGan2AdaGenerator,
    "gan-stylegan2-ada-discriminator": StyleGan2AdaDiscriminator,
    "gan-msg": MsgGenerator,
    "gan-msg-discriminator": MsgDiscriminator,
    "gan-plain": PlainGenerator,
    "gan-plain-discriminator": PlainDiscriminator,
    "gan-tone": ToneLut,
    "gan-tone-residual": ToneResidual,
    "gan-range-style": RangeStyle,
}
# Names that `random:` takes: architecture and constructor arguments.
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "gan-resnet9": ("gan-resnet", {"ngf": 64}),
    "gan-mobile-resnet9": ("gan-mobile-resnet", {"ngf": 48}),
    "gan-horse2zebra": ("gan-sub-mobile-resnet", {"config": "16_16_32_16_32_32_16_16"}),
    "gan-super-resnet9": ("gan-super-mobile-resnet", {"ngf": 48}),
    "gan-unet256": ("gan-unet", {"num_downs": 8}),
    "gan-spade-cityscapes": ("gan-mobile-spade", {"semantic_nc": 36, "config": "32_40_40_32_40_24_32_24"}),
    "gan-anycost-256": ("gan-anycost", {"resolution": 256, "channel_multiplier": 0.5, "channel_max": 128}),
    "gan-stylegan2-256": ("gan-stylegan2-ada", {"img_resolution": 256, "channel_base": 16384, "channel_max": 128}),
    "gan-msg-128": ("gan-msg", {"depth": 6, "latent_size": 128}),
    "gan-plain-64": ("gan-plain", {"size": 64}),
    "gan-tone": ("gan-tone", {}),
    "gan-tone-residual": ("gan-tone-residual", {}),
    "gan-range-style": ("gan-range-style", {}),
}


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    architecture, network = PRESETS[preset]
    return facts_of(architecture, network, f"random:{preset}")


def facts_of(architecture: str, network: dict[str, Any], name: str) -> ModelFacts:
    """Facts of a network that is not trained yet."""
    return ModelFacts(
        name=name,
        architecture=architecture,
        network=dict(network),
        classes=(),
        features=("red", "green", "blue"),
        normalisation=NORMALISATION,
        trained=False,
    )


def build_network(facts: ModelFacts, seed: int | None = None) -> nn.Module:
    """The network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    if facts.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"{facts.name}: architecture {facts.architecture!r} is unknown; known: {known}")
    try:
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            return ARCHITECTURES[facts.architecture](**facts.network).eval()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {facts.architecture} ({error})") from None
