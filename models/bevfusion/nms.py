"""Non-maximum suppression in the bird's-eye view: by distance, and by the overlap of turned rectangles."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def circle_nms(
    centres: NDArray[np.float32], scores: NDArray[np.float32], squared_distance: float, most: int
) -> NDArray[np.int64]:
    """Rows of `centres` float32 [N, 2] that stay, best first: each one removes all worse ones whose squared distance is
    at most `squared_distance`. (The released configuration's `min_radius` is that squared distance.)
    """
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        gaps = centres[kept] - centres[i]
        if not len(kept) or ((gaps**2).sum(1) > squared_distance).all():
            kept.append(int(i))
    return np.array(kept[:most], np.int64)


def rotated_nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float, most: int, first: int = 1000
) -> NDArray[np.int64]:
    """Rows of `boxes` float32 [N, 5] (x, y, width along x, length along y before turning, yaw clockwise) that stay,
    best first: each one removes all worse ones whose intersection over union exceeds `threshold`. Only the `first` best
    take part; at most `most` are returned.
    """
    order = np.argsort(-scores, kind="stable")[:first].astype(np.int64)
    stays = _suppress(np.ascontiguousarray(boxes[order], np.float64), threshold)
    return order[stays][:most]


@njit(cache=True, nogil=True)
def _suppress(boxes, threshold):
    stays = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if not stays[i]:
            continue
        for j in range(i + 1, len(boxes)):
            if stays[j] and rotated_iou(boxes[i], boxes[j]) > threshold:
                stays[j] = False
    return stays


@njit(cache=True, nogil=True)
def _corners(box):
    """Corners [4, 2] of a rectangle, counter-clockwise."""
    out = np.empty((4, 2))
    cos, sin = np.cos(box[4]), np.sin(box[4])
    for k in range(4):
        u = box[2] / 2 if k == 0 or k == 3 else -box[2] / 2
        v = box[3] / 2 if k < 2 else -box[3] / 2
        out[k, 0] = box[0] + u * cos + v * sin
        out[k, 1] = box[1] - u * sin + v * cos
    return out


@njit(cache=True, nogil=True)
def rotated_iou(a, b):
    """Intersection over union of two rectangles (x, y, width, length, yaw clockwise): Sutherland-Hodgman clipping."""
    reach = (np.hypot(a[2], a[3]) + np.hypot(b[2], b[3])) / 2
    if np.hypot(a[0] - b[0], a[1] - b[1]) > reach:
        return 0.0
    polygon, count = np.zeros((16, 2)), 4
    polygon[:4] = _corners(a)
    clip = _corners(b)
    scratch = np.zeros((16, 2))
    for e in range(4):
        ax, ay = clip[e, 0], clip[e, 1]
        ex, ey = clip[(e + 1) % 4, 0] - ax, clip[(e + 1) % 4, 1] - ay
        made = 0
        for i in range(count):
            j = (i + 1) % count
            di = ex * (polygon[i, 1] - ay) - ey * (polygon[i, 0] - ax)  # left of the edge is inside
            dj = ex * (polygon[j, 1] - ay) - ey * (polygon[j, 0] - ax)
            if di >= 0:
                scratch[made] = polygon[i]
                made += 1
            if (di > 0 and dj < 0) or (di < 0 and dj > 0):
                scratch[made] = polygon[i] + (polygon[j] - polygon[i]) * (di / (di - dj))
                made += 1
        count = made
        polygon[:count] = scratch[:count]
        if count < 3:
            return 0.0
    area = 0.0
    for i in range(count):
        j = (i + 1) % count
        area += polygon[i, 0] * polygon[j, 1] - polygon[j, 0] * polygon[i, 1]
    area = abs(area) / 2
    return area / max(a[2] * a[3] + b[2] * b[3] - area, 1e-12)
