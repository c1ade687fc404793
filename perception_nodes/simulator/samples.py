"""Samples for training from a drive, as plain arrays without ROS: pictures, sweeps, boxes and the map of one moment.

    drive = Drive("random", "nuscenes", seed=7, image_size=(704, 256), camera_rate=2.0, seconds=20)
    for sample in samples(drive, sweeps=10):
        sample.cameras["front"].rgb, sample.accumulated(), sample.boxes, sample.map_masks

Frames: see `rigs`; `map` stays where the world is. Poses are float64 [4, 4].
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES, IGNORE, MAP_CLASSES, POINT_CLASSES
from perception_nodes.simulator.camera import CameraImage
from perception_nodes.simulator.drive import Drive, Frame
from perception_nodes.simulator.lidar import Sweep
from perception_nodes.simulator.map_masks import MapMasks, rasterise
from perception_nodes.simulator.picture_boxes import PictureBoxes, picture_boxes
from perception_nodes.simulator.scene import Snapshot
from perception_nodes.simulator.truth import Box

# classes of a picture's pixels: the point classes, and two that have boxes but no point class; IGNORE: none (sky)
PIXEL_CLASSES = (*(info.name for info in POINT_CLASSES), "traffic_cone", "barrier")
REACH, CELL = 50.0, 0.5  # m: half the side of the map masks, side of a cell
_BOX_CLASS = {info.name: i for i, info in enumerate(BOX_CLASSES)}


@dataclass(frozen=True, eq=False)
class CameraSample:
    """One picture. rgb uint8 [H, W, 3] · depth float32 [H, W] m along the axis, infinite for the sky · classes uint8
    [H, W], index in PIXEL_CLASSES or IGNORE · boxes: see `PictureBoxes` · intrinsics float64 [3, 3] · base_from_camera,
    map_from_camera (at its own moment) · age: s before the sample's stamp at which it was taken."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    classes: NDArray[np.uint8]
    boxes: PictureBoxes
    intrinsics: NDArray[np.float64]
    base_from_camera: NDArray[np.float64]
    map_from_camera: NDArray[np.float64]
    age: float


@dataclass(frozen=True, eq=False)
class SweepSample:
    """One sweep. points float32 [N, 5]: x, y, z m in the LiDAR's frame at the sweep's own stamp, intensity 0..1, age: s
    before the sample's stamp · label uint8 [N] point class or IGNORE · instance uint16 [N] · map_from_lidar at the
    sweep's stamp. All points of a compensated sweep have the age of its stamp, others that of their own firing."""

    points: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint16]
    map_from_lidar: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """One moment. time s since the first frame · cameras by name · sweeps, newest first · base_from_lidar,
    map_from_base · boxes float32 [M, 9] in base: centre x, y, z, length, width, height, yaw, velocity x, y (m, rad,
    m/s) · box_class int64 [M], index in BOX_CLASSES · box_points int64 [M] in the newest sweep · box_visibility float32
    [M], NaN where unknown · box_track int64 [M] · map_masks bool [6, R, R], MAP_CLASSES: cell (i, j) is the square in
    base that begins at x = -50 + i / 2, y = -50 + j / 2 m."""

    index: int
    time: float
    key: bool
    cameras: dict[str, CameraSample]
    sweeps: tuple[SweepSample, ...]
    base_from_lidar: NDArray[np.float64]
    map_from_base: NDArray[np.float64]
    boxes: NDArray[np.float32]
    box_class: NDArray[np.int64]
    box_points: NDArray[np.int64]
    box_visibility: NDArray[np.float32]
    box_track: NDArray[np.int64]
    map_masks: NDArray[np.bool_]

    def accumulated(self, count: int | None = None) -> NDArray[np.float32]:
        """The newest `count` sweeps (None: all) as float32 [N, 5] in the LiDAR's frame of the newest, moved by the
        motion of the vehicle alone; the last column is each point's age, s."""
        chosen = self.sweeps[:count]
        if not chosen:
            return np.zeros((0, 5), np.float32)
        lidar_from_map = np.linalg.inv(chosen[0].map_from_lidar)
        parts = [chosen[0].points]
        for sweep in chosen[1:]:
            moved = lidar_from_map @ sweep.map_from_lidar
            points = sweep.points.copy()
            points[:, :3] = sweep.points[:, :3] @ moved[:3, :3].T + moved[:3, 3]
            parts.append(points)
        return np.concatenate(parts)


def samples(drive: Drive, sweeps: int = 1, every_picture: bool = False) -> Iterator[Sample]:
    """Samples of a drive's key frames (`every_picture`: of all frames with pictures), each with up to `sweeps` sweeps;
    a drive without cameras gives its key frames too. Key frames that come before `sweeps` sweeps have been seen have
    fewer. Raises ValueError for less than one sweep."""
    if sweeps < 1:
        raise ValueError(f"found sweeps={sweeps}; expected at least 1")
    masks = rasterise(drive.world, CELL)
    recent: deque[Sweep] = deque(maxlen=sweeps)
    for frame in drive:
        if frame.sweep is not None:
            recent.appendleft(frame.sweep)
        if frame.key or (every_picture and frame.images):
            yield sample_of(drive, frame, tuple(recent), masks)


def sample_of(drive: Drive, frame: Frame, sweeps: tuple[Sweep, ...], masks: MapMasks) -> Sample:
    """Everything of one frame. sweeps: this frame's and those before it, newest first · masks: of the drive's world."""
    now = frame.snapshot
    pose = now.ego.map_from_base
    lidar = drive.rig.lidar.base_from_lidar if drive.rig.lidars else np.eye(4)
    boxes = frame.boxes
    return Sample(
        frame.index,
        frame.time,
        frame.key,
        {name: _camera_sample(image, now) for name, image in frame.images.items()},
        tuple(_sweep_sample(sweep, now.time, drive.compensated) for sweep in sweeps),
        lidar,
        pose,
        boxes_in_base(boxes, pose),
        np.array([_BOX_CLASS[b.category] for b in boxes], np.int64),
        np.array([b.points for b in boxes], np.int64),
        np.array([b.visibility for b in boxes], np.float32),
        np.array([b.track_id for b in boxes], np.int64),
        masks_in_base(masks, pose),
    )


def pixel_classes(image: CameraImage) -> NDArray[np.uint8]:
    """uint8 [H, W]: the picture's point classes, with cones and barriers told by their instance."""
    table = np.full(1 << 16, IGNORE, np.uint8)
    for actor in image.snapshot.actors:
        if actor.category in PIXEL_CLASSES[len(POINT_CLASSES) :]:
            table[actor.track_id & 0xFFFF] = PIXEL_CLASSES.index(actor.category)
    return np.where(image.semantic == IGNORE, table[image.instance], image.semantic)


def boxes_in_base(boxes: tuple[Box, ...], map_from_base: NDArray[np.float64]) -> NDArray[np.float32]:
    """float32 [M, 9], see `Sample`. Boxes stand upright in the map; base's slope is left out of their yaw."""
    out = np.zeros((len(boxes), 9), np.float32)
    heading = float(np.arctan2(map_from_base[1, 0], map_from_base[0, 0]))
    c, s = np.cos(heading), np.sin(heading)
    for i, box in enumerate(boxes):
        out[i, :3] = (np.asarray(box.centre) - map_from_base[:3, 3]) @ map_from_base[:3, :3]
        out[i, 3:6] = box.size
        out[i, 6] = (box.yaw - heading + np.pi) % (2 * np.pi) - np.pi
        vx, vy = box.velocity
        out[i, 7:] = c * vx + s * vy, c * vy - s * vx
    return out


def masks_in_base(
    masks: MapMasks, map_from_base: NDArray[np.float64], reach: float = REACH, cell: float = CELL
) -> NDArray[np.bool_]:
    """bool [6, R, R] of the ground about the vehicle, see `Sample`; each cell takes the value of the world's cell under
    its centre, False outside the world."""
    side = round(2 * reach / cell)
    at = (np.arange(side) + 0.5) * cell - reach
    x, y = np.meshgrid(at, at, indexing="ij")
    c, s = map_from_base[0, 0], map_from_base[1, 0]
    norm = np.hypot(c, s)
    c, s = c / norm, s / norm
    column = np.floor((c * x - s * y + map_from_base[0, 3] - masks.origin[0]) / masks.resolution).astype(np.int64)
    row = np.floor((s * x + c * y + map_from_base[1, 3] - masks.origin[1]) / masks.resolution).astype(np.int64)
    out = np.zeros((len(MAP_CLASSES), side, side), bool)
    for k, info in enumerate(MAP_CLASSES):
        mask = masks.masks[info.name]
        inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
        out[k][inside] = mask[row[inside], column[inside]]
    return out


def _camera_sample(image: CameraImage, now: Snapshot) -> CameraSample:
    return CameraSample(
        image.rgb, image.depth, pixel_classes(image), picture_boxes(image), image.camera.intrinsics,
        image.camera.base_from_camera, image.map_from_camera, now.time - image.snapshot.time,
    )  # fmt: skip


def _sweep_sample(sweep: Sweep, now: float, compensated: bool) -> SweepSample:
    points = np.empty((len(sweep), 5), np.float32)
    points[:, :3], points[:, 3] = sweep.xyz, sweep.intensity
    points[:, 4] = now - sweep.stamp
    if not compensated:
        points[:, 4] -= sweep.time
    return SweepSample(points, sweep.label, sweep.instance, sweep.map_from_sensor)
