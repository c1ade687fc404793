"""PandaSet (P. Xiao et al., ITSC 2021) in a plain layout: pictures and boxes of one sequence.

    calibration.json            intrinsics of the cameras
    classes.json                PandaSet's labels as nuScenes' classes
    frames/NN/frame.json        stamp, poses of the cameras at their own stamps, cuboids
    frames/NN/CAM_*.jpg         rectified pictures

Boxes are upright in the world frame (x east, y north, z up). Where two sensors annotated one object apart, the
duplicate is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply, from_quaternion
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.picture_file import read_picture
from perception_nodes.messages.detections import Detections3D

FORMAT = "pandaset_002 calibration 1"


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
class PandaSetFrame:
    """stamp_ns · world_from_lidar at the stamp · cameras by name (`front_left`) · boxes in the world frame, of
    nuScenes' classes ("" for labels that have none); `points` are those of both LiDARs."""

    number: int
    stamp_ns: int
    world_from_lidar: Matrix
    cameras: dict[str, PandaSetCamera]
    boxes: Detections3D


class PandaSetSequence:
    """One sequence. Raises DatasetError where the folder holds none."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._calibration = _json(self.folder / "calibration.json", self.folder)
        if self._calibration.get("format") != FORMAT:
            raise DatasetError(f"{self.folder / 'calibration.json'} is not of the format {FORMAT!r}")
        self._classes = _json(self.folder / "classes.json", self.folder)["cuboid_to_nuscenes"]
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
        except (KeyError, TypeError, ValueError) as err:
            raise DatasetError(f"{folder / 'frame.json'}: {type(err).__name__} {err}") from err
        return PandaSetFrame(number, stamp, lidar, cameras, boxes)

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
            track=[c["uuid"] for c in rows],
            points=np.array([sum(c["num_points"]) for c in rows], np.int64),
        )


def _pose(row: dict[str, Any]) -> Matrix:
    w, x, y, z = row["quaternion_wxyz"]
    return from_quaternion((x, y, z, w), row["translation"])


def _json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError:
        raise DatasetError(f"{folder} holds {listing(folder)}; expected {path.name}") from None
    except ValueError as err:
        raise DatasetError(f"{path} is no JSON: {err}") from err
    if not isinstance(found, dict):
        raise DatasetError(f"{path} is no JSON object")
    return found
