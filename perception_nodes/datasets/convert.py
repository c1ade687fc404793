"""KITTI raw and SemanticKITTI -> bags. A conversion that fails leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_nodes.bags.writer import BagWriter
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.kitti_calibration import BASE_FROM_LIDAR
from perception_nodes.datasets.kitti_raw import KittiRawDrive, open_drive
from perception_nodes.datasets.kitti_tracklets import read_tracklets
from perception_nodes.datasets.progress import progress
from perception_nodes.datasets.semantickitti import open_sequence
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import decode_picture, encode_jpeg

JPEG_QUALITY = 95
# SemanticKITTI's times count from the start of a sequence; stamps of 0 mean "no time" in ROS, so they begin here.
START_NS = 1_000_000_000 * 10**9  # 2001-09-09 01:46:40 UTC


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote: the bag, how many of each, and remarks worth printing."""

    path: Path
    sweeps: int
    pictures: int
    labels: int
    poses: int
    remarks: tuple[str, ...]

    def summary(self) -> str:
        """What was written, and each remark on a line of its own."""
        counts = {"sweeps": self.sweeps, "pictures": self.pictures, "labelled": self.labels, "poses": self.poses}
        text = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return "\n".join([f"{self.path}: {text}", *(f"  {remark}" for remark in self.remarks)])


def convert_kitti_raw(
    src: str | Path,
    out: str | Path,
    drive: str | None = None,
    storage: str = "mcap",
    compression: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """A KITTI raw drive -> bag: sweeps, colour pictures as JPEG with rectified camera_info, TF, odometry from oxts,
    boxes from tracklets where they are.

    Raises DatasetError or BagError, one sentence each.
    """
    source = open_drive(src, drive)
    remarks = []
    if not source.pictures:
        remarks.append("the drive has no image_02 or image_03: a bag of LiDAR alone")
    if not source.poses:
        remarks.append("the drive has no oxts: a bag without odometry")
    events = _schedule(source)
    first = events[0][0]
    boxes = read_tracklets(source.folder, source.sweep_ns)
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"KITTI raw, {source.name}; CC BY-NC-SA 3.0")
        cameras = [(f"camera_{n}", c.base_from_camera) for n, c in source.cameras.items()]
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, BASE_FROM_LIDAR), *cameras], first)
        if boxes:
            bag_frames.write_box_classes(bag, first)
        for stamp_ns, kind, number in progress(events, len(events), source.name):
            if kind == "sweep":
                points = source.sweep(number)
                bag_frames.write_sweep(bag, {"xyz": points[:, :3], "intensity": points[:, 3]}, stamp_ns)
                if number in boxes:
                    bag_frames.write_boxes(bag, boxes[number])
            elif kind == "pose":
                pose = source.poses[number]
                bag_frames.write_pose(bag, pose.map_from_base, stamp_ns, pose.linear, pose.angular)
            else:
                _write_picture(bag, source, kind, number, stamp_ns)
    pictures = sum(len(files) for files in source.pictures.values())
    return Converted(bag.path, len(source.sweeps), pictures, 0, len(source.poses), tuple(remarks))


def convert_semantickitti(
    src: str | Path,
    out: str | Path,
    sequence: str | int | None = None,
    storage: str = "mcap",
    compression: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """A SemanticKITTI sequence -> bag: sweeps, labels as /ground_truth/segmentation with its class table, odometry.

    Raises DatasetError or BagError, one sentence each.
    """
    source = open_sequence(src, sequence)
    remarks = []
    if source.times_s is None:
        remarks.append("times.txt is absent: stamps are 0.1 s a frame (10 Hz), an assumption")
    if not source.map_from_base:
        remarks.append("poses.txt or calib.txt is absent: a bag without odometry")
    unlabelled = sum(n not in source.labels for n in source.sweeps)
    if unlabelled:
        remarks.append(f"{unlabelled} of {len(source.sweeps)} sweeps have no labels")
    with BagWriter(out, storage, compression, overwrite) as bag:
        bag.note("source", f"SemanticKITTI, sequence {source.name}; CC BY-NC-SA 4.0")
        bag.note("stamps", "times.txt" if source.times_s is not None else "assumed: 10 Hz")
        bag_frames.write_static(bag, [(bag_frames.LIDAR_FRAME, BASE_FROM_LIDAR)], START_NS)
        if source.labels:
            bag_frames.write_class_table(bag, START_NS)
        for number in progress(source.sweeps, len(source.sweeps), f"sequence {source.name}"):
            seconds = number * 0.1 if source.times_s is None else source.times_s[number]
            stamp_ns = START_NS + round(seconds * 1e9)
            points = source.sweep(number)
            if number in source.map_from_base:
                bag_frames.write_pose(bag, source.map_from_base[number], stamp_ns)
            bag_frames.write_sweep(bag, {"xyz": points[:, :3], "intensity": points[:, 3]}, stamp_ns)
            if number in source.labels:
                bag_frames.write_labels(bag, *source.label(number, len(points)), stamp_ns)
    labelled = len(source.sweeps) - unlabelled
    return Converted(bag.path, len(source.sweeps), 0, labelled, len(source.map_from_base), tuple(remarks))


def _schedule(source: KittiRawDrive) -> list[tuple[int, str, int]]:
    """(stamp ns, what, frame number) of everything in a drive, in order of time; poses and pictures before sweeps."""
    rank = {"pose": 0, "sweep": 2}
    events = [(stamp, "sweep", number) for number, stamp in source.sweep_ns.items()]
    events += [(stamp, "pose", number) for number, stamp in source.pose_ns.items()]
    for name, stamps in source.picture_ns.items():
        events += [(stamp, name, number) for number, stamp in stamps.items()]
    return sorted(events, key=lambda e: (e[0], rank.get(e[1], 1), e[1], e[2]))


def _write_picture(bag: BagWriter, source: KittiRawDrive, name: str, number: int, stamp_ns: int) -> None:
    path, camera = source.pictures[name][number], source.cameras[name]
    try:
        data = path.read_bytes()
        rgb = decode_picture(data)
    except (OSError, MessageError) as err:
        raise DatasetError(f"cannot read the picture {path}: {err}") from err
    model = CameraModel(camera.width, camera.height, camera.k, np.zeros(5), "plumb_bob", f"camera_{name}", stamp_ns)
    try:
        model = model.for_picture(rgb.shape[1], rgb.shape[0])
    except MessageError as err:
        raise DatasetError(f"{path}: {err}") from err
    jpeg = data if path.suffix == ".jpg" else encode_jpeg(rgb, JPEG_QUALITY)
    bag_frames.write_picture(bag, name, jpeg, model)
