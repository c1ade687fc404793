"""A scene of nuScenes in the official table layout -> a bag: sweeps, six cameras, boxes of the keyframes, poses, map.

The bag's map frame is the global one, moved to the scene's first pose (note `map_origin`); sample tokens travel on
/ground_truth/sample_token, so that scores and result files refer to the official samples.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import Matrix, apply, invert
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.convert import Converted
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import LIDAR_FROM_LIDAR_TOP, read_lidar_top
from perception_nodes.datasets.nuscenes_map import read_nuscenes_map
from perception_nodes.datasets.nuscenes_tables import LIDAR, NuScenesTables, Shot
from perception_nodes.datasets.progress import progress

MAP_REACH_M = 100.0  # of the map around the drive
RACKS, TOKENS = "/ground_truth/bicycle_racks", "/ground_truth/sample_token"


def convert_nuscenes_scene(
    src: str | Path,
    out: str | Path,
    scene: str | None = None,
    storage: str = "mcap",
    compression: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """A scene -> bag. scene: its name (scene-0061), if there are several. Files that are absent are counted in the
    remarks (the sweeps between keyframes come in a download of their own).

    Raises DatasetError or BagError, one sentence each.
    """
    tables = NuScenesTables(src)
    row = tables.scene(scene)
    shots = tables.shots(row)
    there = [shot for shot in shots if shot.path.is_file()]
    if not any(shot.channel == LIDAR for shot in there):
        raise DatasetError(f"{tables.root}: the scene {row['name']} has no sweep of {LIDAR} below samples/ or sweeps/")
    origin = there[0].map_from_base[:3, 3].copy()
    places = np.concatenate([[origin[:2]], [shot.map_from_base[:2, 3] for shot in there]])
    location = tables.location(row)
    path = tables.root / "maps" / "expansion" / f"{location}.json"
    shapes = read_nuscenes_map(path, places, MAP_REACH_M, bag_frames.MAP_FRAME)
    boxes = 0
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"nuScenes {tables.version}, {row['name']}; CC BY-NC-SA 4.0 and the nuScenes terms of use")
        bag.note("map_origin", json.dumps({"xyz": origin.tolist(), "location": location}))
        first = there[0].stamp_ns
        bag_frames.write_static(bag, _mounts(there), first)
        bag_frames.write_box_classes(bag, first)
        if shapes is not None:
            bag_frames.write_map_shapes(bag, shapes, first)
        for shot in progress(there, len(there), str(row["name"])):
            map_from_base = bag_frames.from_origin(shot.map_from_base, origin)
            bag_frames.write_pose(bag, map_from_base, shot.stamp_ns)
            if shot.channel == LIDAR:
                boxes += _write_sweep(bag, tables, shot)
            elif shot.k is not None:
                bag_frames.write_camera(bag, _name(shot.channel), shot.path, shot.k, shot.stamp_ns)
    sweeps = sum(shot.channel == LIDAR for shot in there)
    remarks = [f"{boxes} boxes on {sum(bool(s.sample) for s in there if s.channel == LIDAR)} keyframes"]
    if len(there) < len(shots):
        remarks.append(f"{len(shots) - len(there)} of {len(shots)} files are absent, for instance {_absent(shots)}")
    if shapes is None:
        remarks.append(f"{path} is absent: a bag without a map (download the map expansion pack)")
    return Converted(bag.path, sweeps, len(there) - sweeps, 0, len(there), tuple(remarks))


def _name(channel: str) -> str:
    return channel.removeprefix("CAM_").lower()


def _absent(shots: list[Shot]) -> Path:
    return next(shot.path for shot in shots if not shot.path.is_file())


def _mounts(shots: list[Shot]) -> list[tuple[str, Matrix]]:
    """(frame, base_from_sensor) of every sensor; they do not change within a scene."""
    found = {}
    for shot in shots:
        if shot.channel == LIDAR:
            found[bag_frames.LIDAR_FRAME] = shot.base_from_sensor @ invert(LIDAR_FROM_LIDAR_TOP)
        else:
            found[f"camera_{_name(shot.channel)}"] = shot.base_from_sensor
    return list(found.items())


def _write_sweep(bag: BagWriter, tables: NuScenesTables, shot: Shot) -> int:
    """A sweep, and for a keyframe its boxes, racks and token. Returns how many boxes."""
    points = read_lidar_top(shot.path)
    columns = {
        "xyz": apply(LIDAR_FROM_LIDAR_TOP, points[:, :3]),
        "intensity": points[:, 3] / np.float32(255),
        "ring": points[:, 4].astype(np.uint16),
    }
    bag_frames.write_sweep(bag, columns, shot.stamp_ns)
    if not shot.sample:
        return 0
    boxes, racks = tables.boxes(shot.sample, shot.stamp_ns)
    base_from_map = invert(shot.map_from_base)
    bag_frames.write_boxes(bag, boxes.moved(bag_frames.BASE_FRAME, base_from_map))
    if len(racks):
        bag_frames.write_detections(bag, RACKS, racks.moved(bag_frames.BASE_FRAME, base_from_map))
    bag.write(TOKENS, make("std_msgs/msg/String", data=shot.sample), shot.stamp_ns)
    return len(boxes)
