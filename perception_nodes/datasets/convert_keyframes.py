"""nuScenes and Argoverse 2 -> bags with boxes as ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import yaw_of
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.argoverse2 import LIDAR_POSITION, open_argoverse_log
from perception_nodes.datasets.argoverse2_map import read_argoverse_map
from perception_nodes.datasets.argoverse2_official import is_official
from perception_nodes.datasets.convert import Converted
from perception_nodes.datasets.convert_argoverse2_official import convert_official_log
from perception_nodes.datasets.convert_nuscenes_tables import convert_nuscenes_scene
from perception_nodes.datasets.ego_sweep import write_ego_sweep
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import NuScenesKeyframe, read_nuscenes_keyframe
from perception_nodes.datasets.nuscenes_tables import is_tables
from perception_nodes.datasets.progress import progress
from perception_nodes.messages.grid import Grid, grid_values

RASTER_M = 0.5  # a cell of the keyframe's drivable area


def convert_nuscenes(
    src: str | Path,
    out: str | Path,
    scene: str | None = None,
    storage: str = "mcap",
    compression: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """nuScenes -> a bag: a scene of the official table layout, or a plain keyframe folder (one sweep, its pictures,
    each at its own stamp, boxes, TF, pose, drivable area).

    scene: which one of the tables, if there are several.

    Raises DatasetError or BagError, one sentence each.
    """
    if is_tables(Path(src)):
        return convert_nuscenes_scene(src, out, scene, storage, compression, overwrite)
    frame = read_nuscenes_keyframe(src)
    origin = frame.map_from_base[:3, 3]
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"nuScenes, {frame.name}; CC BY-NC-SA 4.0 and the nuScenes terms of use")
        first = min([frame.stamp_ns, *(c.stamp_ns for c in frame.cameras.values())])
        cameras = [(f"camera_{name}", c.base_from_camera) for name, c in frame.cameras.items()]
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, frame.base_from_lidar), *cameras], first)
        bag_frames.write_box_classes(bag, first)
        for camera in sorted(frame.cameras.values(), key=lambda c: c.stamp_ns):
            bag_frames.write_pose(bag, bag_frames.from_origin(camera.map_from_base, origin), camera.stamp_ns)
            bag_frames.write_camera(bag, camera.name, camera.path, camera.k, camera.stamp_ns)
        if frame.drivable is not None:
            grid = make("nav_msgs/msg/OccupancyGrid", **grid_values(_drivable_grid(frame, frame.drivable)))
            bag.write("/ground_truth/map/drivable_area", grid, first)
        _write_keyframe(bag, frame)
    return Converted(bag.path, 1, len(frame.cameras), 0, 1 + len(frame.cameras), ())


def convert_argoverse2(
    src: str | Path, out: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
) -> Converted:
    """An Argoverse 2 log, plain or official -> bag: sweeps (in the ego frame, base_link), the LiDAR's place, boxes,
    pose, map; the official layout's cameras too.

    Raises DatasetError or BagError, one sentence each.
    """
    if is_official(Path(src)):
        return convert_official_log(Path(src), out, storage, compression, overwrite)
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
        origin: NDArray[np.float64] | None = None
        for sweep in progress(log.sweeps(), len(log), log.folder.name):
            if origin is None:
                origin = sweep.map_from_base[:3, 3].copy()
                shapes = read_argoverse_map(log.folder, origin, bag_frames.MAP_FRAME)
                if shapes is not None:
                    bag_frames.write_map_shapes(bag, shapes, first)
            write_ego_sweep(bag, sweep, origin)
    return Converted(bag.path, len(log), 0, 0, len(log), ("the log has no pictures: a bag of LiDAR alone",))


def _write_keyframe(bag: BagWriter, frame: NuScenesKeyframe) -> None:
    bag_frames.write_pose(bag, bag_frames.from_origin(frame.map_from_base, frame.map_from_base[:3, 3]), frame.stamp_ns)
    columns: dict[str, NDArray] = {"xyz": frame.xyz, "intensity": frame.intensity, "ring": frame.ring}
    bag_frames.write_sweep(bag, columns, frame.stamp_ns)
    bag_frames.write_boxes(bag, bag_frames.known_boxes(frame.boxes, {}))


def _drivable_grid(frame: NuScenesKeyframe, drivable: NDArray[np.bool_]) -> Grid:
    """The keyframe's raster in the map frame; its row 0 is farthest ahead, its column 0 farthest left, the LiDAR in its
    middle."""
    rows, columns = drivable.shape
    middle = frame.base_from_lidar[:3, 3] - (rows * RASTER_M / 2, columns * RASTER_M / 2, 0.0)
    corner = frame.map_from_base[:3, :3] @ (middle[0], middle[1], 0.0)
    mask = np.ascontiguousarray(drivable[::-1, ::-1].T)
    place = (float(corner[0]), float(corner[1]))
    return Grid(mask, RASTER_M, place, yaw_of(frame.map_from_base), bag_frames.MAP_FRAME, frame.stamp_ns)
