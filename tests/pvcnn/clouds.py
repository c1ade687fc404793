"""Small clouds for the tests of this folder."""

import torch

from models.pvcnn.grid import PointGrid, point_grid


def cloud(seed: int, clouds: int = 2, points: int = 60) -> torch.Tensor:
    """Coordinates float64 [clouds, 3, points], uniform in a box."""
    return torch.rand(clouds, 3, points, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grid_of(voxels: list[list[float]], resolution: int) -> PointGrid:
    """The grid of one cloud whose points lie at these places in voxels (they must average to the grid's middle,
    resolution / 2): normalize=False puts coordinate c at (c - mean + 1) / 2 * resolution."""
    places = torch.tensor(voxels, dtype=torch.float64).T[None]  # [1, 3, N]
    return point_grid(places * 2 / resolution, resolution, normalize=False)
