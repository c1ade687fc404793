"""Where image features and LiDAR points meet: frustums in the LiDAR frame, LiDAR points as sparse depth images.

Names of 4x4 matrices say their direction: `lidar_from_camera` takes camera coordinates (x right, y down, z forward) to
LiDAR coordinates. `image_from_raw` takes pixels of the raw picture to pixels of the network's picture (resize and
crop), `augmented_from_lidar` is the augmentation of the cloud in training, the identity at inference. All in float32,
as the released code computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.pool import Grid


@dataclass(frozen=True, eq=False)
class CameraMatrices:
    """Calibration of B samples with N cameras: float32 [B, N, 4, 4] each, `augmented_from_lidar` [B, 4, 4].

    lidar_from_camera (`camera2lidar` of the released code) · intrinsics: of the raw picture, K in the upper left ·
    raw_from_lidar: K @ camera_from_lidar (`lidar2image`) · image_from_raw (`img_aug_matrix`) · augmented_from_lidar
    (`lidar_aug_matrix`).
    """

    lidar_from_camera: Tensor
    intrinsics: Tensor
    raw_from_lidar: Tensor
    image_from_raw: Tensor
    augmented_from_lidar: Tensor

    def views(self, rows: list[int]) -> CameraMatrices:
        """The matrices of some of the cameras."""
        return CameraMatrices(
            self.lidar_from_camera[:, rows],
            self.intrinsics[:, rows],
            self.raw_from_lidar[:, rows],
            self.image_from_raw[:, rows],
            self.augmented_from_lidar,
        )

    def arrays(self) -> list[NDArray]:
        """Everything that the place of a frustum point depends on."""
        return [getattr(self, f.name).numpy() for f in fields(self) if f.name != "raw_from_lidar"]


def frustum_of(image_size: Sequence[int], feature_size: Sequence[int], depths: Sequence[float]) -> Tensor:
    """Frustum points [D, H, W, 3]: pixel column, pixel row of the network's picture, depth in m.

    image_size, feature_size: (height, width) · depths: (from, to, step), m. The features are spread from the first to
    the last pixel (linspace 0 … width - 1).
    """
    d = torch.arange(*depths, dtype=torch.float32)
    y = torch.linspace(0, image_size[0] - 1, feature_size[0])
    x = torch.linspace(0, image_size[1] - 1, feature_size[1])
    d, y, x = torch.meshgrid(d, y, x, indexing="ij")
    return torch.stack([x, y, d], -1)


def frustum_in_lidar(frustum: Tensor, m: CameraMatrices) -> Tensor:
    """Frustum points [D, H, W, 3] of every camera in the (augmented) LiDAR frame, m: [B, N, D, H, W, 3]."""
    batch, views = m.lidar_from_camera.shape[:2]
    flat = frustum.reshape(-1, 3)
    raw_from_image = torch.inverse(m.image_from_raw[..., :3, :3])
    lidar_from_ray = m.lidar_from_camera[..., :3, :3] @ torch.inverse(m.intrinsics[..., :3, :3])
    found = flat.new_empty(batch, views, len(flat), 3)
    for b in range(batch):
        turn, shift = m.augmented_from_lidar[b, :3, :3], m.augmented_from_lidar[b, :3, 3]
        for n in range(views):
            points = (flat - m.image_from_raw[b, n, :3, 3]) @ raw_from_image[b, n].T
            points = torch.cat([points[:, :2] * points[:, 2:], points[:, 2:]], 1)  # pixels times depth
            points = points @ lidar_from_ray[b, n].T + m.lidar_from_camera[b, n, :3, 3]
            found[b, n] = points @ turn.T + shift
    return found.view(batch, views, *frustum.shape)


def cells_of(points: Tensor, grid: Grid) -> Tensor:
    """Cell indices int64 of points [..., 3]: truncated towards zero, as in the released code, so that places up to one
    cell below the first border count as cell 0.
    """
    step = torch.from_numpy(grid.step)
    return ((points - (torch.from_numpy(grid.first) - step / 2.0)) / step).long()


def depth_images(points: Sequence[Tensor], m: CameraMatrices, image_size: Sequence[int]) -> Tensor:
    """LiDAR points as sparse pictures of their depth in m, zero where none lies: [B, N, 1, height, width].

    points: per sample float32 [P, 3 or more], x, y, z in the (augmented) LiDAR frame, m. The last point in a pixel
    stays. As in the released code, the depth of a point behind the camera is clamped to 1e-5 m for its projection
    only; where it still lands in the picture, its (negative) depth is written.
    """
    batch, views = m.raw_from_lidar.shape[:2]
    height, width = image_size
    out = np.zeros((batch, views, 1, height, width), np.float32)
    for b, cloud in enumerate(points):
        augmented = m.augmented_from_lidar[b]
        xyz = (cloud[:, :3] - augmented[:3, 3]) @ torch.inverse(augmented[:3, :3]).T
        for n in range(views):
            project, image = m.raw_from_lidar[b, n], m.image_from_raw[b, n]
            seen = xyz @ project[:3, :3].T + project[:3, 3]
            depth = seen[:, 2]
            z = depth.clamp(1e-5, 1e5)
            pixel = torch.stack([seen[:, 0] / z, seen[:, 1] / z, z], 1) @ image[:3, :3].T + image[:3, 3]
            u, v = pixel[:, 0].numpy(), pixel[:, 1].numpy()
            inside = np.flatnonzero((v < height) & (v >= 0) & (u < width) & (u >= 0))
            out[b, n, 0, v[inside].astype(np.int64), u[inside].astype(np.int64)] = depth.numpy()[inside]
    return torch.from_numpy(out)
