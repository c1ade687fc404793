"""Pictures of 3-D boxes from above for reports: found boxes over true ones, with the sweep below. numpy and OpenCV.

All images are uint8 RGB [H, W, 3]; x of the boxes' frame is up, y is to the left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.markers import COLOURS, GREY
from perception_nodes.viewer.pictures import birds_eye

REACH_M = 52.0
TRUE_RGB = (90, 230, 110)
MISSED_RGB = (255, 215, 70)
FALSE_RGB = (255, 60, 60)
POINT_RGB = (70, 76, 90)


def draw_boxes(
    picture: NDArray[np.uint8],
    boxes: Detections3D,
    rgb: NDArray[np.uint8],
    thickness: NDArray[np.int64],
    reach_m: float = REACH_M,
) -> NDArray[np.uint8]:
    """The picture with the boxes' outlines and a stroke from each middle to its front; rgb uint8 [B, 3], thickness [B]
    px."""
    import cv2

    out = picture.copy()
    scale = out.shape[0] / (2 * reach_m)
    corners = boxes.corners()[:, :4, :2]
    for i in range(len(boxes)):
        front = (corners[i, 0] + corners[i, 1]) / 2
        points = np.concatenate([corners[i], boxes.centre[i : i + 1, :2], front[None]])
        pixels = np.stack([reach_m - points[:, 1], reach_m - points[:, 0]], -1) * scale
        pixels = np.clip(pixels, -10_000, 10_000).astype(np.int32)
        colour = tuple(int(v) for v in rgb[i])
        cv2.polylines(out, [pixels[:4]], True, colour, int(thickness[i]), cv2.LINE_AA)
        cv2.line(out, tuple(map(int, pixels[4])), tuple(map(int, pixels[5])), colour, int(thickness[i]), cv2.LINE_AA)
    return out


def judged_picture(
    truth: Detections3D,
    missed: NDArray[np.bool_],
    found: Detections3D,
    false: NDArray[np.bool_],
    xyz: NDArray[np.float32] | None = None,
    size: int = 760,
) -> NDArray[np.uint8]:
    """One frame from above: true boxes thin and green, missed ones thick and yellow; found boxes in their class's
    colour, false ones red. missed bool [truth], false bool [found]; xyz float32 [N, 3] m in the boxes' frame."""
    import cv2

    points = np.zeros((0, 3), np.float32) if xyz is None else xyz
    canvas = birds_eye(points, np.tile(np.array(POINT_RGB, np.uint8), (len(points), 1)), REACH_M, size)
    rgb = np.where(missed[:, None], MISSED_RGB, TRUE_RGB).astype(np.uint8).reshape(-1, 3)
    canvas = draw_boxes(canvas, truth, rgb, np.where(missed, 3, 1))
    rgb = np.where(false[:, None], FALSE_RGB, class_colours(found)).astype(np.uint8).reshape(-1, 3)
    canvas = draw_boxes(canvas, found, rgb, np.full(len(found), 1))
    legend = (("true", TRUE_RGB), ("missed", MISSED_RGB), ("false", FALSE_RGB), ("found: colour of its class", GREY))
    for i, (text, colour) in enumerate(legend):
        place = (10 + 90 * i, size - 12)
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return canvas


def class_colours(boxes: Detections3D, colours: Mapping[str, tuple[int, int, int]] = COLOURS) -> NDArray[np.uint8]:
    """uint8 [B, 3] by class name; grey for others."""
    return np.array([colours.get(name, GREY) for name in boxes.category], np.uint8).reshape(-1, 3)
