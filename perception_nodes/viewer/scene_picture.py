"""One picture of a moment for a reader who is new: the cameras on top, the view from above below. uint8 RGB [H, W, 3].

The view from above shows map layers, labelled points and boxes, ahead up; beside it stands the same of the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import invert
from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES, POINT_CLASSES, ClassInfo
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.grid import Cells
from perception_nodes.viewer.box_pictures import class_colours, draw_boxes
from perception_nodes.viewer.pictures import BACKGROUND, birds_eye, legend, palette, side_by_side, stacked
from perception_nodes.viewer.video_pictures import RED, WHITE, reduced, text

WIDTH, GAP = 1296, 8
REACH_M = 45.0
LAYER_OPACITY = 0.45  # the points lie on top of the layers
DRAWN_PERCENT = 50  # from which a cell is drawn as its class


@dataclass(frozen=True, eq=False)
class Above:
    """What is seen from above, all in one frame with x ahead and y to the left.

    layers: map class -> grid · xyz float32 [N, 3] m and label uint8 [N] of the points · boxes, or None.
    """

    layers: Mapping[str, Cells] = field(default_factory=dict)
    xyz: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    label: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    boxes: Detections3D | None = None


def above_picture(above: Above, size: int, reach_m: float = REACH_M) -> NDArray[np.uint8]:
    """Layers, points and boxes from above, uint8 [size, size, 3]; the vehicle is the white arrow."""
    import cv2

    canvas = layers_below(above.layers, size, reach_m)
    points = birds_eye(above.xyz, palette(POINT_CLASSES)[above.label], reach_m, size)
    seen = (points != np.array(BACKGROUND, np.uint8)).any(2)
    canvas[seen] = points[seen]
    if above.boxes is not None:
        thickness = np.full(len(above.boxes), 2)
        canvas = draw_boxes(canvas, above.boxes, class_colours(above.boxes), thickness, reach_m)
    middle, half = size // 2, max(size // 90, 3)
    arrow = np.array([[middle, middle - 2 * half], [middle - half, middle + half], [middle + half, middle + half]])
    cv2.fillPoly(canvas, [arrow], WHITE, cv2.LINE_AA)
    return canvas


def layers_below(layers: Mapping[str, Cells], size: int, reach_m: float) -> NDArray[np.uint8]:
    """Map layers in the order of MAP_CLASSES, later ones on top; a grid may be turned in its frame."""
    canvas = np.full((size, size, 3), BACKGROUND, np.uint8)
    row, column = np.mgrid[0:size, 0:size] + 0.5
    x, y = reach_m - row * (2 * reach_m / size), reach_m - column * (2 * reach_m / size)
    for info in MAP_CLASSES:
        cells = layers.get(info.name)
        if cells is None:
            continue
        turn = invert(cells.frame_from_grid)
        c = np.floor((turn[0, 0] * x + turn[0, 1] * y + turn[0, 3]) / cells.resolution).astype(int)
        r = np.floor((turn[1, 0] * x + turn[1, 1] * y + turn[1, 3]) / cells.resolution).astype(int)
        inside = (r >= 0) & (c >= 0) & (r < cells.percent.shape[0]) & (c < cells.percent.shape[1])
        holds = np.zeros((size, size), bool)
        holds[inside] = cells.percent[r[inside], c[inside]] >= DRAWN_PERCENT
        colour = np.array(info.rgb) * LAYER_OPACITY + np.array(BACKGROUND) * (1 - LAYER_OPACITY)
        canvas[holds] = colour.astype(np.uint8)
    return canvas


def scene_picture(
    cameras: Sequence[tuple[str, NDArray[np.uint8]]],
    found: Above,
    truth: Above | None,
    title: str = "",
    notes: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """The picture of a moment.

    Args:
        cameras: (name, picture) in the order in which they are shown, three in a row; what is on them is drawn already.
        found, truth: seen from above; truth None: there is none.
        title: one line. notes: further lines in red, for instance whose weights are untrained.
    """
    rows = [heading([(title, WHITE), *((note, RED) for note in notes)])]
    rows += camera_rows(cameras)
    views = [("from above: what the networks found", found)]
    if truth is not None:
        views.append(("from above: the truth", truth))
    size = (WIDTH - GAP) // 2
    rows.append(side_by_side([(name, above_picture(view, size)) for name, view in views], GAP))
    rows += legends([view for _, view in views])
    return stacked(rows, GAP)


def heading(lines: Sequence[tuple[str, tuple[int, int, int]]]) -> NDArray[np.uint8]:
    """Lines of text with their colours."""
    shown = [line for line in lines if line[0]]
    canvas = np.full((24 * max(len(shown), 1), WIDTH, 3), BACKGROUND, np.uint8)
    for i, (words, colour) in enumerate(shown):
        text(canvas, words, 6, 24 * i + 17, colour, 0.5)
    return canvas


def camera_rows(cameras: Sequence[tuple[str, NDArray[np.uint8]]]) -> list[NDArray[np.uint8]]:
    """Pictures of cameras, three in a row, one or two where there are no more."""
    if not cameras:
        return []
    columns = min(len(cameras), 3)
    width = (WIDTH - GAP * (columns - 1)) // columns
    tiles = [(name, reduced(picture, width)) for name, picture in cameras]
    return [side_by_side(tiles[i : i + columns], GAP) for i in range(0, len(tiles), columns)]


def legends(views: Sequence[Above]) -> list[NDArray[np.uint8]]:
    """Names of the colours: classes of points, boxes and layers that occur in the views, each under its heading."""
    labels = {int(label) for view in views for label in np.unique(view.label)}
    boxes = {name for view in views if view.boxes is not None for name in view.boxes.category}
    layers = {name for view in views for name in view.layers}
    parts: list[tuple[str, Sequence[ClassInfo]]] = [
        ("points:", [info for i, info in enumerate(POINT_CLASSES) if i in labels]),
        ("boxes:", [info for info in BOX_CLASSES if info.name in boxes]),
        ("map:", [info for info in MAP_CLASSES if info.name in layers]),
    ]
    rows = []
    for name, classes in parts:
        if classes:
            row = legend(tuple(classes), WIDTH - 72)
            label = np.full((row.shape[0], 72, 3), BACKGROUND, np.uint8)
            text(label, name, 6, 17, WHITE, 0.42)
            rows.append(np.concatenate([label, row], 1))
    return rows
