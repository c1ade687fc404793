"""From facts or a preset to a network, and strict loading of its weights."""

from __future__ import annotations

import torch
from torch import nn

from models.facts import ModelError, ModelFacts
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.presets import PRESETS, NetworkSpec
from models.spvcnn.spvcnn import SPVCNN
from models.spvcnn.spvnas import SPVNAS
from models.spvcnn.subnet import Subnet

ARCHITECTURES: dict[str, type[nn.Module]] = {"spvcnn": SPVCNN, "minkunet": MinkUNet, "spvnas": SPVNAS}
SUBNET_KEYS = ("channels", "transitions", "middles")

# SemanticKITTI's 19 classes in the order of the released checkpoints, with the colours of its API.
CLASSES = (
    ("car", (100, 150, 245)), ("bicycle", (100, 230, 245)), ("motorcycle", (30, 60, 150)), ("truck", (80, 30, 180)),
    ("other-vehicle", (0, 0, 255)), ("person", (255, 30, 30)), ("bicyclist", (255, 40, 200)),
    ("motorcyclist", (150, 30, 90)), ("road", (255, 0, 255)), ("parking", (255, 150, 255)), ("sidewalk", (75, 0, 75)),
    ("other-ground", (175, 0, 75)), ("building", (255, 200, 0)), ("fence", (255, 120, 50)), ("vegetation", (0, 175, 0)),
    ("trunk", (135, 60, 0)), ("terrain", (150, 240, 80)), ("pole", (255, 240, 150)), ("traffic-sign", (255, 0, 0)),
)  # fmt: skip

NORMALISATION = {
    True: "voxel means; height z/2, range log(1+r)/2, intensity 0..1 (0 where unknown, then known is 0), offsets of "
    "the mean from the voxel centre in voxels, count log2(1+n)/4; see models/spvcnn/features.py",
    False: "none: metres and intensity 0..1 of the point that stands for the voxel",
}


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    return facts_of(PRESETS[preset], f"random:{preset}")


def facts_of(spec: NetworkSpec, name: str) -> ModelFacts:
    """Facts of a network that is not trained yet."""
    shape = {"channels": list(spec.channels)} if spec.subnet is None else spec.subnet.numbers()
    return ModelFacts(
        name=name,
        architecture=spec.architecture,
        network={**shape, "num_classes": spec.num_classes},
        classes=tuple({"name": n, "rgb": list(rgb)} for n, rgb in CLASSES[: spec.num_classes]),
        voxel_size=spec.voxel_size,
        features=spec.features,
        normalisation=NORMALISATION["height" in spec.features],
        point_range=spec.point_range,
        trained=False,
    )


def spec_of(facts: ModelFacts) -> NetworkSpec:
    """The spec of a network that facts describe; `facts_of` is the inverse."""
    numbers = facts.network
    subnet = Subnet.from_numbers(**{k: numbers[k] for k in SUBNET_KEYS}) if "transitions" in numbers else None
    box = None if facts.point_range is None else tuple(facts.point_range)
    return NetworkSpec(
        facts.architecture,
        tuple(numbers["channels"]),
        numbers["num_classes"],
        facts.features,
        facts.voxel_size,
        box,
        subnet,
    )


def build_network(facts: ModelFacts, seed: int | None = None) -> nn.Module:
    """The network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    if facts.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{facts.name}: architecture {facts.architecture!r} is unknown; known: {', '.join(ARCHITECTURES)}"
        )
    if facts.architecture == "minkunet" and "point_branch" not in facts.network:
        numbers = dict(facts.network, point_branch=False)
    else:
        numbers = dict(facts.network)
    try:
        if seed is None:
            return ARCHITECTURES[facts.architecture](in_channels=len(facts.features), **numbers).eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ARCHITECTURES[facts.architecture](in_channels=len(facts.features), **numbers).eval()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {facts.architecture} ({error})") from None
