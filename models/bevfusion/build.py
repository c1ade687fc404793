"""From named configurations or facts to a BEVFusion, and strict loading of its weights.

The six released checkpoints (revision db75150) are six presets; `bevfusion-both` has both heads. A configuration is a
plain dict, so that it can stand in model.yaml under `network`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from models.bevfusion.blocks import ConvFuser
from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.camera_decoder import LSSFPN, GeneralizedResNet
from models.bevfusion.camera_neck import GeneralizedLSSFPN
from models.bevfusion.center_head import NUSCENES_TASKS, CenterHead
from models.bevfusion.map_head import BEVSegmentationHead
from models.bevfusion.network import BEVFusion, CameraEncoder, ObjectHead
from models.bevfusion.pool import Grid
from models.bevfusion.second import SECOND, SECONDFPN
from models.bevfusion.sparse_encoder import CHANNELS, PADDINGS, SparseEncoder
from models.bevfusion.swin import SwinTransformer
from models.bevfusion.transfusion_head import TransFusionHead
from models.bevfusion.view_transform import DepthLSSTransform, LSSTransform
from models.facts import ModelError, ModelFacts

__all__ = ["PRESETS", "build_network", "facts_of", "preset_facts"]

ARCHITECTURE = "bevfusion"
Config = dict[str, Any]
OBJECTS = (
    ("car", (255, 158, 0)), ("truck", (255, 99, 71)), ("construction_vehicle", (233, 150, 70)), ("bus", (255, 69, 0)),
    ("trailer", (255, 140, 0)), ("barrier", (112, 128, 144)), ("motorcycle", (255, 61, 99)),
    ("bicycle", (220, 20, 60)), ("pedestrian", (0, 0, 230)), ("traffic_cone", (47, 79, 79)),
)  # fmt: skip
MAPS = (
    ("drivable_area", (166, 206, 227)), ("ped_crossing", (251, 154, 153)), ("walkway", (227, 26, 28)),
    ("stop_line", (253, 191, 111)), ("carpark_area", (255, 127, 0)), ("divider", (106, 61, 154)),
)  # fmt: skip
MAP_GRID = [[-50.0, 50.0, 0.5], [-50.0, 50.0, 0.5]]
NARROW = 51.2  # m from the LiDAR to the edge of the range: map models and the camera-only detector
WIDE = 54.0  # detectors with a LiDAR
IMAGE = {
    "size": [256, 704],  # height, width of the network's picture
    "resized_width": 768,  # of a whole picture before the crop: bottom edge kept, sides cut evenly
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
NORMALISATION = (
    "images: RGB / 255, minus mean, over std; points: x, y, z in m (LiDAR axes of nuScenes: x right, y forward, z up), "
    "intensity 0 to 255, age of the sweep in s; a voxel is the mean of its points"
)


def camera(edge: float, cell: float, depth_aware: bool) -> Config:
    """Swin-T at 256 x 704, lifted into 80 channels of a grid of `cell` m that is halved afterwards."""
    return {
        "depth_aware": depth_aware,
        "backbone": {"channels": 96, "depths": [2, 2, 6, 2], "heads": [3, 6, 12, 24]},
        "neck": 256,
        "channels": 80,
        "image_size": list(IMAGE["size"]),  # type: ignore[call-overload]
        "grid": [[-edge, edge, cell], [-edge, edge, cell], [-10.0, 10.0, 20.0]],
        "depths": [1.0, 60.0, 0.5],
        "downsample": 2,
    }


def lidar(edge: float, voxel: float, max_voxels: int) -> Config:
    """Voxels of `voxel` x `voxel` x 0.2 m from -5 to 3 m, ten points each, to 128 channels of two heights."""
    return {
        "point_range": [-edge, -edge, -5.0, edge, edge, 3.0],
        "voxel_size": [voxel, voxel, 0.2],
        "max_points": 10,
        "max_voxels": max_voxels,
        "in_channels": 5,
        "base_channels": 16,
        "channels": 128,
        "encoder_channels": [list(c) for c in CHANNELS],
    }


SECOND_DECODER: Config = {"kind": "second", "channels": [128, 256], "layers": [5, 5], "out": [256, 256]}
FUSER: Config = {"channels": 256}


def resnet_decoder(*widths: int) -> Config:
    """The camera-only decoder; widths of its three stages."""
    return {"kind": "resnet", "widths": list(widths), "out": 256}


def transfusion(edge: float, voxel: float) -> Config:
    """200 queries on cells of eight voxels."""
    return {"kind": "transfusion", "corner": [-edge, -edge], "voxel_size": [voxel, voxel], "queries": 200}


def center(edge: float, voxel: float) -> Config:
    """CenterPoint's head with six tasks on cells of eight voxels."""
    return {"kind": "center", "corner": [-edge, -edge], "voxel_size": [voxel, voxel]}


def map_head(edge: float, cell: float) -> Config:
    """Six classes on 200 x 200 cells of 0.5 m, read from a BEV map of `cell` m."""
    return {"input": [[-edge, edge, cell], [-edge, edge, cell]], "output": copy.deepcopy(MAP_GRID)}


def bevfusion_det() -> Config:
    """bevfusion-det.pth: cameras and LiDAR, detection (68.5 mAP on nuScenes val)."""
    return {
        "camera": camera(WIDE, 0.3, True), "lidar": lidar(WIDE, 0.075, 160_000), "fuser": dict(FUSER),
        "decoder": dict(SECOND_DECODER), "object": transfusion(WIDE, 0.075),
    }  # fmt: skip


def lidar_only_det() -> Config:
    """lidar-only-det.pth: LiDAR, detection (64.7 mAP)."""
    return {
        "lidar": lidar(WIDE, 0.075, 160_000), "decoder": dict(SECOND_DECODER), "object": transfusion(WIDE, 0.075)
    }  # fmt: skip


def camera_only_det() -> Config:
    """camera-only-det.pth: cameras, detection (35.6 mAP)."""
    return {
        "camera": camera(NARROW, 0.4, False), "decoder": resnet_decoder(128, 256, 512), "object": center(NARROW, 0.1)
    }  # fmt: skip


def bevfusion_seg() -> Config:
    """bevfusion-seg.pth: cameras and LiDAR, map segmentation (63.0 mIoU)."""
    return {
        "camera": camera(NARROW, 0.4, False), "lidar": lidar(NARROW, 0.1, 120_000), "fuser": dict(FUSER),
        "decoder": dict(SECOND_DECODER), "map": map_head(NARROW, 0.8),
    }  # fmt: skip


def lidar_only_seg() -> Config:
    """lidar-only-seg.pth: LiDAR, map segmentation (48.6 mIoU)."""
    return {"lidar": lidar(NARROW, 0.1, 120_000), "decoder": dict(SECOND_DECODER), "map": map_head(NARROW, 0.8)}


def camera_only_seg() -> Config:
    """camera-only-seg.pth: cameras, map segmentation (57.1 mIoU)."""
    return {
        "camera": camera(NARROW, 0.4, False), "decoder": resnet_decoder(160, 320, 640), "map": map_head(NARROW, 0.8)
    }  # fmt: skip


def bevfusion_both() -> Config:
    """Both heads on one decoder; never released. Each task is worse for the other (docs/bevfusion.md)."""
    return {**bevfusion_det(), "map": map_head(WIDE, 0.6)}


PRESETS = {
    "bevfusion-det": bevfusion_det,
    "bevfusion-seg": bevfusion_seg,
    "lidar-only-det": lidar_only_det,
    "lidar-only-seg": lidar_only_seg,
    "camera-only-det": camera_only_det,
    "camera-only-seg": camera_only_seg,
    "bevfusion-both": bevfusion_both,
}


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    return facts_of(PRESETS[preset](), f"random:{preset}")


def facts_of(config: Config, name: str) -> ModelFacts:
    """Facts of a network that is not trained yet. `classes` are the object classes, then the map classes."""
    rows = (OBJECTS if "object" in config else ()) + (MAPS if "map" in config else ())
    found = config.get("lidar")
    edge = abs((config.get("camera") or {"grid": [[0.0]]})["grid"][0][0])
    box = found["point_range"] if found else (-edge, -edge, -5.0, edge, edge, 3.0)
    return ModelFacts(
        name=name,
        architecture=ARCHITECTURE,
        network=config,
        classes=tuple({"name": n, "rgb": list(rgb)} for n, rgb in rows),
        voxel_size=float(found["voxel_size"][0]) if found else 0.0,
        features=("x", "y", "z", "intensity", "age") if found else (),
        normalisation=NORMALISATION,
        point_range=tuple(float(v) for v in box),
        image={**copy.deepcopy(IMAGE), "size": list(config["camera"]["image_size"])} if "camera" in config else None,
        trained=False,
    )


def build_network(facts: ModelFacts, seed: int | None = None) -> BEVFusion:
    """The network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    if facts.architecture != ARCHITECTURE:
        raise ModelError(f"{facts.name}: architecture {facts.architecture!r} is not {ARCHITECTURE}")
    try:
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            return build(facts.network).eval()
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit BEVFusion ({error!r})") from None


def build(config: Config) -> BEVFusion:
    """The network of a configuration, in the house's order: encoders, fuser, decoder, heads."""
    unknown = set(config) - {"camera", "lidar", "fuser", "decoder", "object", "map", "boxes"}
    if unknown:
        raise ValueError(f"unknown parts {sorted(unknown)}")
    cameras = _camera(config["camera"]) if "camera" in config else None
    points = _lidar(config["lidar"]) if "lidar" in config else None
    channels = [config["camera"]["channels"]] if cameras is not None else []
    if points is not None:
        channels.append(config["lidar"]["channels"] * points.heights)
    fuser = ConvFuser(channels, config["fuser"]["channels"]) if "fuser" in config else None
    width = config["fuser"]["channels"] if "fuser" in config else channels[0]
    backbone, neck, width = _decoder(config["decoder"], width)
    objects = _objects(config["object"], width) if "object" in config else None
    maps = None
    if "map" in config:
        maps = BEVSegmentationHead(width, config["map"]["input"], config["map"]["output"], len(MAPS))
    return BEVFusion(cameras, points, fuser, backbone, neck, objects, maps)


def _camera(c: Config) -> CameraEncoder:
    backbone = SwinTransformer(**c["backbone"])
    widths = [c["backbone"]["channels"] << i for i in backbone.out]
    x, y, z = (tuple(bound) for bound in c["grid"])
    height, width = c["image_size"]
    kind = DepthLSSTransform if c["depth_aware"] else LSSTransform
    transform = kind(
        c["neck"], c["channels"], (height, width), (height // 8, width // 8), Grid(x, y, z), c["depths"],
        c["downsample"],
    )  # fmt: skip
    return CameraEncoder(backbone, GeneralizedLSSFPN(widths, c["neck"]), transform)


def _lidar(c: Config) -> SparseEncoder:
    low, high = c["point_range"][:3], c["point_range"][3:]
    x, y, z = (int(round((b - a) / s)) for a, b, s in zip(low, high, c["voxel_size"]))
    # one height more than the range holds, as released
    return SparseEncoder(
        c["in_channels"], (x, y, z + 1), c["channels"], c["encoder_channels"], PADDINGS, c["base_channels"]
    )


def _decoder(c: Config, width: int) -> tuple[SECOND | GeneralizedResNet, SECONDFPN | LSSFPN, int]:
    """(backbone, neck, channels of the neck's map)."""
    if c["kind"] == "second":
        return SECOND(width, c["channels"], c["layers"]), SECONDFPN(c["channels"], c["out"]), sum(c["out"])
    if c["kind"] == "resnet":
        one, two, three = c["widths"]
        return (
            GeneralizedResNet(width, ((2, one, 2), (2, two, 2), (2, three, 1))),
            LSSFPN((three, one), c["out"]),
            c["out"],
        )
    raise ValueError(f"decoder {c['kind']!r}: known are second and resnet")


def _objects(c: Config, width: int) -> ObjectHead:
    corner, voxel = tuple(c["corner"]), tuple(c["voxel_size"])
    if c["kind"] == "transfusion":
        return TransFusionHead(width, len(OBJECTS), BoxCoder(corner, voxel), c["queries"])
    if c["kind"] == "center":
        return CenterHead(width, BoxCoder(corner, voxel, score_threshold=0.1), NUSCENES_TASKS)
    raise ValueError(f"object head {c['kind']!r}: known are transfusion and center")
