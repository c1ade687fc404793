"""Boxes as numbers that a network predicts, and back (TransFusion, Bai et al., CVPR 2022).

A box row is x, y, z, w, l, h, yaw, vx, vy in the convention of the released checkpoints (mmdetection3d 0.x): z is the
height of the bottom, yaw turns clockwise seen from above. `results.detections` converts to the house's boxes.
A code row is cx, cy (BEV cells), z of the centre (m), log w, log l, log h, sin yaw, cos yaw, vx, vy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BoxCoder:
    """point_range: (x, y) of the grid's corner, m · voxel_size: (x, y), m · out_size_factor: voxels per BEV cell ·
    post_center_range: least and most x, y, z of boxes that are kept, m · score_threshold: boxes must score more; 0
    keeps all.
    """

    point_range: tuple[float, ...]
    voxel_size: tuple[float, ...]
    out_size_factor: int = 8
    post_center_range: tuple[float, ...] = (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
    score_threshold: float = 0.0

    def _metres(self, cells: Tensor, axis: int) -> Tensor:
        return cells * self.out_size_factor * self.voxel_size[axis] + self.point_range[axis]

    def encode(self, boxes: Tensor) -> Tensor:
        """boxes [N, 9] -> codes [N, 10] (training targets)."""
        cells = [(boxes[:, i] - self.point_range[i]) / (self.out_size_factor * self.voxel_size[i]) for i in range(2)]
        centre_z = boxes[:, 2] + boxes[:, 5] * 0.5
        yaw = boxes[:, 6]
        columns = [*cells, centre_z, *boxes[:, 3:6].log().unbind(1), yaw.sin(), yaw.cos(), *boxes[:, 7:9].unbind(1)]
        return torch.stack(columns, 1)

    def decode(self, center: Tensor, height: Tensor, dim: Tensor, rot: Tensor, vel: Tensor) -> Tensor:
        """center [B, 2, N] cells, height [B, 1, N], dim [B, 3, N], rot [B, 2, N] (sin, cos), vel [B, 2, N] -> boxes
        [B, N, 9]. None is dropped.
        """
        size = dim.exp()
        x, y = self._metres(center[:, 0], 0), self._metres(center[:, 1], 1)
        bottom = height[:, 0] - size[:, 2] * 0.5
        yaw = torch.atan2(rot[:, 0], rot[:, 1])
        return torch.stack([x, y, bottom, *size.unbind(1), yaw, *vel.unbind(1)], -1)

    def keep(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Which boxes [N, 9] lie in the range and score enough, bool [N]."""
        limits = boxes.new_tensor(self.post_center_range)
        inside = (boxes[:, :3] >= limits[:3]).all(1) & (boxes[:, :3] <= limits[3:]).all(1)
        return inside & (scores > self.score_threshold) if self.score_threshold else inside
