"""nuScenes keyframes and Argoverse 2 logs -> bags with boxes as ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import Matrix
from perception_nodes.classes import BOX_CLASSES
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.argoverse2 import BOX_CLASS_OF, LIDAR_POSITION, ArgoverseSweep, open_argoverse_log
from perception_nodes.datasets.convert import Converted
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import NuScenesKeyframe, read_nuscenes_keyframe
from perception_nodes.datasets.progress import progress
from perception_nodes.messages.detections import Detections3D

KNOWN = tuple(c.name for c in BOX_CLASSES)


def convert_nuscenes(
    src: str | Path, out: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
) -> Converted:
    """A nuScenes keyframe -> a bag of one sweep, its pictures (each at its own stamp), boxes, TF and pose.

    Raises DatasetError or BagError, one sentence each.
    """
    frame = read_nuscenes_keyframe(src)
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"nuScenes, {frame.name}; CC BY-NC-SA 4.0 and the nuScenes terms of use")
        first = min([frame.stamp_ns, *(c.stamp_ns for c in frame.cameras.values())])
        cameras = [(f"camera_{name}", c.base_from_camera) for name, c in frame.cameras.items()]
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, frame.base_from_lidar), *cameras], first)
        bag_frames.write_box_classes(bag, first)
        for camera in sorted(frame.cameras.values(), key=lambda c: c.stamp_ns):
            bag_frames.write_pose(bag, _local(camera.map_from_base, frame.map_from_base), camera.stamp_ns)
            bag_frames.write_camera(bag, camera.name, camera.path, camera.k, camera.stamp_ns)
        _write_keyframe(bag, frame)
    return Converted(bag.path, 1, len(frame.cameras), 0, 1 + len(frame.cameras), ())


def convert_argoverse2(
    src: str | Path, out: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
) -> Converted:
    """An Argoverse 2 log -> bag: sweeps (in the ego frame, base_link), the LiDAR's place, boxes, pose.

    Raises DatasetError or BagError, one sentence each.
    """
    log = open_argoverse_log(src)
    if not len(log):
        raise DatasetError(f"the log {log.folder} has no annotated sweep")
    first = int(log.rows[0]["timestamp_ns"])
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"Argoverse 2, {log.folder.name}; CC BY-NC-SA 4.0")
        bag.note("lidar", f"points are in base_link, as published; lidar is at {LIDAR_POSITION} m, the fleet's place")
        base_from_lidar = np.eye(4)
        base_from_lidar[:3, 3] = LIDAR_POSITION
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, base_from_lidar)], first)
        bag_frames.write_box_classes(bag, first)
        origin: Matrix | None = None
        for sweep in progress(log.sweeps(), len(log), log.folder.name):
            origin = sweep.map_from_base if origin is None else origin
            _write_sweep(bag, sweep, origin)
    return Converted(bag.path, len(log), 0, 0, len(log), ("the log has no pictures: a bag of LiDAR alone",))


def _write_keyframe(bag: BagWriter, frame: NuScenesKeyframe) -> None:
    bag_frames.write_pose(bag, _local(frame.map_from_base, frame.map_from_base), frame.stamp_ns)
    columns: dict[str, NDArray] = {"xyz": frame.xyz, "intensity": frame.intensity, "ring": frame.ring}
    bag_frames.write_sweep(bag, columns, frame.stamp_ns)
    bag_frames.write_boxes(bag, _known(frame.boxes, {}))


def _write_sweep(bag: BagWriter, sweep: ArgoverseSweep, origin: Matrix) -> None:
    bag_frames.write_pose(bag, _local(sweep.map_from_base, origin), sweep.stamp_ns)
    columns: dict[str, NDArray] = {
        "xyz": sweep.xyz,
        "intensity": sweep.intensity,
        "ring": sweep.ring,
        "time": sweep.time,
    }
    bag_frames.write_sweep(bag, columns, sweep.stamp_ns, bag_frames.BASE_FRAME)
    bag_frames.write_boxes(bag, _known(sweep.boxes, BOX_CLASS_OF))


def _local(map_from_base: Matrix, origin: Matrix) -> Matrix:
    """The pose in a map that begins where `origin` stands: float32 viewers lose centimetres at 1 km."""
    local = map_from_base.copy()
    local[:3, 3] -= origin[:3, 3]
    return local


def _known(boxes: Detections3D, names: dict[str, str]) -> Detections3D:
    """Boxes of the ten classes only, under their names there."""
    category = [names.get(c, c) for c in boxes.category]
    return boxes.renamed(category).select(np.array([c in KNOWN for c in category], bool))
