"""PandaSet in the plain layout -> a bag: Pandar64 sweeps with point classes, six cameras, boxes, poses, lane lines.

base_link is PandaSet's vehicle frame (x in the driving direction, about 0.3 m above the road). The PandarGT's points
are left out: it runs free of the Pandar64, so that moving objects stand at two places.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import invert
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.convert import Converted
from perception_nodes.datasets.pandaset import PandaSetFrame, PandaSetSequence
from perception_nodes.datasets.progress import progress
from perception_nodes.messages.map_shapes import MapShapes, map_shapes_values

LANES = "/ground_truth/lanes"


def convert_pandaset(
    src: str | Path, out: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
) -> Converted:
    """A PandaSet sequence -> bag. Raises DatasetError or BagError, one sentence each."""
    sequence = PandaSetSequence(src)
    numbers = sequence.numbers
    first = sequence.frame(numbers[0])
    begin = min([first.stamp_ns, *(c.stamp_ns for c in first.cameras.values())])
    pictures = 0
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"PandaSet, {sequence.folder.name}; CC BY 4.0 with the PandaSet terms: no redistribution")
        cameras = [(f"camera_{name}", matrix) for name, matrix in sequence.base_from_cameras.items()]
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, sequence.base_from_lidar), *cameras], begin)
        bag_frames.write_class_table(bag, begin)
        bag_frames.write_box_classes(bag, begin)
        lanes = sequence.lanes()
        if lanes:
            shapes = MapShapes({}, {"lane": lanes}, bag_frames.MAP_FRAME)
            bag.write(LANES, make("std_msgs/msg/String", **map_shapes_values(shapes)), begin)
        for number in progress(numbers, len(numbers), sequence.folder.name):
            frame = first if number == numbers[0] else sequence.frame(number)
            pictures += _write_frame(bag, sequence, frame)
    lines = f"{len(lanes)} lane lines on {LANES}: not the whole map of the road"
    remarks = ("the PandarGT's points are left out", lines)
    return Converted(bag.path, len(numbers), pictures, len(numbers), len(numbers) + pictures, remarks)


def _write_frame(bag: BagWriter, sequence: PandaSetSequence, frame: PandaSetFrame) -> int:
    """Everything of one frame in order of time: each camera at its own stamp, then the sweep. Returns the pictures."""
    for camera in sorted(frame.cameras.values(), key=lambda c: c.stamp_ns):
        base_from_camera = sequence.base_from_cameras[camera.name]
        bag_frames.write_pose(bag, camera.world_from_camera @ invert(base_from_camera), camera.stamp_ns)
        bag_frames.write_camera(bag, camera.name, camera.path, camera.k, camera.stamp_ns)
    world_from_base = frame.world_from_lidar @ invert(sequence.base_from_lidar)
    bag_frames.write_pose(bag, world_from_base, frame.stamp_ns)
    sweep = sequence.sweep(frame.number)
    columns: dict[str, NDArray] = {"xyz": sweep.xyz, "intensity": sweep.intensity, "time": sweep.time}
    bag_frames.write_sweep(bag, columns, frame.stamp_ns)
    bag_frames.write_labels(bag, sweep.label, np.zeros(len(sweep.label), np.uint16), frame.stamp_ns)
    boxes = replace(frame.boxes, points=frame.pandar64_points)
    boxes = boxes.select(np.array([bool(c) for c in boxes.category], bool))
    bag_frames.write_boxes(bag, boxes.moved(bag_frames.BASE_FRAME, invert(world_from_base)))
    return len(frame.cameras)
