"""Pictures of map layers for reports: true map beside the recorded one. numpy and OpenCV; uint8 RGB [H, W, 3]."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.viewer.pictures import BACKGROUND, legend, side_by_side, stacked

SIZE = 420


def layers_picture(masks: Mapping[str, NDArray[np.bool_]], size: int = SIZE) -> NDArray[np.uint8]:
    """Layers over each other, later classes on top; masks bool [rows, columns] by class, rows to the left, columns
    ahead, so that ahead is up."""
    import cv2

    shape = next(iter(masks.values())).shape if masks else (1, 1)
    canvas = np.full((*shape, 3), BACKGROUND, np.uint8)
    for info in MAP_CLASSES:
        if info.name in masks:
            canvas[masks[info.name]] = info.rgb
    up = np.ascontiguousarray(canvas[::-1, ::-1].transpose(1, 0, 2))  # row 0 farthest ahead, column 0 farthest left
    width = max(round(size * up.shape[1] / up.shape[0]), 1)
    return np.asarray(cv2.resize(up, (width, size), interpolation=cv2.INTER_NEAREST), np.uint8)


def map_picture(truth: Mapping[str, NDArray[np.bool_]], said: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """True map, recorded map, and the legend of the classes."""
    row = side_by_side([("ground truth", layers_picture(truth)), ("recorded", layers_picture(said))])
    return stacked([row, legend(MAP_CLASSES, row.shape[1])])
