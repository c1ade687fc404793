"""One nuScenes keyframe (Caesar et al., CVPR 2020) from a folder with sample.json, six pictures and LIDAR_TOP.bin.

nuScenes' LIDAR_TOP has x right, y forward; here every LiDAR has x forward, y left, so points and boxes are turned by
-90 degrees about z on reading. Intensity 0..255 becomes 0..1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply, compose, invert, is_rigid
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.picture_file import read_picture
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import decode_picture

FORMAT = "nuscenes_keyframe/1"
# our LiDAR frame (x forward, y left) <- LIDAR_TOP (x right, y forward)
LIDAR_FROM_LIDAR_TOP: Matrix = compose([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], (0.0, 0.0, 0.0))


@dataclass(frozen=True, eq=False)
class KeyframeCamera:
    """A camera at the keyframe: k float64 [3, 3]; base_from_camera (optical); map_from_base at the camera's own
    stamp; camera_from_lidar with the ego's motion between the two stamps taken into account."""

    name: str
    path: Path
    width: int
    height: int
    k: NDArray[np.float64]
    base_from_camera: Matrix
    map_from_base: Matrix
    camera_from_lidar: Matrix
    stamp_ns: int

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]; raises DatasetError."""
        return read_picture(self.path)


@dataclass(frozen=True, eq=False)
class NuScenesKeyframe:
    """xyz float32 [N, 3] m in the lidar frame (x forward) · intensity float32 [N] 0..1 · ring uint16 [N] · boxes in
    that frame (upright in the LiDAR's own axes, which lean by 2 degrees: see `upright_boxes` for exact counts) ·
    drivable bool [200, 200] or None: row 0 farthest ahead, column 0 farthest left, 0.5 m cells, axes parallel to base,
    the LiDAR in the middle."""

    name: str
    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.uint16]
    stamp_ns: int
    base_from_lidar: Matrix
    map_from_base: Matrix
    boxes: Detections3D
    cameras: dict[str, KeyframeCamera]
    drivable: NDArray[np.bool_] | None

    def upright_boxes(self) -> tuple[NDArray[np.float64], Detections3D]:
        """(points float64 [N, 3], boxes) in the global frame, where nuScenes' boxes are upright."""
        map_from_lidar = self.map_from_base @ self.base_from_lidar
        heading = np.stack([np.cos(self.boxes.yaw), np.sin(self.boxes.yaw), np.zeros(len(self.boxes))], -1)
        r = map_from_lidar[:3, :3]
        # The heading's z in the lidar frame such that it is level in the global one.
        heading[:, 2] = -(heading[:, :2] @ r[2, :2]) / r[2, 2]
        level = heading @ r.T
        boxes = Detections3D.build(
            "map",
            self.stamp_ns,
            apply(map_from_lidar, self.boxes.centre),
            self.boxes.size,
            np.arctan2(level[:, 1], level[:, 0]),
            self.boxes.category,
            points=self.boxes.points,
        )
        return apply(map_from_lidar, self.xyz.astype(np.float64)), boxes


def read_nuscenes_keyframe(folder: str | Path) -> NuScenesKeyframe:
    """Read a keyframe's folder (or a folder that holds one such folder); raises DatasetError."""
    folder = Path(folder)
    inside = sorted(p.parent for p in folder.glob("*/sample.json")) if not (folder / "sample.json").is_file() else []
    folder = inside[0] if len(inside) == 1 else folder
    try:
        sample = json.loads((folder / "sample.json").read_text("utf-8"))
    except OSError:
        raise DatasetError(f"{folder} holds {listing(folder)}; a keyframe holds sample.json, LIDAR_TOP.bin") from None
    except ValueError as err:
        raise DatasetError(f"{folder / 'sample.json'} is not JSON: {err}") from err
    if not isinstance(sample, dict) or sample.get("format") != FORMAT:
        raise DatasetError(f"{folder / 'sample.json'} is not of the format {FORMAT}")
    try:
        return _keyframe(folder, sample)
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise DatasetError(f"{folder / 'sample.json'}: {type(err).__name__} {err}") from err


def _keyframe(folder: Path, sample: dict) -> NuScenesKeyframe:
    lidar = sample["lidar"]
    stamp_ns = int(lidar["timestamp_us"]) * 1000
    top_from_lidar = invert(LIDAR_FROM_LIDAR_TOP)
    base_from_lidar = _matrix(lidar["lidar_to_ego"]) @ top_from_lidar
    map_from_base = _matrix(lidar["ego_to_global"])
    points = read_lidar_top(folder / lidar["file"])
    map_from_lidar = map_from_base @ base_from_lidar
    cameras = {
        name.removeprefix("CAM_").lower(): _camera(name.removeprefix("CAM_").lower(), folder, row, map_from_lidar)
        for name, row in sample["cameras"].items()
    }
    return NuScenesKeyframe(
        folder.name,
        apply(LIDAR_FROM_LIDAR_TOP, points[:, :3]),
        points[:, 3] / np.float32(255),
        points[:, 4].astype(np.uint16),
        stamp_ns,
        base_from_lidar,
        map_from_base,
        _boxes(sample["boxes"], stamp_ns),
        cameras,
        _drivable(folder / "drivable.png"),
    )


def read_lidar_top(path: Path) -> NDArray[np.float32]:
    """float32 [N, 5]: x right, y forward, z up, intensity 0..255, ring; raises DatasetError."""
    try:
        values = np.fromfile(path, "<f4")
    except OSError as err:
        raise DatasetError(f"cannot read the sweep {path}: {err.strerror or err}") from err
    if path.stat().st_size % 20:
        raise DatasetError(f"the sweep {path} has {path.stat().st_size} bytes; nuScenes' points take 20 each")
    return values.reshape(-1, 5)


def _boxes(rows: list[dict], stamp_ns: int) -> Detections3D:
    def turned(xy: Any) -> list[float]:  # LIDAR_TOP's (right, forward) -> (forward, left)
        return [np.nan, np.nan] if xy is None or None in xy else [float(xy[1]), -float(xy[0])]

    yaw = np.array([r["yaw"] for r in rows], np.float64) - np.pi / 2
    return Detections3D.build(
        "lidar",
        stamp_ns,
        [[*turned(r["center"][:2]), r["center"][2]] for r in rows],
        [r["size"] for r in rows],
        np.arctan2(np.sin(yaw), np.cos(yaw)),
        [str(r["class"]) for r in rows],
        velocity=[turned(r["velocity"]) for r in rows],
        points=[int(r["num_lidar_pts"]) for r in rows],
    )


def _camera(name: str, folder: Path, row: dict, map_from_lidar: Matrix) -> KeyframeCamera:
    base_from_camera = _matrix(row["camera_to_ego"])
    map_from_base = _matrix(row["ego_to_global"])
    camera_from_map = invert(map_from_base @ base_from_camera)
    return KeyframeCamera(
        name,
        folder / row["file"],
        int(row["width"]),
        int(row["height"]),
        np.array(row["intrinsics"], np.float64).reshape(3, 3),
        base_from_camera,
        map_from_base,
        camera_from_map @ map_from_lidar,
        int(row["timestamp_us"]) * 1000,
    )


def _drivable(path: Path) -> NDArray[np.bool_] | None:
    if not path.is_file():
        return None
    try:
        return decode_picture(path.read_bytes())[..., 0] > 127
    except MessageError as err:
        raise DatasetError(f"cannot read {path}: {err}") from err


def _matrix(rows: Any) -> Matrix:
    matrix = np.array(rows, np.float64)
    if not is_rigid(matrix):
        raise ValueError(f"a matrix of shape {matrix.shape} that is not a rigid transform")
    return matrix
