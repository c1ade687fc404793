"""An Argoverse 2 log in the official layout -> a bag: sweeps, ring and stereo cameras, boxes, poses, map."""

from __future__ import annotations

from pathlib import Path

from perception_nodes.bags.writer import BagWriter
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.argoverse2_map import read_argoverse_map
from perception_nodes.datasets.argoverse2_official import OfficialLog
from perception_nodes.datasets.convert import Converted
from perception_nodes.datasets.ego_sweep import write_ego_sweep
from perception_nodes.datasets.progress import progress


def convert_official_log(
    src: Path, out: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
) -> Converted:
    """A log -> bag. Points are in base_link, as published.

    Raises DatasetError or BagError; ImportError where pyarrow is not installed.
    """
    log = OfficialLog(src)
    events = [(stamp, "") for stamp in log.sweeps]
    events += [(stamp, name) for name, camera in log.cameras.items() for stamp in camera.pictures]
    events.sort(key=lambda event: (event[0], event[1] == "", event[1]))
    origin = log.pose(events[0][0])[:3, 3].copy()
    shapes = read_argoverse_map(src, origin, bag_frames.MAP_FRAME)
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"Argoverse 2, {src.name}; CC BY-NC-SA 4.0")
        bag.note("lidar", "points are in base_link, as published; lidar is the mount of the upper LiDAR")
        cameras = [(f"camera_{name}", camera.base_from_camera) for name, camera in log.cameras.items()]
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, log.base_from_lidar), *cameras], events[0][0])
        bag_frames.write_box_classes(bag, events[0][0])
        if shapes is not None:
            bag_frames.write_map_shapes(bag, shapes, events[0][0])
        for stamp, name in progress(events, len(events), src.name):
            if name:
                bag_frames.write_pose(bag, bag_frames.from_origin(log.pose(stamp), origin), stamp)
                bag_frames.write_camera(bag, name, log.cameras[name].pictures[stamp], log.cameras[name].k, stamp)
            else:
                write_ego_sweep(bag, log.sweep(stamp), origin)
    remarks = [] if log.cameras else ["the log has no pictures: a bag of LiDAR alone"]
    remarks += [] if shapes is not None else ["the log has no map"]
    return Converted(bag.path, len(log.sweeps), len(events) - len(log.sweeps), 0, len(events), tuple(remarks))
