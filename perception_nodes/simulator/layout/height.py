"""Height of a ground mesh under any map point: exact triangle look-up through a grid of buckets (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def _bucket(tri, low_x, low_y, cell, columns, rows):
    """Triangles per grid cell as (starts, ids); tri float64 [T, 3, 3]."""
    counts = np.zeros(columns * rows + 1, np.int64)
    for fill in range(2):
        if fill == 1:
            for i in range(columns * rows):
                counts[i + 1] += counts[i]
            ids = np.empty(counts[columns * rows], np.int32)
            cursor = counts.copy()
        for t in range(len(tri)):
            x0 = min(tri[t, 0, 0], tri[t, 1, 0], tri[t, 2, 0])
            x1 = max(tri[t, 0, 0], tri[t, 1, 0], tri[t, 2, 0])
            y0 = min(tri[t, 0, 1], tri[t, 1, 1], tri[t, 2, 1])
            y1 = max(tri[t, 0, 1], tri[t, 1, 1], tri[t, 2, 1])
            for r in range(int((y0 - low_y) / cell), int((y1 - low_y) / cell) + 1):
                for c in range(int((x0 - low_x) / cell), int((x1 - low_x) / cell) + 1):
                    i = r * columns + c
                    if fill == 0:
                        counts[i + 1] += 1
                    else:
                        ids[cursor[i]] = t
                        cursor[i] += 1
    return counts, ids


@njit(cache=True)
def _height(x, y, tri, counts, ids, low_x, low_y, cell, columns, rows, outside):
    """Highest triangle under each point; `outside` where there is none."""
    out = np.empty(len(x), np.float64)
    for p in range(len(x)):
        best = -1e30
        c, r = int((x[p] - low_x) / cell), int((y[p] - low_y) / cell)
        if x[p] >= low_x and y[p] >= low_y and c < columns and r < rows:
            for k in range(counts[r * columns + c], counts[r * columns + c + 1]):
                t = ids[k]
                ax, ay = tri[t, 0, 0], tri[t, 0, 1]
                bx, by = tri[t, 1, 0] - ax, tri[t, 1, 1] - ay
                cx, cy = tri[t, 2, 0] - ax, tri[t, 2, 1] - ay
                area = bx * cy - by * cx
                if abs(area) < 1e-9:
                    continue
                px, py = x[p] - ax, y[p] - ay
                s = (px * cy - py * cx) / area
                q = (bx * py - by * px) / area
                if s >= -1e-6 and q >= -1e-6 and s + q <= 1 + 1e-6:
                    z = tri[t, 0, 2] + s * (tri[t, 1, 2] - tri[t, 0, 2]) + q * (tri[t, 2, 2] - tri[t, 0, 2])
                    best = max(best, z)
        out[p] = best if best > -1e29 else outside
    return out


class GroundHeight:
    """Callable height field of a ground mesh; the highest triangle counts, `outside` (m) holds beyond the mesh."""

    def __init__(self, vertices: NDArray[np.float32], triangles: NDArray[np.int32], cell: float = 3.0) -> None:
        self.triangles = np.ascontiguousarray(vertices[triangles].astype(np.float64))
        low, high = vertices[:, :2].min(0).astype(np.float64), vertices[:, :2].max(0).astype(np.float64)
        self.low = low - 0.01
        self.cell = cell
        self.columns, self.rows = (int(n) for n in np.floor((high - self.low) / cell) + 1)
        self.outside = float(np.median(vertices[:, 2]))
        self.counts, self.ids = _bucket(self.triangles, self.low[0], self.low[1], cell, self.columns, self.rows)

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.float64], /) -> NDArray[np.float64]:
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        z = _height(
            np.ascontiguousarray(x.ravel()),
            np.ascontiguousarray(y.ravel()),
            self.triangles,
            self.counts,
            self.ids,
            self.low[0],
            self.low[1],
            self.cell,
            self.columns,
            self.rows,
            self.outside,
        )
        return z.reshape(x.shape)

    def on(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points [..., 2] -> [..., 3] on the ground."""
        return np.concatenate([xy, self(xy[..., 0], xy[..., 1])[..., None]], -1)
