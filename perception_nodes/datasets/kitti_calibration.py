"""KITTI's calibration files: `name: numbers` per line, and the transforms they stand for.

Raw: calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt (Geiger et al., IJRR 2013, section 4).
Odometry and SemanticKITTI: calib.txt with P0..P3 and Tr (camera 0 <- velodyne).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, compose, invert, is_rigid
from perception_nodes.datasets.errors import DatasetError

# The velodyne above base_link (ground under the rear axle): measures of the KITTI vehicle's setup drawing.
BASE_FROM_LIDAR: Matrix = compose(np.eye(3), (0.76, 0.0, 1.73))


@dataclass(frozen=True, eq=False)
class KittiCamera:
    """A rectified camera: size px, k float64 [3, 3], lidar's place in its optical frame."""

    width: int
    height: int
    k: NDArray[np.float64]
    camera_from_lidar: Matrix

    @property
    def base_from_camera(self) -> Matrix:
        return BASE_FROM_LIDAR @ invert(self.camera_from_lidar)


def read_table(path: Path) -> dict[str, NDArray[np.float64]]:
    """Name -> numbers of every line of that form (others, such as dates, are passed over); raises DatasetError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DatasetError(f"cannot read the calibration {path}: {err}") from err
    table = {}
    for line in lines:
        name, _, rest = line.partition(":")
        try:
            numbers = np.array([float(v) for v in rest.split()])
        except ValueError:
            continue
        if len(numbers) and np.isfinite(numbers).all():
            table[name.strip()] = numbers
    return table


def entry(table: dict[str, NDArray[np.float64]], name: str, shape: tuple[int, ...], path: Path) -> NDArray[np.float64]:
    """A named entry of a given shape; raises DatasetError."""
    values = table.get(name)
    if values is None or values.size != int(np.prod(shape)):
        found = "is absent" if values is None else f"has {values.size} numbers"
        raise DatasetError(f"{path}: the entry {name} {found}; {int(np.prod(shape))} numbers were expected")
    return values.reshape(shape)


def read_rigid(path: Path) -> Matrix:
    """The R and T of calib_velo_to_cam.txt or calib_imu_to_velo.txt as [4, 4]; raises DatasetError."""
    table = read_table(path)
    matrix = compose(entry(table, "R", (3, 3), path), entry(table, "T", (3,), path))
    if not is_rigid(matrix):
        raise DatasetError(f"{path}: R is not a rotation")
    return matrix


def read_raw_camera(folder: Path, number: int) -> KittiCamera:
    """Camera image_0`number` of a date folder's calibration files; raises DatasetError.

    camera_from_lidar = K^-1 P_rect R_rect_00 [R | T]: the shift that P_rect carries is put into the transform, so that
    plain K projects.
    """
    path = folder / "calib_cam_to_cam.txt"
    table = read_table(path)
    p = entry(table, f"P_rect_0{number}", (3, 4), path)
    width, height = entry(table, f"S_rect_0{number}", (2,), path)
    rectify = compose(entry(table, "R_rect_00", (3, 3), path), (0, 0, 0))
    camera0_from_lidar = rectify @ read_rigid(folder / "calib_velo_to_cam.txt")
    return _camera(p, int(width), int(height), camera0_from_lidar, path)


def _camera(p: NDArray[np.float64], width: int, height: int, camera0_from_lidar: Matrix, path: Path) -> KittiCamera:
    k = p[:, :3].copy()
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        raise DatasetError(f"{path}: a projection with focal lengths {k[0, 0]:g} and {k[1, 1]:g}")
    shift = compose(np.eye(3), np.linalg.solve(k, p[:, 3]))
    return KittiCamera(width, height, k, shift @ camera0_from_lidar)
