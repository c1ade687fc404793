"""Argoverse 2 Sensor (Wilson et al., NeurIPS 2021) in its official layout: one log, from feather files by pyarrow.

    annotations.feather            boxes of every sweep, in the ego frame (absent in the test split)
    city_SE3_egovehicle.feather    poses
    calibration/                   egovehicle_SE3_sensor.feather, intrinsics.feather
    sensors/lidar/<ns>.feather     sweeps, in the ego frame at their stamp
    sensors/cameras/<name>/<ns>.jpg
    map/log_map_archive_*.json     see `argoverse2_map`

The lens distortion of intrinsics.feather is left out, as the publisher's own projection leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply, compose, from_quaternion, interpolate, yaw_of
from perception_nodes.datasets.argoverse2 import LIDAR_POSITION, ArgoverseSweep, track_velocity
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.messages.detections import Detections3D

POSES, BOXES = "city_SE3_egovehicle.feather", "annotations.feather"
MOUNTS = "calibration/egovehicle_SE3_sensor.feather"
POSE = ("qx", "qy", "qz", "qw", "tx_m", "ty_m", "tz_m")
CAMERAS = ("ring_", "stereo_")


@dataclass(frozen=True, eq=False)
class LogCamera:
    """k float64 [3, 3] · base_from_camera (optical) · pictures: stamp ns -> path."""

    k: NDArray[np.float64]
    base_from_camera: Matrix
    pictures: dict[int, Path]


class OfficialLog:
    """One log's folder. Raises DatasetError; ImportError with what to type where pyarrow is not installed."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        poses = read_feather(self.folder / POSES, ("timestamp_ns", *POSE))
        order = np.argsort(poses["timestamp_ns"], kind="stable")
        self._stamps = poses["timestamp_ns"][order].astype(np.int64)
        if not len(order):
            raise DatasetError(f"{self.folder / POSES} holds no pose")
        self._poses = _matrices({k: v[order] for k, v in poses.items()}, self.folder / POSES)
        self.sweeps = _stamped(self.folder / "sensors" / "lidar", ".feather")
        if not self.sweeps:
            raise DatasetError(f"{self.folder} holds {listing(self.folder)}; sweeps in sensors/lidar/ were expected")
        self.base_from_lidar = self._lidar_mount()
        self.cameras = self._read_cameras()
        self._boxes = self._read_boxes()
        self._tracks = self._read_tracks()

    def pose(self, stamp_ns: int) -> Matrix:
        """city_from_base at a stamp, interpolated; the first or last one beyond the ends."""
        right = int(np.searchsorted(self._stamps, stamp_ns))
        if right == 0 or right == len(self._stamps):
            return self._poses[min(right, len(self._stamps) - 1)]
        first, last = int(self._stamps[right - 1]), int(self._stamps[right])
        return interpolate(self._poses[right - 1], self._poses[right], (stamp_ns - first) / (last - first))

    def sweep(self, stamp_ns: int) -> ArgoverseSweep:
        """The sweep of a stamp; raises DatasetError."""
        columns = ("x", "y", "z", "intensity", "laser_number", "offset_ns")
        rows = read_feather(self.sweeps[stamp_ns], columns)
        return ArgoverseSweep(
            np.stack([rows[c].astype(np.float32) for c in "xyz"], -1),
            rows["intensity"].astype(np.float32) / np.float32(255),
            rows["laser_number"].astype(np.uint16),
            rows["offset_ns"].astype(np.float32) * np.float32(1e-9),
            stamp_ns,
            self.pose(stamp_ns),
            self.boxes(stamp_ns),
        )

    def boxes(self, stamp_ns: int) -> Detections3D:
        """The boxes of a sweep in base_link, with Argoverse's own categories; velocities over ground."""
        rows = self._boxes
        at = np.flatnonzero(rows["timestamp_ns"] == stamp_ns) if rows else np.zeros(0, np.int64)
        seconds = (stamp_ns - int(self._stamps[0])) * 1e-9
        turn = self.pose(stamp_ns)[:2, :2].T
        tracks = [str(rows["track_uuid"][i]) for i in at]
        return Detections3D.build(
            "base_link",
            stamp_ns,
            [[rows[c][i] for c in ("tx_m", "ty_m", "tz_m")] for i in at],
            [[rows[c][i] for c in ("length_m", "width_m", "height_m")] for i in at],
            [yaw_of(from_quaternion([rows[c][i] for c in POSE[:4]])) for i in at],
            [str(rows["category"][i]) for i in at],
            velocity=[turn @ track_velocity(self._tracks.get(track), seconds) for track in tracks],
            track=tracks,
            points=[int(rows["num_interior_pts"][i]) for i in at],
        )

    def _read_boxes(self) -> dict[str, NDArray[Any]]:
        path = self.folder / BOXES
        if not path.is_file():
            return {}
        names = ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "height_m", "num_interior_pts")
        return read_feather(path, (*names, *POSE))

    def _read_tracks(self) -> dict[str, NDArray[np.float64]]:
        """Track -> rows [s since the first pose, x, y] in the city."""
        rows, out = self._boxes, {}
        if not rows:
            return {}
        stamps = rows["timestamp_ns"].astype(np.int64)
        city = np.zeros((len(stamps), 2))
        for stamp in np.unique(stamps):
            at = stamps == stamp
            own = np.stack([rows[c][at] for c in ("tx_m", "ty_m", "tz_m")], -1).astype(np.float64)
            city[at] = apply(self.pose(int(stamp)), own)[:, :2]
        table = np.column_stack([(stamps - self._stamps[0]) * 1e-9, city])
        for track in np.unique(rows["track_uuid"].astype(str)):
            own_rows = table[rows["track_uuid"].astype(str) == track]
            out[str(track)] = own_rows[np.argsort(own_rows[:, 0], kind="stable")]
        return out

    def _lidar_mount(self) -> Matrix:
        """base_from_lidar of the upper LiDAR; the fleet's usual place where the log does not say it."""
        path = self.folder / MOUNTS
        rows = read_feather(path, ("sensor_name", *POSE)) if path.is_file() else {"sensor_name": np.zeros(0, str)}
        at = np.flatnonzero(rows["sensor_name"] == "up_lidar")
        return _matrices(rows, path)[int(at[0])] if len(at) else compose(np.eye(3), LIDAR_POSITION)

    def _read_cameras(self) -> dict[str, LogCamera]:
        folder, calibration = self.folder / "sensors" / "cameras", self.folder / "calibration"
        names = sorted(p.name for p in folder.iterdir() if p.name.startswith(CAMERAS)) if folder.is_dir() else []
        if not names:
            return {}
        mounts = read_feather(self.folder / MOUNTS, ("sensor_name", *POSE))
        lenses = read_feather(calibration / "intrinsics.feather", ("sensor_name", "fx_px", "fy_px", "cx_px", "cy_px"))
        mount = dict(zip(mounts["sensor_name"], _matrices(mounts, self.folder / MOUNTS)))
        cameras = {}
        for name in names:
            at = np.flatnonzero(lenses["sensor_name"] == name)
            if len(at) != 1 or name not in mount:
                raise DatasetError(f"{calibration} says nothing about the camera {name}")
            fx, fy, cx, cy = (float(lenses[c][at[0]]) for c in ("fx_px", "fy_px", "cx_px", "cy_px"))
            k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            cameras[name] = LogCamera(k, mount[name], _stamped(folder / name, ".jpg"))
        return cameras


def is_official(folder: Path) -> bool:
    """True where a folder looks like a log in the official layout."""
    return (folder / POSES).is_file()


def read_feather(path: Path, columns: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Columns of a feather file; raises DatasetError naming what is missing."""
    try:
        from pyarrow import ArrowException, feather
    except ImportError:
        raise ImportError(
            "Argoverse 2's official layout holds feather files: pip install 'perception_nodes[argoverse]' (pyarrow)"
        ) from None
    if not path.is_file():
        raise DatasetError(f"{path.parent} holds {listing(path.parent)}; {path.name} was expected")
    try:
        table = feather.read_table(path)
    except (ArrowException, OSError) as err:
        raise DatasetError(f"cannot read {path}: {err}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DatasetError(f"{path} has the columns {', '.join(table.column_names)}; {', '.join(missing)} is missing")
    return {name: table[name].to_numpy() for name in columns}


def _matrices(rows: dict[str, NDArray[Any]], path: Path) -> list[Matrix]:
    values = np.stack([rows[name].astype(np.float64) for name in POSE], -1)
    try:
        return [from_quaternion(row[:4], row[4:]) for row in values]
    except ValueError as err:
        raise DatasetError(f"{path}: {err}") from None


def _stamped(folder: Path, ending: str) -> dict[int, Path]:
    """Stamp in the file's name, ns -> path, in order."""
    files = folder.glob(f"*{ending}") if folder.is_dir() else ()
    return dict(sorted((int(path.stem), path) for path in files if path.stem.isdigit()))
