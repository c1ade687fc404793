"""The world's map as masks: one raster in the map frame for each of nuScenes' six map classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.simulator.scene import World

LINE_CELLS = 2  # width of a drawn divider, the line thickness of the nuScenes devkit's map masks


@dataclass(frozen=True, eq=False)
class MapMasks:
    """masks: class name -> bool [rows, columns]; cell (r, c) begins at x = origin[0] + c * resolution, y = origin[1] +
    r * resolution (m, map frame)."""

    masks: dict[str, NDArray[np.bool_]]
    origin: tuple[float, float]
    resolution: float


def rasterise(world: World, resolution: float = 0.5) -> MapMasks:
    """Masks of the whole world at `resolution` m a cell; a cell holds where its centre lies in a polygon or a line's
    stroke reaches it."""
    import cv2

    x0, y0, x1, y1 = world.extent
    columns, rows = int(np.ceil((x1 - x0) / resolution)), int(np.ceil((y1 - y0) / resolution))
    fraction = 6  # bits of sub-cell position that OpenCV keeps

    def cells(points: NDArray[np.float64]) -> NDArray[np.int32]:
        place = (np.asarray(points, np.float64)[:, :2] - (x0, y0)) / resolution - 0.5
        return np.round(place * (1 << fraction)).astype(np.int32)

    masks: dict[str, NDArray[np.bool_]] = {}
    for info in MAP_CLASSES:
        canvas = np.zeros((rows, columns), np.uint8)
        for polygon in world.map_polygons.get(info.name, ()):
            cv2.fillPoly(canvas, [cells(polygon)], 1, shift=fraction)
        for line in world.map_lines.get(info.name, ()):
            cv2.polylines(canvas, [cells(line)], False, 1, LINE_CELLS, shift=fraction)
        masks[info.name] = canvas.astype(bool)
    return MapMasks(masks, (float(x0), float(y0)), resolution)
