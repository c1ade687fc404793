"""How many vehicles of real drives a BEV model finds: PandaSet's frames and a nuScenes keyframe, never trained on.

The model runs in the session that the node runs, on points in level axes with the origin at the LiDAR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.calibration import CameraCalibration
from models.bevfusion.lite.session import LiteSession
from models.bevfusion.sweeps import Sweep, accumulate
from perception_nodes.calibration.se3 import Matrix, apply, invert, yaw_of
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import read_nuscenes_keyframe
from perception_nodes.datasets.pandaset import PandaSetSequence
from perception_nodes.evaluation.detection3d import Detection3dScorer
from perception_nodes.messages.detections import Detections3D

WITHIN = {"pandaset": 40.0, "nuscenes": 30.0}  # m, of the vehicles that are scored
LEAST_POINTS = 5
EVERY = 5  # PandaSet's frames that are scored: one in so many


class Frame(NamedTuple):
    """points float32 [N, 5] · rgb and calibration by camera · boxes in the frame of the points."""

    points: NDArray[np.float32]
    rgb: dict[str, NDArray[np.uint8]]
    calibration: dict[str, CameraCalibration]
    boxes: Detections3D


def level(world_from_lidar: Matrix) -> Matrix:
    """level_from_world: origin at the LiDAR, z up, x where the LiDAR's x points."""
    yaw = yaw_of(world_from_lidar)
    out = np.eye(4)
    out[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    out[:3, 3] = world_from_lidar[:3, 3]
    return invert(out)


def _cloud(xyz: NDArray, intensity: NDArray, turn: Matrix) -> NDArray[np.float32]:
    return np.column_stack([apply(turn, xyz.astype(np.float64)), intensity * 255]).astype(np.float32)


def _cameras(cameras: dict[str, tuple[NDArray[np.uint8], NDArray, Matrix]]) -> tuple[dict, dict]:
    rgb = {name: image for name, (image, _, _) in cameras.items()}
    found = {name: CameraCalibration.build(k, pose, image.shape[:2]) for name, (image, k, pose) in cameras.items()}
    return rgb, found


def pandaset(folder: Path) -> Iterator[Frame]:
    """One frame in EVERY, with the sweep before. Raises DatasetError."""
    sequence = PandaSetSequence(folder)
    for number in sequence.numbers[1::EVERY]:
        frame, last = sequence.frame(number), sequence.frame(number - 1)
        turn = level(frame.world_from_lidar)
        now, before = sequence.sweep(number), sequence.sweep(number - 1)
        past = Sweep(_cloud(before.xyz, before.intensity, turn @ last.world_from_lidar), 0.0, np.eye(4))
        age = (frame.stamp_ns - last.stamp_ns) * 1e-9
        newest = _cloud(now.xyz, now.intensity, turn @ frame.world_from_lidar)
        views = {name: (c.rgb(), c.k, turn @ c.world_from_camera) for name, c in frame.cameras.items()}
        boxes = replace(frame.boxes.moved("level", turn), points=frame.pandar64_points)
        yield Frame(accumulate(newest, age, [past], 1), *_cameras(views), boxes)


def keyframe(folder: Path) -> Iterator[Frame]:
    """The one keyframe, one sweep. Raises DatasetError."""
    found = read_nuscenes_keyframe(folder)
    world_from_lidar = found.map_from_base @ found.base_from_lidar
    turn = level(world_from_lidar)
    points = accumulate(_cloud(found.xyz, found.intensity, turn @ world_from_lidar), 0.0, [], 0)
    views = {n: (c.rgb(), c.k, turn @ c.map_from_base @ c.base_from_camera) for n, c in found.cameras.items()}
    yield Frame(points, *_cameras(views), found.upright_boxes()[1].moved("level", turn))


def found_in(session: LiteSession, frame: Frame, cameras: bool, lidar: bool) -> Detections3D:
    """What the session finds with these sensors."""
    rgb, calibration = (frame.rgb, frame.calibration) if cameras else ({}, {})
    said = session.step(rgb, frame.points if lidar else None, calibration).detections
    assert said is not None
    names = [said.classes[i] for i in said.label]
    return Detections3D.build(
        "level", 0, said.centre, said.size, said.yaw, names, velocity=said.velocity, score=said.score
    )


def real_scores(session: LiteSession, data: Path, cameras: bool, lidar: bool) -> dict[str, Any]:
    """Per data set: average precision and recall of vehicles, see Detection3dScorer.vehicles; {} where `data` holds
    none."""
    out: dict[str, Any] = {}
    sources = {"pandaset": pandaset(data / "pandaset_002"), "nuscenes": keyframe(data / "nuscenes_keyframe")}
    for name, frames in sources.items():
        scorer = Detection3dScorer()
        try:
            for frame in frames:
                session.reset()
                scorer.add(frame.boxes, found_in(session, frame, cameras, lidar))
        except DatasetError:
            continue
        out[name] = {**scorer.vehicles(WITHIN[name], LEAST_POINTS), "frames": scorer.frames}
    return out
