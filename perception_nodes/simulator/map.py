"""The map around a vehicle as nuScenes' six masks, in the vehicle's frame, for training and scoring BEV maps.

    masks = masks_around(world, x, y, yaw)        # bool [6, rows, columns], classes in the order of MAP_CLASSES
    grid = occupancy(masks[0])                    # int8 for a nav_msgs/OccupancyGrid

`map_masks.rasterise` gives the whole world in the map frame instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.simulator.map_masks import LINE_CELLS
from perception_nodes.simulator.scene import World

FRACTION = 6  # bits of sub-cell position that OpenCV keeps


def masks_around(
    world: World, x: float, y: float, yaw: float, size: tuple[float, float] = (100.0, 100.0), resolution: float = 0.5
) -> NDArray[np.bool_]:
    """Masks [6, rows, columns] of the rectangle size = (along x, along y) m centred on a pose in the map.

    Cell (r, c) covers base x = c * resolution - size[0] / 2 and base y = r * resolution - size[1] / 2 onwards: rows go
    left, columns forward, as an OccupancyGrid in the base frame wants it. Raises ValueError for an empty rectangle.
    """
    import cv2

    columns, rows = round(size[0] / resolution), round(size[1] / resolution)
    if columns < 1 or rows < 1:
        raise ValueError(f"a map of {size} m at {resolution} m a cell has no cells; give a larger size")
    c, s = np.cos(yaw), np.sin(yaw)
    reach = float(np.hypot(*size)) / 2 + 1.0

    def cells(points: NDArray[np.float64]) -> NDArray[np.int32] | None:
        delta = np.asarray(points, np.float64)[:, :2] - (x, y)
        if (delta.min(0) > reach).any() or (delta.max(0) < -reach).any():
            return None
        base = np.stack([c * delta[:, 0] + s * delta[:, 1], c * delta[:, 1] - s * delta[:, 0]], -1)
        place = (base + np.asarray(size) / 2) / resolution - 0.5
        return np.round(place * (1 << FRACTION)).astype(np.int32)

    masks = np.zeros((len(MAP_CLASSES), rows, columns), np.uint8)
    for canvas, info in zip(masks, MAP_CLASSES):
        for polygon in world.map_polygons.get(info.name, ()):
            place = cells(polygon)
            if place is not None:
                cv2.fillPoly(canvas, [place], 1, shift=FRACTION)
        for line in world.map_lines.get(info.name, ()):
            place = cells(line)
            if place is not None:
                cv2.polylines(canvas, [place], False, 1, LINE_CELLS, shift=FRACTION)
    return masks.astype(bool)


def occupancy(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A mask as OccupancyGrid data: 100 where it holds, 0 elsewhere, row-major int8 [rows * columns]."""
    return (mask.astype(np.int8) * 100).ravel()
