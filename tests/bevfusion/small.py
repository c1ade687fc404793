"""Small BEVFusions with every part, and a rig of cameras around them."""

import copy

import numpy as np

from models.bevfusion.build import facts_of
from models.bevfusion.calibration import CameraCalibration

FULL = {
    "camera": {
        "depth_aware": True,
        "backbone": {"channels": 8, "depths": [1, 1, 2, 1], "heads": [1, 1, 2, 2]},
        "neck": 16,
        "channels": 8,
        "image_size": [64, 96],
        "grid": [[-12.8, 12.8, 0.4], [-12.8, 12.8, 0.4], [-10.0, 10.0, 20.0]],
        "depths": [1.0, 15.0, 1.0],
        "downsample": 2,
    },
    "lidar": {
        "point_range": [-12.8, -12.8, -5.0, 12.8, 12.8, 3.0],
        "voxel_size": [0.1, 0.1, 0.2],
        "max_points": 10,
        "max_voxels": 5000,
        "in_channels": 5,
        "base_channels": 4,
        "channels": 8,
        "encoder_channels": [[4, 4, 8], [8, 8, 8], [8, 8, 8], [8, 8]],
    },
    "fuser": {"channels": 16},
    "decoder": {"kind": "second", "channels": [8, 16], "layers": [1, 1], "out": [8, 8]},
    "object": {"kind": "transfusion", "corner": [-12.8, -12.8], "voxel_size": [0.1, 0.1], "queries": 20},
    "map": {"input": [[-12.8, 12.8, 0.8]] * 2, "output": [[-12.0, 12.0, 0.5], [-10.0, 10.0, 0.5]]},
}


def config(*parts):
    """The named parts of FULL; a camera-only one gets its own decoder and CenterHead."""
    out = copy.deepcopy({part: FULL[part] for part in (*parts, "decoder")})
    if "camera" in parts and "lidar" in parts:
        out["fuser"] = dict(FULL["fuser"])
    if "lidar" not in parts:
        out["camera"]["depth_aware"] = False
        out["decoder"] = {"kind": "resnet", "widths": [8, 8, 16], "out": 16}
        if "object" in parts:
            out["object"] = {"kind": "center", "corner": [-12.8, -12.8], "voxel_size": [0.1, 0.1]}
    return out


def facts(*parts):
    """Facts of a small random model with these parts."""
    return facts_of(config(*parts), "random:small")


def rig(count=3, size=(90, 160)):
    """Cameras that look around in equal steps, 1 m below the LiDAR, x forward."""
    forward = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    out = {}
    for i in range(count):
        angle = 2 * np.pi * i / count
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn @ forward, (0, 0, -1.0)
        k = [[80.0, 0, size[1] / 2], [0, 80.0, size[0] / 2], [0, 0, 1]]
        out[f"camera{i}"] = CameraCalibration.build(k, pose, size)
    return out


def scene(seed=0, cameras=3, size=(90, 160), points=3000):
    """(images, points) of no meaning."""
    rng = np.random.default_rng(seed)
    images = {f"camera{i}": rng.integers(0, 256, (*size, 3), np.uint8) for i in range(cameras)}
    cloud = rng.uniform((-13, -13, -3, 0, 0), (13, 13, 2, 255, 0.5), (points, 5)).astype(np.float32)
    return images, cloud
