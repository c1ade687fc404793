"""From the camera branch's map to the BEV: lift, splat, shoot (Philion and Fidler, ECCV 2020) with canonical depth.

Each cell of the stride-8 map predicts a distribution over `DepthBins` and a context vector; the class "beyond" lifts
nothing. The bins are metres of a camera of FOCAL px, so a camera of another focal length has its own metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.calibration import CameraCalibration
from models.bevfusion.images import ImageGeometry
from models.bevfusion.lite.camera import STRIDE, CameraBranch, Separable
from models.bevfusion.lite.depth_bins import FOCAL, DepthBins
from models.bevfusion.pool.association import Association, Grid, associate, frustum_pixels


class CameraLift(nn.Module):
    """Pictures to lifted features.

    features: of the branch's map · context: channels of the BEV map · bins: of depth. `depth` has the layout of
    camera-lite's depth head, whose weights it starts from.
    """

    def __init__(self, features: int, context: int, bins: DepthBins):
        super().__init__()
        self.bins, self.channels = bins, context
        self.branch = CameraBranch(features)
        self.depth = nn.Sequential(Separable(features, features), nn.Conv2d(features, bins.classes, 1))
        self.context = nn.Conv2d(features, context, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [V, 3, H, W], normalised -> (probabilities [V, bins, W/8, H/8], context [V, W/8, H/8, C])."""
        found = self.branch(images)
        depth = self.depth(found).softmax(1)[:, : self.bins.count]
        return depth.transpose(2, 3), self.context(found).permute(0, 3, 2, 1)


def camera_cells(
    cameras: Sequence[CameraCalibration], geometry: ImageGeometry, bins: DepthBins, grid: Grid
) -> NDArray[np.int64]:
    """Cells int64 [V, bins, W/8, H/8, 3] of the frustum points; outside the grid: negative or too large."""
    height, width = (side // STRIDE for side in geometry.size)
    u, v = ((np.arange(n) + 0.5) * STRIDE - 0.5 for n in (width, height))
    pixels = np.stack([*np.meshgrid(u, v, indexing="ij"), np.ones((width, height))], -1)  # [W, H, 3]
    low, step = np.array([grid.x[0], grid.y[0], grid.z[0]]), grid.step.astype(np.float64)
    out = np.empty((len(cameras), bins.count, width, height, 3), np.int64)
    centres = bins.centres().double().numpy()
    for i, camera in enumerate(cameras):
        k = _picture_from_raw(geometry, camera) @ camera.intrinsics
        rays = pixels @ np.linalg.inv(k).T
        metres = centres * ((k[0, 0] + k[1, 1]) / 2 / FOCAL)
        pose = camera.points_from_camera
        points = metres[:, None, None, None] * (rays @ pose[:3, :3].T) + pose[:3, 3]  # [bins, W, H, 3]
        out[i] = np.floor((points - low) / step)
    return out


def _picture_from_raw(geometry: ImageGeometry, camera: CameraCalibration) -> NDArray[np.float64]:
    found = geometry.matrix(*camera.size).astype(np.float64)
    out = np.eye(3)
    out[:2, :2], out[:2, 2] = found[:2, :2], found[:2, 3]
    return out


def lift_association(
    rigs: Sequence[Sequence[CameraCalibration]], geometry: ImageGeometry, bins: DepthBins, grid: Grid
) -> Association:
    """Which frustum point falls into which cell, for B samples with cameras of their own (one rig each)."""
    cells = [camera_cells(rig, geometry, bins, grid) for rig in rigs]
    sample = np.concatenate([np.full(part[..., 0].size, b, np.int32) for b, part in enumerate(cells)])
    places = np.concatenate([part.reshape(-1, 3) for part in cells])
    height, width = (side // STRIDE for side in geometry.size)
    views = sum(len(rig) for rig in rigs)
    return associate(places, sample, (len(rigs), *grid.cells), frustum_pixels(views, bins.count, width * height))
