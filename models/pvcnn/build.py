"""From facts or a preset to a network of the point-voxel family on dense grids, and strict loading of its weights.

Architectures: "pvcnn-s3dis" and "pvcnn-shapenet" (the released networks), "pointnet" and "voxel-unet" (what they are
compared with). The `-lite` presets are the street networks of equal multiply-accumulates (0.38 to 0.39 G a crop of
2,048 points; `macs.count_macs`), the others the released sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.facts import ModelError, ModelFacts
from models.pvcnn.crops import EXTRA, FEATURES, NORMALISATION, SCALE
from models.pvcnn.networks import PVCNN, ShapePVCNN, pointnet
from models.pvcnn.voxel_unet import VoxelUNet
from models.spvcnn.build import CLASSES

ARCHITECTURES: dict[str, Any] = {
    "pvcnn-s3dis": PVCNN,
    "pvcnn-shapenet": ShapePVCNN,
    "pointnet": pointnet,
    "voxel-unet": VoxelUNet,
}
S3DIS_CLASSES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board",
    "clutter",
)  # fmt: skip
S3DIS_FEATURES = ("x", "y", "z", "red", "green", "blue", "room_x", "room_y", "room_z")
SHAPENET_FEATURES = ("x", "y", "z", "normal_x", "normal_y", "normal_z", "shape_one_hot")


@dataclass(frozen=True)
class PointSpec:
    """architecture: a key of ARCHITECTURES · network: its constructor's numbers · features, classes: names ·
    voxel_size m of its finest grid, 0 where the cloud decides."""

    architecture: str
    network: dict[str, Any]
    features: tuple[str, ...] = FEATURES
    classes: tuple[str, ...] = tuple(name for name, _ in CLASSES)
    voxel_size: float = 0.0

    @property
    def on_streets(self) -> bool:
        """Whether it is fed crops of sweeps."""
        return self.features == FEATURES


def _street(architecture: str, voxel_size: float, **numbers: Any) -> PointSpec:
    numbers = {"num_classes": len(CLASSES), "extra_feature_channels": EXTRA, **numbers}
    return PointSpec(architecture, numbers, voxel_size=voxel_size)


def _s3dis(width: float) -> PointSpec:
    numbers = {"num_classes": 13, "extra_feature_channels": 6, "width_multiplier": width}
    return PointSpec("pvcnn-s3dis", numbers, S3DIS_FEATURES, S3DIS_CLASSES)


def _shapenet(width: float) -> PointSpec:
    numbers = {"num_classes": 50, "num_shapes": 16, "extra_feature_channels": 3, "width_multiplier": width}
    return PointSpec("pvcnn-shapenet", numbers, SHAPENET_FEATURES, tuple(f"part-{i}" for i in range(50)))


PRESETS: dict[str, PointSpec] = {
    "pvcnn-lite": _street(
        "pvcnn-s3dis", 2 * SCALE / 24, width_multiplier=0.25, voxel_resolution_multiplier=0.75, normalize=False
    ),
    "pointnet-lite": _street("pointnet", 0.0, width_multiplier=0.43),
    "voxel-lite": _street("voxel-unet", 2 * SCALE / 24, width=13, resolution=24, head=256, normalize=False),
    **{f"pvcnn-s3dis-c{c:g}": _s3dis(c) for c in (0.125, 0.25, 1.0)},
    **{f"pvcnn-shapenet-c{c:g}": _shapenet(c) for c in (0.25, 0.5, 1.0)},
}  # fmt: skip


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    return facts_of(PRESETS[preset], f"random:{preset}")


def facts_of(spec: PointSpec, name: str) -> ModelFacts:
    """Facts of a network that is not trained yet."""
    colours = dict(CLASSES)
    return ModelFacts(
        name=name,
        architecture=spec.architecture,
        network=dict(spec.network),
        classes=tuple({"name": n, "rgb": list(colours.get(n, (128, 128, 128)))} for n in spec.classes),
        voxel_size=spec.voxel_size,
        features=spec.features,
        normalisation=NORMALISATION if spec.on_streets else "as the data set gives them",
        trained=False,
    )


def build_network(facts: ModelFacts, seed: int | None = None) -> nn.Module:
    """The network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    if facts.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{facts.name}: architecture {facts.architecture!r} is unknown; known: {', '.join(ARCHITECTURES)}"
        )
    try:
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            return ARCHITECTURES[facts.architecture](**facts.network).eval()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {facts.architecture} ({error})") from None
