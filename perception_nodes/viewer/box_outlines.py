"""The edges of 3-D boxes in a camera's picture, cut off in front of the camera. numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.messages.detections import Detections3D

NEAR_M = 0.3  # edges end on the plane at this distance ahead of the camera
# Of `Detections3D.corners`: the bottom, the top, the pillars, and a cross on the front side.
EDGES = np.array(
    [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7), (0, 5), (1, 4)]
)


def box_edges(
    boxes: Detections3D, camera_from_boxes: Matrix, camera: CameraModel
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(segments float64 [S, 2, 2] px, each from (column, row) to (column, row), box int64 [S] that each belongs to).

    camera_from_boxes float64 [4, 4]: from the boxes' frame to the optical frame. The picture is one without distortion.
    Segments that lie wholly beside the picture are left out.
    """
    corners = apply(camera_from_boxes, boxes.corners().reshape(-1, 3)).reshape(-1, 8, 3)
    ends = corners[:, EDGES].reshape(-1, 2, 3)  # [boxes * edges, two ends, xyz]
    box = np.repeat(np.arange(len(boxes)), len(EDGES))
    seen = (ends[..., 2] > NEAR_M).any(1)
    ends, box = ends[seen], box[seen]
    behind = ends[..., 2] <= NEAR_M
    span = ends[:, ::-1, 2] - ends[..., 2]
    share = np.divide(NEAR_M - ends[..., 2], span, out=np.zeros_like(span), where=behind)
    ends = ends + share[..., None] * (ends[:, ::-1] - ends)
    pixels = (ends @ camera.k.T)[..., :2] / ends[..., 2:]
    size = np.array([camera.width, camera.height])
    kept = ~((pixels < 0).all(1) | (pixels >= size).all(1)).any(1)
    return pixels[kept], box[kept]


def draw_box_edges(
    picture: NDArray[np.uint8],
    boxes: Detections3D,
    camera_from_boxes: Matrix,
    camera: CameraModel,
    rgb: NDArray[np.uint8],
    thickness: int = 2,
) -> NDArray[np.uint8]:
    """The picture uint8 [H, W, 3] with the boxes' edges; rgb uint8 [B, 3] by box."""
    import cv2

    out = picture.copy()
    segments, box = box_edges(boxes, camera_from_boxes, camera)
    for (start, end), i in zip(np.clip(segments, -30_000, 30_000).astype(np.int32), box):
        colour = tuple(int(v) for v in rgb[i])
        cv2.line(out, tuple(map(int, start)), tuple(map(int, end)), colour, thickness, cv2.LINE_AA)
    return out
