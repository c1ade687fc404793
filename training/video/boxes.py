"""2D boxes of a rendered moment: the 3D boxes of truth seen through a camera, and what of them is visible.

The whole box is the picture of the 3D box's eight corners (cut off behind the camera), clipped to the picture. What is
visible comes from the renderer's own instance picture, so occlusion by houses, hedges and others is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.camera import CameraImage
from perception_nodes.simulator.rigs import CameraSpec
from perception_nodes.simulator.scene import ActorState, Snapshot
from perception_nodes.simulator.truth import box_of
from training.video.cache import BOX_CLASS, FrameBoxes

NEAR = 0.3  # m; corners nearer than this are drawn onto this plane
LEAST = 6  # visible pixels below which an object is left out
# about how much of the hull of its projected 3D box an object's own picture fills
FILL = np.array([0.72, 0.82, 0.88, 0.45, 0.5], np.float32)  # by BOX_NAMES
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


class BoxTracker:
    """Rows of `FrameBoxes`, frame by frame of one clip."""

    def __init__(self, camera: CameraSpec) -> None:
        self.camera = camera
        self._rows: list[tuple] = []
        self._before: dict[int, NDArray[np.float64]] = {}
        self._frame = 0

    def add(self, snapshot: Snapshot, image: CameraImage, period: float) -> None:
        """The next frame; `period` s since the one before."""
        pose = snapshot.ego.map_from_base @ self.camera.base_from_camera
        counts = np.bincount(image.instance.ravel(), minlength=1)
        centres: dict[int, NDArray[np.float64]] = {}
        for actor in snapshot.actors:
            # ids in the instance picture have 16 bits
            pixels = int(counts[actor.track_id & 0xFFFF]) if actor.track_id & 0xFFFF < len(counts) else 0
            if not actor.box or actor.category not in BOX_CLASS or pixels < LEAST:
                continue
            row = self._row(actor, pose, image, pixels)
            if row is not None:
                box = row[3]
                centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
                centres[actor.track_id] = centre
                before = self._before.get(actor.track_id)
                flow = (centre - before) / period if before is not None else np.full(2, np.nan)
                self._rows.append((*row, flow, float(self._depth(actor, pose))))
        self._before = centres
        self._frame += 1

    def _depth(self, actor: ActorState, pose: NDArray[np.float64]) -> float:
        return float((np.array(box_of(actor).centre) - pose[:3, 3]) @ pose[:3, 2])

    def _row(self, actor: ActorState, pose: NDArray[np.float64], image: CameraImage, pixels: int) -> tuple | None:
        import cv2

        points = projected(box_of(actor).corners(), pose, self.camera)
        if points is None:
            return None
        height, width = image.instance.shape
        low, high = points.min(0), points.max(0)
        box = np.array([max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)], np.float32)
        if box[2] - box[0] < 1.0 or box[3] - box[1] < 1.0:
            return None
        cut = bool((low < 0).any() or high[0] > width or high[1] > height)
        hull = cv2.convexHull(points.astype(np.float32))
        frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        area = float(cv2.intersectConvexConvex(hull, frame)[0])
        cls = BOX_CLASS[actor.category]
        share = min(1.0, pixels / max(FILL[cls] * area, 1.0))
        y, x = np.nonzero(image.instance == (actor.track_id & 0xFFFF))
        seen = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
        speed = float(np.hypot(*actor.velocity))
        return self._frame, actor.track_id, cls, box, seen, pixels, share, cut, speed

    def boxes(self) -> FrameBoxes:
        """All rows so far."""
        columns = list(zip(*self._rows)) if self._rows else [[]] * 11
        kinds = (np.int32, np.int32, np.uint8, np.float32, np.float32, np.int32, np.float32, np.bool_, np.float32)
        arrays = [np.array(c, k) for c, k in zip(columns, (*kinds, np.float32, np.float32))]
        arrays[3], arrays[4], arrays[9] = arrays[3].reshape(-1, 4), arrays[4].reshape(-1, 4), arrays[9].reshape(-1, 2)
        return FrameBoxes(*arrays)


def projected(
    corners: NDArray[np.float64], map_from_camera: NDArray[np.float64], camera: CameraSpec
) -> NDArray[np.float64] | None:
    """Pixels float64 [K, 2] of a 3D box's outline: its corners (float64 [8, 3], map) in front of the camera and the
    points where its edges meet the near plane; None where all of it is behind."""
    local = (corners - map_from_camera[:3, 3]) @ map_from_camera[:3, :3]
    front = local[:, 2] > NEAR
    if not front.any():
        return None
    points = [local[front]]
    for a, b in EDGES:
        if front[a] != front[b]:
            along = (NEAR - local[a, 2]) / (local[b, 2] - local[a, 2])
            points.append((local[a] + along * (local[b] - local[a]))[None])
    xyz = np.concatenate(points)
    u = camera.fx * xyz[:, 0] / xyz[:, 2] + camera.cx
    v = camera.fy * xyz[:, 1] / xyz[:, 2] + camera.cy
    return np.clip(np.column_stack([u, v]), -1e5, 1e5)
