"""bevfusion-lite by its facts: what `models.facts.load_network("bevfusion-lite")` builds."""

from __future__ import annotations

import copy
from typing import Any

import torch

from models.bevfusion.build import IMAGE, MAPS, OBJECTS
from models.bevfusion.lite.network import BevFusionLite
from models.facts import ModelError, ModelFacts

ARCHITECTURE = "bevfusion-lite"
Config = dict[str, Any]
NORMALISATION = (
    "images: RGB / 255, minus mean, over std; points: x, y, z in m (x forward, y left, z up, origin at the LiDAR), "
    "intensity 0 to 255, age of the sweep in s; two sweeps"
)


def config(
    channels: int = 48,
    edge: float = 51.2,
    size: tuple[int, int] = (256, 704),
    sensors: tuple[str, ...] = ("cameras", "lidar"),
    temporal: bool = True,
) -> Config:
    """Numbers of a network: pillars of 0.4 m to ±`edge` m, a trunk of `channels` at cells of 0.8 m.

    sensors, temporal: which sensors it is trained with, and whether with the temporal shift. A session leaves out what
    the network is not trained with.
    """
    half = 50.0 if edge > 50 else edge - 0.8
    return {
        "edge": edge,
        "pillar": 0.4,
        "heights": [-5.0, 3.0],
        "pillar_channels": 32,
        "features": 64,  # of the camera branch's map
        "context": 32,
        "depth_bins": [2.0, 80.0, 48, 0.5],
        "channels": channels,
        "map": [[-half, half, 0.5], [-half, half, 0.5]],
        "image_size": list(size),
        "sweeps": 2,
        "sensors": list(sensors),
        "temporal": temporal,
    }


PRESETS = {
    "bevfusion-lite": lambda: config(),
    "bevfusion-lite-small": lambda: config(channels=32, size=(192, 512)),
    "bevfusion-lite-tiny": lambda: config(channels=16, edge=12.8, size=(64, 96)),  # for tests
}


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset."""
    return facts_of(PRESETS[preset](), f"random:{preset}")


def facts_of(numbers: Config, name: str) -> ModelFacts:
    """Facts of a network that is not trained yet. `classes` are the object classes, then the map classes."""
    edge, (low, high) = numbers["edge"], numbers["heights"]
    return ModelFacts(
        name=name,
        architecture=ARCHITECTURE,
        network=numbers,
        classes=tuple({"name": n, "rgb": list(rgb)} for n, rgb in OBJECTS + MAPS),
        voxel_size=float(numbers["pillar"]),
        features=("x", "y", "z", "intensity", "age"),
        normalisation=NORMALISATION,
        point_range=(-edge, -edge, low, edge, edge, high),
        image={**copy.deepcopy(IMAGE), "size": list(numbers["image_size"]),
               "resized_width": round(numbers["image_size"][1] * 768 / 704)},
        trained=False,
    )  # fmt: skip


def build_network(facts: ModelFacts, seed: int | None = None) -> BevFusionLite:
    """The network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    try:
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            return BevFusionLite(facts.network, len(OBJECTS), len(MAPS)).eval()
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {ARCHITECTURE} ({error!r})") from None
