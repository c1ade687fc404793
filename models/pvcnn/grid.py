"""Where points lie in a dense grid of R^3 voxels: normalised coordinates, the voxel of every point, its eight corners.

Coordinates are centred on the cloud's mean. normalize=True: divided by twice the largest distance from the mean (plus
eps) and shifted by 0.5, so that every point lies in [0, 1]^3; False: (c + 1) / 2, for clouds in the unit ball. Times R,
clamped to [0, R - 1] (Liu et al., "Point-Voxel CNN", NeurIPS 2019, section 3.2, as released).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PointGrid:
    """One batch of clouds against one grid.

    resolution: R · coords float [B, 3, N], normalised coordinates in voxels, 0 to R - 1 · cells int32 [B, N], the voxel
    of every point, (x R + y) R + z of the coordinates rounded half to even · share [B, N], 1 / points in that voxel ·
    corners int32 [B, N, 8] and weights [B, N, 8]: trilinear interpolation at the unrounded coordinates, corners in the
    order 000, 001, …, 111 of (x, y, z); a corner beyond the last voxel is its lower neighbour with weight 0.
    """

    resolution: int
    coords: Tensor
    cells: Tensor
    share: Tensor
    corners: Tensor
    weights: Tensor

    @property
    def voxels(self) -> int:
        """R^3."""
        return self.resolution**3


def normalised(coords: Tensor, resolution: int, normalize: bool = True, eps: float = 0.0) -> Tensor:
    """coords float [B, 3, N] (any unit) -> float [B, 3, N] in voxels, 0 to resolution - 1. No gradient."""
    coords = coords.detach()
    centred = coords - coords.mean(2, keepdim=True)
    if normalize:
        reach = centred.norm(dim=1, keepdim=True).amax(2, keepdim=True) * 2.0 + eps
        # a cloud of one place has no extent: it goes to the middle, where the formula would divide zero by zero
        centred = centred / torch.where(reach > 0, reach, torch.ones_like(reach)) + 0.5
    else:
        centred = (centred + 1.0) / 2.0
    return (centred * resolution).clamp(0, resolution - 1)


def point_grid(coords: Tensor, resolution: int, normalize: bool = True, eps: float = 0.0) -> PointGrid:
    """The grid that a batch of clouds lies in; coords float [B, 3, N]. Raises ValueError for what is not a cloud."""
    check_coords(coords)
    if resolution < 1:
        raise ValueError(f"resolution is {resolution}: expected 1 or more voxels along each axis")
    at = normalised(coords, resolution, normalize, eps)
    r = resolution
    nearest = torch.round(at).int()
    cells = (nearest[:, 0] * r + nearest[:, 1]) * r + nearest[:, 2]
    flat = cells.long() + r**3 * torch.arange(len(cells), device=cells.device)[:, None]
    counts = torch.bincount(flat.flatten(), minlength=len(cells) * r**3)
    share = counts[flat].to(at.dtype).reciprocal()
    low = at.floor()
    part = at - low
    step = (part > 0).int()
    base = low.int()
    # [B, 3, 2, N]: weight and voxel index of the lower and the upper neighbour along each axis
    weight = torch.stack((1.0 - part, part), 2)
    index = torch.stack((base, base + step), 2)
    corners = ((index[:, 0, :, None, None] * r + index[:, 1, None, :, None]) * r) + index[:, 2, None, None, :]
    weights = weight[:, 0, :, None, None] * weight[:, 1, None, :, None] * weight[:, 2, None, None, :]
    shape = (len(cells), 8, -1)  # [B, 2, 2, 2, N] -> [B, 8, N]
    return PointGrid(
        r,
        at,
        cells,
        share,
        corners.reshape(shape).transpose(1, 2).contiguous(),
        weights.reshape(shape).transpose(1, 2).contiguous(),
    )


def check_coords(coords: Tensor) -> None:
    """ValueError unless coords is a finite float [B, 3, N] with at least one cloud of at least one point."""
    if coords.ndim != 3 or coords.shape[1] != 3 or not coords.is_floating_point():
        raise ValueError(f"coordinates are {coords.dtype} {list(coords.shape)}: expected float [clouds, 3, points]")
    if not coords.numel():
        raise ValueError(f"coordinates have shape {list(coords.shape)}: expected at least one cloud of one point")
    if not bool(torch.isfinite(coords).all()):
        bad = int((~torch.isfinite(coords).all(1)).sum())
        raise ValueError(f"{bad} of {coords.shape[0] * coords.shape[2]} points are not finite: remove them first")


@dataclass
class Grids:
    """The grids of one batch of clouds, each made once: several layers of a network share resolution and rule."""

    coords: Tensor
    _made: dict[tuple[int, bool, float], PointGrid] = field(default_factory=dict)

    def at(self, resolution: int, normalize: bool, eps: float) -> PointGrid:
        """The grid of a resolution and rule; see `point_grid`."""
        key = (resolution, normalize, eps)
        if key not in self._made:
            self._made[key] = point_grid(self.coords, *key)
        return self._made[key]
