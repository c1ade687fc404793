"""KITTI raw's oxts files (GPS and IMU) -> poses and speeds.

Position by the Mercator projection that KITTI's own devkit uses, scaled at the first frame's latitude; map is x east,
y north, z up with its origin under the first frame's base_link.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_nodes.calibration.se3 import Matrix, from_euler, invert
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.kitti_calibration import BASE_FROM_LIDAR, read_rigid
from perception_nodes.datasets.sweep_file import numbered_files

EARTH_RADIUS_M = 6378137.0
FIELDS = 30  # lat lon alt roll pitch yaw vn ve vf vl vu ax ay az af al au wx wy wz wf wl wu + accuracies and modes


@dataclass(frozen=True, eq=False)
class EgoPose:
    """map_from_base float64 [4, 4]; linear (forward, left, up) m/s and angular rad/s in base axes, at the IMU."""

    map_from_base: Matrix
    linear: tuple[float, float, float]
    angular: tuple[float, float, float]


def read_oxts(drive: Path, date_folder: Path) -> dict[int, EgoPose]:
    """Frame number -> pose; empty where the drive has no oxts. Raises DatasetError for files that are none."""
    files = numbered_files(drive / "oxts" / "data", ".txt")
    if not files:
        return {}
    imu_from_base = invert(BASE_FROM_LIDAR @ read_rigid(date_folder / "calib_imu_to_velo.txt"))
    rows = {number: _row(path) for number, path in files.items()}
    scale = float(np.cos(np.radians(next(iter(rows.values()))[0])))
    poses: dict[int, EgoPose] = {}
    origin = None
    for number, row in rows.items():
        map_from_base = _world_from_imu(row, scale) @ imu_from_base
        origin = map_from_base[:3, 3].copy() if origin is None else origin
        map_from_base[:3, 3] -= origin
        linear = (float(row[8]), float(row[9]), float(row[10]))
        poses[number] = EgoPose(map_from_base, linear, (float(row[20]), float(row[21]), float(row[22])))
    return poses


def _row(path: Path) -> np.ndarray:
    try:
        row = np.array([float(v) for v in path.read_text().split()])
    except (OSError, ValueError) as err:
        raise DatasetError(f"cannot read {path}: {err}") from err
    if len(row) != FIELDS or not np.isfinite(row).all() or abs(row[0]) > 85.0:
        raise DatasetError(f"{path} holds {len(row)} values; KITTI's oxts has {FIELDS} finite numbers, latitude first")
    return row


def _world_from_imu(row: np.ndarray, scale: float) -> Matrix:
    x = scale * EARTH_RADIUS_M * np.radians(row[1])
    y = scale * EARTH_RADIUS_M * np.log(np.tan(np.pi / 4 + np.radians(row[0]) / 2))
    return from_euler(float(row[3]), float(row[4]), float(row[5]), (float(x), float(y), float(row[2])))
