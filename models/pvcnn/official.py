"""Released PVCNN checkpoints in (`s3dis.pvcnn.*.pth.tar`, `shapenet.pvcnn.*.pth.tar`), model folders out.

The files hold {'model': state dict, …} with keys behind `module.`; widths, classes and squeeze-excitation follow from
the shapes. Grid resolutions do not: they are the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from models.checkpoints import read_checkpoint, save_model
from models.facts import ModelError, ModelFacts
from models.pvcnn.build import (
    PRESETS,
    S3DIS_CLASSES,
    SHAPENET_FEATURES,
    PointSpec,
    build_network,
    facts_of,
)
from models.state import load_weights

FIRST = "point_features.0.voxel_layers.0.weight"
CLASSIFIER = "classifier.0.layers.0.weight"
ORIGIN = {"pvcnn-s3dis": "S3DIS (released weights)", "pvcnn-shapenet": "ShapeNet Part (released weights)"}


def spec_of(state: Mapping[str, Tensor], architecture: str) -> PointSpec:
    """What network a released state dict belongs to. Raises ModelError where it is of another kind."""
    last = "classifier.4.weight" if architecture == "pvcnn-s3dis" else "classifier.5.weight"
    needed = [FIRST, CLASSIFIER, last] + ["cloud_features.0.0.weight"] * (architecture == "pvcnn-s3dis")
    missing = [key for key in needed if key not in state]
    if missing:
        raise ModelError(
            f"the checkpoint has no {missing[0]}: expected a released {architecture}; found {sorted(state)[:3]} …"
        )
    classes, extra = int(state[last].shape[0]), int(state[FIRST].shape[1]) - 3
    with_se = "point_features.0.voxel_layers.6.fc.0.weight" in state
    hidden = int(state[CLASSIFIER].shape[0])
    numbers: dict[str, Any] = {"num_classes": classes, "extra_feature_channels": extra, "with_se": with_se}
    if architecture == "pvcnn-s3dis":
        names = S3DIS_CLASSES if classes == len(S3DIS_CLASSES) else _numbered(classes)
        released = PRESETS["pvcnn-s3dis-c1"].features
        features = released if extra == 6 else tuple(f"feature-{i}" for i in range(3 + extra))
        return PointSpec(architecture, {**numbers, "width_multiplier": hidden / 512}, features, names)
    width = hidden / 256
    points = sum(int(v.shape[0]) for k, v in state.items() if _widths(k))
    final = max((k for k in state if _widths(k)), key=lambda k: int(k.split(".")[1]))
    shapes = int(state[CLASSIFIER].shape[1]) - points - int(state[final].shape[0])
    numbers |= {"num_shapes": shapes, "width_multiplier": width}
    features = SHAPENET_FEATURES if extra == 3 else tuple(f"feature-{i}" for i in range(3 + extra + 1))
    return PointSpec(architecture, numbers, features, _numbered(classes))


def _widths(key: str) -> bool:
    """Whether an entry's first axis is the width of a layer on points: the point branch of each block."""
    parts = key.split(".")
    return parts[0] == "point_features" and key.endswith("layers.0.weight") and "voxel_layers" not in parts


def _numbered(classes: int) -> tuple[str, ...]:
    return tuple(f"class-{i}" for i in range(classes))


def convert(checkpoint: str | Path, out: str | Path, architecture: str) -> ModelFacts:
    """Converts a released checkpoint to a model folder `out`; returns its facts.

    architecture: "pvcnn-s3dis" or "pvcnn-shapenet". Raises ModelError; nothing is written in that case."""
    if architecture not in ORIGIN:
        raise ModelError(f"architecture {architecture!r} was never released; known: {', '.join(ORIGIN)}")
    state = read_checkpoint(checkpoint)
    facts = facts_of(spec_of(state, architecture), Path(out).name)
    network = build_network(facts)
    load_weights(network, state, str(checkpoint))
    return save_model(network, replace(facts, trained=True, training_data=ORIGIN[architecture]), out)
