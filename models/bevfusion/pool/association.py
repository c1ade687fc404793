"""Which frustum point falls into which cell of the BEV grid: sorted once per calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """A grid in the LiDAR frame; x, y, z: (from, to, cell size), m."""

    x: tuple[float, float, float]
    y: tuple[float, float, float]
    z: tuple[float, float, float]

    @property
    def cells(self) -> tuple[int, int, int]:
        """Number of cells along x, y, z (a remainder smaller than a cell is left out)."""
        x, y, z = (int(round((high - low) / step, 6)) for low, high, step in (self.x, self.y, self.z))
        return x, y, z

    @property
    def step(self) -> NDArray[np.float32]:
        """Cell sizes, m (`dx` of the released checkpoints)."""
        return np.array([self.x[2], self.y[2], self.z[2]], np.float32)

    @property
    def first(self) -> NDArray[np.float32]:
        """Centre of the first cell, m (`bx` of the released checkpoints)."""
        return np.array([low + step / 2.0 for low, _, step in (self.x, self.y, self.z)], np.float32)


@dataclass(frozen=True, eq=False)
class Association:
    """Frustum points in the order of their cells. Points outside the grid are left out.

    depth: int32 [P], where a point's depth probability stands in the flat array of all · pixel: int32 [P], the row of
    its image feature · cells: int32 [M], the flat index ((b * X + x) * Y + y) * Z + z of every cell that holds a point,
    rising · starts: int64 [M + 1], the points of cell m are starts[m] to starts[m + 1] · shape: (B, X, Y, Z) · depths,
    pixels: sizes of the arrays that `depth` and `pixel` point into.
    """

    depth: NDArray[np.int32]
    pixel: NDArray[np.int32]
    cells: NDArray[np.int32]
    starts: NDArray[np.int64]
    shape: tuple[int, int, int, int]
    depths: int
    pixels: int
    _cache: dict[str, tuple[NDArray[np.int32], NDArray[np.int64]]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.depth)

    def by_pixel(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(order int32 [P], starts int64 [pixels + 1]): the points of pixel i are order[starts[i]:starts[i + 1]]. The
        backward pass sums the gradients of the features in this order.
        """
        if "pixel" not in self._cache:
            self._cache["pixel"] = _sorted(self.pixel, self.pixels)
        return self._cache["pixel"]

    def cell_of_point(self) -> NDArray[np.int32]:
        """The cell's flat index of every point, int32 [P]."""
        return np.repeat(self.cells, np.diff(self.starts))


@njit(cache=True, nogil=True)
def _counted(keys, order, starts):
    """Counting sort: starts [K + 1] zeroed becomes the bounds of every key, order the stable order; keys < 0 are left
    out."""
    for i in range(len(keys)):
        if keys[i] >= 0:
            starts[keys[i] + 1] += 1
    for k in range(1, len(starts)):
        starts[k] += starts[k - 1]
    at = starts[:-1].copy()
    for i in range(len(keys)):
        k = keys[i]
        if k >= 0:
            order[at[k]] = i
            at[k] += 1


def _sorted(keys: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(order, starts) of keys in 0..count; -1 is left out."""
    order, starts = np.empty(len(keys), np.int32), np.zeros(count + 1, np.int64)
    _counted(keys, order, starts)
    return order[: starts[-1]], starts


def associate(
    points: NDArray[np.integer],
    batch: NDArray[np.integer] | int,
    shape: tuple[int, int, int, int],
    pixel: NDArray[np.int32] | None = None,
) -> Association:
    """Association of points with known cells.

    points: integer [P, 3], cell x, y, z of every point; those outside the grid are left out · batch: integer [P], or
    one for all · shape: (B, X, Y, Z) · pixel: int32 [P], the feature row of every point (`frustum_pixels`); None: point
    i has row i.
    Raises ValueError where the arrays do not fit.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points have shape {points.shape}: expected [P, 3]")
    if pixel is not None and pixel.shape != (len(points),):
        raise ValueError(f"pixels have shape {pixel.shape}: expected [{len(points)}], one for each point")
    size = np.array(shape[1:])
    inside = ((points >= 0) & (points < size)).all(1)
    key = ((np.asarray(batch) * size[0] + points[:, 0]) * size[1] + points[:, 1]) * size[2] + points[:, 2]
    order, starts = _sorted(np.where(inside, key, -1).astype(np.int32), int(np.prod(shape)))
    cells = np.flatnonzero(np.diff(starts)).astype(np.int32)
    rows = order if pixel is None else pixel[order]
    count = len(points) if pixel is None else int(pixel.max(initial=-1)) + 1
    return Association(order, rows, cells, np.append(starts[cells], starts[-1]), shape, len(points), count)


def frustum_pixels(views: int, depths: int, pixels: int) -> NDArray[np.int32]:
    """Feature row of every frustum point, int32 [views * depths * pixels]: the points are [views, depths, pixels], the
    rows [views, pixels].
    """
    rows = np.arange(views * pixels, dtype=np.int32).reshape(views, 1, pixels)
    return np.broadcast_to(rows, (views, depths, pixels)).reshape(-1)
