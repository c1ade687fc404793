"""Calibration of the cameras as a session is given it, and as the network's matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from models.bevfusion.geometry import CameraMatrices
from models.bevfusion.images import ImageGeometry

Y_FORWARD_FROM_X_FORWARD = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """One pinhole camera without distortion.

    intrinsics float64 [3, 3]: K, px · points_from_camera float64 [4, 4]: the camera's pose (optical frame: x right, y
    down, z forward) in the frame of the points, m · size: (height, width) of its pictures, px.
    Raises ValueError for wrong shapes, a K without focal length or a pose that is not a rigid motion.
    """

    intrinsics: NDArray[np.float64]
    points_from_camera: NDArray[np.float64]
    size: tuple[int, int]

    @staticmethod
    def build(intrinsics: ArrayLike, points_from_camera: ArrayLike, size: Sequence[int]) -> CameraCalibration:
        """From lists or arrays of any dtype."""
        height, width = (int(v) for v in size)
        return CameraCalibration(
            np.asarray(intrinsics, np.float64), np.asarray(points_from_camera, np.float64), (height, width)
        )

    def __post_init__(self) -> None:
        k, pose = self.intrinsics, self.points_from_camera
        if k.shape != (3, 3) or pose.shape != (4, 4):
            raise ValueError(f"K has shape {k.shape} and the pose {pose.shape}: expected [3, 3] and [4, 4]")
        if not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
            raise ValueError(f"K has focal lengths {k[0, 0]:g} and {k[1, 1]:g}: expected positive ones, px")
        turn = pose[:3, :3]
        rigid = np.isfinite(pose).all() and np.allclose(turn @ turn.T, np.eye(3), atol=1e-3)
        if not rigid or np.linalg.det(turn) < 0 or not np.allclose(pose[3], [0, 0, 0, 1]):
            raise ValueError("the camera's pose is not a rigid motion: expected a rotation and a translation, [4, 4]")
        if min(self.size) < 1:
            raise ValueError(f"the pictures' size is {self.size}: expected (height, width) of at least 1 px")


def matrices_of(cameras: Mapping[str, CameraCalibration], geometry: ImageGeometry, x_forward: bool) -> CameraMatrices:
    """Matrices of one sample with these cameras, in the mapping's order.

    x_forward: whether the points' frame has x forward; the network's has y forward.
    """
    turn = Y_FORWARD_FROM_X_FORWARD if x_forward else np.eye(4)
    poses, intrinsics, projections, images = [], [], [], []
    for camera in cameras.values():
        k = np.eye(4)
        k[:3, :3] = camera.intrinsics
        pose = turn @ camera.points_from_camera
        poses.append(pose)
        intrinsics.append(k)
        projections.append(k @ np.linalg.inv(pose))
        images.append(geometry.matrix(*camera.size))

    def stack(matrices: Sequence[NDArray]) -> Tensor:
        return torch.from_numpy(np.stack(matrices).astype(np.float32))[None]

    return CameraMatrices(stack(poses), stack(intrinsics), stack(projections), stack(images), torch.eye(4)[None])
