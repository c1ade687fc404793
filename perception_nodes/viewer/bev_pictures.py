"""Pictures of a bird's-eye view: map layers with boxes on top. uint8 RGB; ahead is up, left is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES
from perception_nodes.messages.detections import Detections3D
from perception_nodes.viewer.pictures import BACKGROUND

MAP_COLOURS = {c.name: c.rgb for c in MAP_CLASSES}
BOX_COLOURS = {c.name: c.rgb for c in BOX_CLASSES}
GREY, RED = (160, 160, 160), (255, 60, 60)
STRENGTH = 0.75  # of a layer over those below it


def bev_picture(
    masks: Mapping[str, NDArray[np.bool_]],
    boxes: Detections3D | None,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size: int = 600,
    note: str = "",
) -> NDArray[np.uint8]:
    """Map layers in the order given, later ones on top, and the boxes' outlines with a line to the front.

    Args:
        masks: class -> bool [X, Y] on the range; row i is x, column j is y. x_range, y_range: (from, to) m.
        size: side of the longer edge, px. note: written in red, for instance UNTRAINED WEIGHTS.
    """
    import cv2

    scale = size / max(x_range[1] - x_range[0], y_range[1] - y_range[0])
    height, width = (max(1, round((r[1] - r[0]) * scale)) for r in (x_range, y_range))
    out: NDArray[np.uint8] = np.full((height, width, 3), BACKGROUND, np.uint8)
    for name, mask in masks.items():
        seen = mask[::-1, ::-1].astype(np.uint8)  # ahead up, left on the left
        wide = cv2.resize(seen, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        colour = np.array(MAP_COLOURS.get(name, GREY), np.float32)
        out[wide] = (out[wide] * (1 - STRENGTH) + colour * STRENGTH).astype(np.uint8)
    for i, corners in enumerate([] if boxes is None else boxes.corners()):
        assert boxes is not None
        ground = corners[:4, :2]
        pixels = np.column_stack([y_range[1] - ground[:, 1], x_range[1] - ground[:, 0]]) * scale
        colour = BOX_COLOURS.get(boxes.category[i], GREY)
        cv2.polylines(out, [np.rint(pixels).astype(np.int32)], True, colour, 2, cv2.LINE_AA)
        middle, front = pixels.mean(0), pixels[:2].mean(0)
        cv2.line(out, _pixel(middle), _pixel(front), colour, 2, cv2.LINE_AA)
    if note:
        cv2.putText(out, note, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, RED, 2, cv2.LINE_AA)
    return out


def _pixel(point: Sequence[float] | NDArray) -> tuple[int, int]:
    return int(round(float(point[0]))), int(round(float(point[1])))
