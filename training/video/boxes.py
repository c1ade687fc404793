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
from training.common.outlines import outline_of
from training.video.cache import BOX_CLASS, FrameBoxes

LEAST = 6  # visible pixels below which an object is left out
# about how much of the hull of its projected 3D box an object's own picture fills
FILL = np.array([0.72, 0.82, 0.88, 0.45, 0.5], np.float32)  # by BOX_NAMES


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
        outline = outline_of(box_of(actor), pose, self.camera)
        if outline is None:
            return None
        cls = BOX_CLASS[actor.category]
        share = outline.visible(pixels, float(FILL[cls]))
        y, x = np.nonzero(image.instance == (actor.track_id & 0xFFFF))
        seen = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
        speed = float(np.hypot(*actor.velocity))
        return self._frame, actor.track_id, cls, outline.box, seen, pixels, share, outline.cut, speed

    def boxes(self) -> FrameBoxes:
        """All rows so far."""
        columns = list(zip(*self._rows)) if self._rows else [[]] * 11
        kinds = (np.int32, np.int32, np.uint8, np.float32, np.float32, np.int32, np.float32, np.bool_, np.float32)
        arrays = [np.array(c, k) for c, k in zip(columns, (*kinds, np.float32, np.float32))]
        arrays[3], arrays[4], arrays[9] = arrays[3].reshape(-1, 4), arrays[4].reshape(-1, 4), arrays[9].reshape(-1, 2)
        return FrameBoxes(*arrays)
