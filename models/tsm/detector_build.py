"""From facts or a preset to a video detector, and strict loading of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from models.facts import ModelError, ModelFacts
from models.tsm import imagenet
from models.tsm.build import NORMALISATION
from models.tsm.detector import DetectorSpec, TsmDetector

if TYPE_CHECKING:
    from models.tsm.detector_session import VideoDetector

__all__ = ["PRESETS", "build_network", "facts_of", "open_session", "preset_facts"]

ARCHITECTURE = "tsm-detector"
CLASSES = (
    ("car", (255, 158, 0)), ("truck", (255, 99, 71)), ("bus", (255, 69, 0)), ("two-wheeler", (220, 20, 60)),
    ("person", (0, 0, 230)),
)  # fmt: skip
# fit "stretch": the whole picture, whatever its proportions · period_s between the frames of the training clips
IMAGE = {
    "size": [192, 384], "mean": list(imagenet.MEAN), "std": list(imagenet.STD), "period_s": 0.2, "fit": "stretch",
}  # fmt: skip
PRESETS = {"tsm-detector-lite": DetectorSpec(), "tsn-detector-lite": DetectorSpec(mode="none")}


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    return facts_of(PRESETS[preset], f"random:{preset}")


def facts_of(spec: DetectorSpec, name: str) -> ModelFacts:
    """Facts of a detector that is not trained yet."""
    if spec.num_classes != len(CLASSES):
        raise ModelError(
            f"{name}: {spec.num_classes} classes, expected {len(CLASSES)}: {', '.join(n for n, _ in CLASSES)}"
        )
    return ModelFacts(
        name=name,
        architecture=ARCHITECTURE,
        network=spec.numbers(),
        classes=tuple({"name": n, "rgb": list(rgb)} for n, rgb in CLASSES),
        normalisation=NORMALISATION,
        image=dict(IMAGE),
        trained=False,
    )


def build_network(facts: ModelFacts, seed: int | None = None, imagenet_backbone: bool = False) -> nn.Module:
    """The detector that `facts` describe, in eval mode; `seed` makes its random weights reproducible;
    `imagenet_backbone`: start from ImageNet's weights (pip package, see models.tsm.imagenet)."""
    try:
        spec = DetectorSpec(**facts.network)
    except (TypeError, ModelError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {ARCHITECTURE} ({error})") from None
    state = imagenet.lite0_state() if imagenet_backbone else None
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return TsmDetector(spec, state).eval()


def open_session(name: str, runtime: str = "auto", threads: int = 2) -> VideoDetector:
    """The session of a model by name or folder, for one camera. Raises ModelError."""
    from models.tsm.detector_session import VideoDetector

    return VideoDetector.from_weights(name, runtime, threads)
