"""PandaSet (P. Xiao et al., ITSC 2021) in a plain layout: pictures and boxes of one sequence.

    calibration.json            intrinsics and mounts of the cameras, mount of the LiDAR
    classes.json                PandaSet's labels as nuScenes' and SemanticKITTI's classes
    lanes.json                  a few lane lines (optional)
    frames/NN/frame.json        stamp, poses of the cameras at their own stamps, cuboids
    frames/NN/CAM_*.jpg         rectified pictures
    frames/NN/LIDAR.npz         points of both LiDARs

Boxes are upright in the world frame (x east, y north, z up). Where two sensors annotated one object apart, the
duplicate is left out.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply, from_quaternion, yaw_of
from perception_nodes.classes import IGNORE, point_class
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.picture_file import read_picture
from perception_nodes.messages.detections import Detections3D

FORMAT = "pandaset_002 calibration 1"
UNIT_M = 0.005  # of the points' coordinates


@dataclass(frozen=True, eq=False)
class PandaSetCamera:
    """A camera at one frame: k float64 [3, 3] · world_from_camera (optical) at the camera's own stamp."""

    name: str
    path: Path
    k: NDArray[np.float64]
    world_from_camera: Matrix
    stamp_ns: int

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]; raises DatasetError."""
        return read_picture(self.path)


@dataclass(frozen=True, eq=False)
class PandaSetSweep:
    """The Pandar64's points: xyz float32 [N, 3] m in the LiDAR frame at the stamp (own motion compensated) · intensity
    float32 [N] 0..1 · time float32 [N] s after the stamp · label uint8 [N] of POINT_CLASSES, IGNORE where none."""

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    time: NDArray[np.float32]
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PandaSetFrame:
    """stamp_ns · world_from_lidar at the stamp · cameras by name (`front_left`) · boxes in the world frame, of
    nuScenes' classes ("" for labels that have none); `points` are those of both LiDARs · pandar64_points int64 [B]:
    those of the Pandar64 alone."""

    number: int
    stamp_ns: int
    world_from_lidar: Matrix
    cameras: dict[str, PandaSetCamera]
    boxes: Detections3D
    pandar64_points: NDArray[np.int64]


class PandaSetSequence:
    """One sequence. Raises DatasetError where the folder holds none.

    base_from_lidar, base_from_cameras: mounts in the vehicle frame (x in the driving direction).
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._calibration = _json(self.folder / "calibration.json", self.folder)
        if self._calibration.get("format") != FORMAT:
            raise DatasetError(f"{self.folder / 'calibration.json'} is not of the format {FORMAT!r}")
        classes = _json(self.folder / "classes.json", self.folder)
        try:
            self._classes = classes["cuboid_to_nuscenes"]
            self._labels = _label_table(classes["semantic_to_semantickitti"])
            cameras = self._calibration["cameras"]
            self.base_from_lidar = np.array(self._calibration["vehicle_from_base"], np.float64)
            self.base_from_cameras = {
                key.removeprefix("CAM_").lower(): self.base_from_lidar @ np.array(row["base_from_camera"], np.float64)
                for key, row in cameras.items()
            }
        except (KeyError, TypeError, ValueError) as err:
            raise DatasetError(f"{self.folder}: calibration.json or classes.json: {type(err).__name__} {err}") from err
        self.numbers = sorted(int(p.parent.name) for p in self.folder.glob("frames/*/frame.json"))
        if not self.numbers:
            raise DatasetError(f"{self.folder} has no frames: expected frames/NN/frame.json")

    def frame(self, number: int) -> PandaSetFrame:
        """Frame `number`; raises DatasetError."""
        folder = self.folder / "frames" / f"{number:02d}"
        found = _json(folder / "frame.json", folder)
        try:
            stamp = int(found["stamp_ns"])
            lidar = _pose(found["world_from_lidar"])
            cameras = {}
            for key, row in found["cameras"].items():
                name = key.removeprefix("CAM_").lower()
                k = np.array(self._calibration["cameras"][key]["K"], np.float64)
                pose = _pose(row["world_from_camera"])
                cameras[name] = PandaSetCamera(name, folder / row["file"], k, pose, int(row["stamp_ns"]))
            boxes = self._boxes(found["cuboids"], lidar, stamp)
            own = np.array([c["num_points"][0] for c in found["cuboids"] if not c["duplicate"]], np.int64)
        except (KeyError, TypeError, ValueError) as err:
            raise DatasetError(f"{folder / 'frame.json'}: {type(err).__name__} {err}") from err
        return PandaSetFrame(number, stamp, lidar, cameras, boxes, own)

    def sweep(self, number: int) -> PandaSetSweep:
        """The Pandar64's points of frame `number`; raises DatasetError."""
        path = self.folder / "frames" / f"{number:02d}" / "LIDAR.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                own = file["sensor"] == 0
                xyz, intensity, time, label = (file[k][own] for k in ("xyz", "intensity", "time_us", "semantic"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as err:
            raise DatasetError(f"cannot read the sweep {path}: {err}") from None
        return PandaSetSweep(
            xyz.astype(np.float32) * np.float32(UNIT_M),
            intensity.astype(np.float32) / np.float32(255),
            time.astype(np.float32) * np.float32(1e-6),
            self._labels[label],
        )

    def lanes(self) -> list[NDArray[np.float64]]:
        """Lane lines [N, 3] m in the world frame; empty where the sequence has none. Raises DatasetError."""
        if not (self.folder / "lanes.json").is_file():
            return []
        rows = _json(self.folder / "lanes.json", self.folder)
        try:
            return [np.array(row["points"], np.float64).reshape(-1, 3) for row in rows["lanes"]]
        except (KeyError, TypeError, ValueError) as err:
            raise DatasetError(f"{self.folder / 'lanes.json'}: {type(err).__name__} {err}") from err

    def _boxes(self, cuboids: list[dict[str, Any]], world_from_lidar: Matrix, stamp_ns: int) -> Detections3D:
        rows = [c for c in cuboids if not c["duplicate"]]
        centre = np.array([c["center"] for c in rows], np.float64).reshape(-1, 3)
        return Detections3D.build(
            "world",
            stamp_ns,
            apply(world_from_lidar, centre),
            np.array([c["size"] for c in rows], np.float64).reshape(-1, 3),
            np.array([c["yaw_world"] for c in rows], np.float64),
            [self._classes.get(c["label"]) or "" for c in rows],
            velocity=[_turned(c["velocity"], world_from_lidar) for c in rows],
            track=[c["uuid"] for c in rows],
            points=np.array([sum(c["num_points"]) for c in rows], np.int64),
        )


def _turned(velocity: list[float] | None, world_from_lidar: Matrix) -> list[float]:
    """Velocity along the LiDAR's axes -> along the world's, m/s; NaN where it is unknown."""
    if velocity is None or None in velocity:
        return [np.nan, np.nan]
    turn = yaw_of(world_from_lidar)
    x, y = velocity
    return [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)]


def _label_table(names: dict[str, str | None]) -> NDArray[np.uint8]:
    """uint8 [256]: PandaSet's class id -> place in POINT_CLASSES, IGNORE where it has none there."""
    table = np.full(256, IGNORE, np.uint8)
    for number, name in names.items():
        if name is not None:
            table[int(number)] = point_class(name)
    return table


def _pose(row: dict[str, Any]) -> Matrix:
    w, x, y, z = row["quaternion_wxyz"]
    return from_quaternion((x, y, z, w), row["translation"])


def _json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError:
        raise DatasetError(f"{folder} holds {listing(folder)}; expected {path.name}") from None
    except ValueError as err:
        raise DatasetError(f"{path} is not JSON: {err}") from err
    if not isinstance(found, dict):
        raise DatasetError(f"{path} is not a JSON object")
    return found
