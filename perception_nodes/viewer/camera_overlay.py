"""Labelled LiDAR points drawn on a camera's picture. numpy and OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEAR_M, FAR_M = 0.5, 80.0
OPACITY = 0.75
FULL_SIZE_M = 8.0  # up to this distance a dot has its full size


def draw_points(
    rgb: NDArray[np.uint8], pixels: NDArray[np.float64], depth: NDArray[np.float64], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The picture with a dot for every point that lies in it; nearer points are larger and lie on top.

    Args:
        rgb: uint8 [H, W, 3].
        pixels: float64 [N, 2], column and row.
        depth: float64 [N], m along the optical axis; below `NEAR_M` and above `FAR_M` a point is left out.
        colours: uint8 [N, 3].
    """
    import cv2

    height, width = rgb.shape[:2]
    with np.errstate(invalid="ignore"):
        seen = (depth > NEAR_M) & (depth < FAR_M) & (pixels >= -0.5).all(1)
        seen &= (pixels[:, 0] < width - 0.5) & (pixels[:, 1] < height - 0.5)
    kept = np.flatnonzero(seen)
    kept = kept[np.argsort(-depth[kept], kind="stable")]
    column, row = np.round(pixels[kept]).astype(int).T
    largest = max(2, round(width / 300))
    radius = np.clip(np.round(largest * FULL_SIZE_M / depth[kept]), 1, largest).astype(int)
    drawn = rgb.copy()
    for size in range(1, largest + 1):  # the furthest points are the smallest
        mine = radius == size
        for down, right in _disc(size):
            r, c = row[mine] + down, column[mine] + right
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            drawn[r[inside], c[inside]] = colours[kept][mine][inside]
    return cv2.addWeighted(drawn, OPACITY, rgb, 1 - OPACITY, 0)  # type: ignore[return-value]


def _disc(radius: int) -> list[tuple[int, int]]:
    """Offsets of the pixels of a dot."""
    reach = range(-radius, radius + 1)
    return [(down, right) for down in reach for right in reach if down * down + right * right < radius * radius + 1]
