"""From the camera branch's map to the BEV: lift, splat, shoot (Philion and Fidler, ECCV 2020) with canonical depth.

Each cell of the stride-8 map predicts a distribution over `DepthBins` and a context vector; the class "beyond" lifts
nothing. The bins are metres of a camera of FOCAL px, so a camera of another focal length has its own metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
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
        logits, context = self.from_maps(*self.branch.backbone(images))
        return self.for_pool(logits, context)

    def from_maps(self, c8: Tensor, c16: Tensor) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits of depth [V, bins + 1, H/8, W/8], context [V, C, H/8, W/8])."""
        found = self.branch.neck(c8, c16)
        return self.depth(found), self.context(found)

    def for_pool(self, logits: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """What `from_maps` gave, as `forward` gives it."""
        depth = logits.softmax(1)[:, : self.bins.count]
        return depth.transpose(2, 3), context.permute(0, 3, 2, 1)


def camera_cells(
    cameras: Sequence[CameraCalibration], geometry: ImageGeometry, bins: DepthBins, grid: Grid
) -> NDArray[np.int64]:
    """Cells int64 [V, bins, W/8, H/8, 3] of the frustum points; outside the grid: negative or too large."""
    intrinsics = np.stack([_picture_from_raw(geometry, camera) @ camera.intrinsics for camera in cameras])
    return view_cells(intrinsics, np.stack([c.points_from_camera for c in cameras]), geometry.size, bins, grid)


def view_cells(
    intrinsics: NDArray[np.float64], poses: NDArray[np.float64], size: tuple[int, int], bins: DepthBins, grid: Grid
) -> NDArray[np.int64]:
    """The same from matrices: intrinsics [V, 3, 3] of the network's picture of `size` (height, width), px, and poses
    [V, 4, 4], points_from_camera; in training a pose may scale and mirror."""
    height, width = (side // STRIDE for side in size)
    u, v = ((np.arange(n) + 0.5) * STRIDE - 0.5 for n in (width, height))
    pixels = np.stack([*np.meshgrid(u, v, indexing="ij"), np.ones((width, height))], -1)  # [W, H, 3]
    low, step = np.array([grid.x[0], grid.y[0], grid.z[0]]), grid.step.astype(np.float64)
    out = np.empty((len(intrinsics), bins.count, width, height, 3), np.int64)
    centres = bins.centres().double().numpy()
    for i, (k, pose) in enumerate(zip(intrinsics, poses)):
        rays = pixels @ np.linalg.inv(k).T @ pose[:3, :3].T
        metres = centres * ((k[0, 0] + k[1, 1]) / 2 / FOCAL)
        _fill_cells(rays.reshape(-1, 3), metres, pose[:3, 3].copy(), low, step, out[i].reshape(len(centres), -1, 3))
    return out


@njit(cache=True, nogil=True)
def _fill_cells(rays, metres, origin, low, step, out):
    """out[b, p] = floor((metres[b] * rays[p] + origin - low) / step)."""
    for b in range(len(metres)):
        for p in range(len(rays)):
            for axis in range(3):
                place = metres[b] * rays[p, axis] + origin[axis]
                out[b, p, axis] = np.int64(np.floor((place - low[axis]) / step[axis]))


def _picture_from_raw(geometry: ImageGeometry, camera: CameraCalibration) -> NDArray[np.float64]:
    found = geometry.matrix(*camera.size).astype(np.float64)
    out = np.eye(3)
    out[:2, :2], out[:2, 2] = found[:2, :2], found[:2, 3]
    return out


def lift_association(
    rigs: Sequence[Sequence[CameraCalibration]], geometry: ImageGeometry, bins: DepthBins, grid: Grid
) -> Association:
    """Which frustum point falls into which cell, for B samples with cameras of their own (one rig each)."""
    return cells_association([camera_cells(rig, geometry, bins, grid) for rig in rigs], grid)


def cells_association(cells: Sequence[NDArray[np.int64]], grid: Grid) -> Association:
    """The same from each sample's cells [V, bins, W/8, H/8, 3]; the views of all samples stand in one row."""
    sample = np.concatenate([np.full(part[..., 0].size, b, np.int32) for b, part in enumerate(cells)])
    places = np.concatenate([part.reshape(-1, 3) for part in cells])
    _, bins, width, height, _ = cells[0].shape
    views = sum(len(part) for part in cells)
    return associate(places, sample, (len(cells), *grid.cells), frustum_pixels(views, bins, width * height))
