"""The map around a vehicle as nuScenes' six masks, in the vehicle's frame, for training and scoring BEV maps.

    masks = masks_around(world, x, y, yaw)        # bool [6, rows, columns], classes in the order of MAP_CLASSES
    grid = occupancy(masks[0])                    # int8 for a nav_msgs/OccupancyGrid

`map_masks.rasterise` gives the whole world in the map frame instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.messages.map_shapes import MapShapes
from perception_nodes.simulator.scene import World


def masks_around(
    world: World, x: float, y: float, yaw: float, size: tuple[float, float] = (100.0, 100.0), resolution: float = 0.5
) -> NDArray[np.bool_]:
    """Masks [6, rows, columns] of the rectangle size = (along x, along y) m centred on a pose in the map.

    Cell (r, c) covers base x = c * resolution - size[0] / 2 and base y = r * resolution - size[1] / 2 onwards: rows go
    left, columns forward, as an OccupancyGrid in the base frame wants it. Raises ValueError for an empty rectangle.
    """
    columns, rows = round(size[0] / resolution), round(size[1] / resolution)
    if columns < 1 or rows < 1:
        raise ValueError(f"a map of {size} m at {resolution} m a cell has no cells; give a larger size")
    map_from_grid = np.eye(4)
    map_from_grid[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    map_from_grid[:2, 3] = (x, y) - map_from_grid[:2, :2] @ np.asarray(size) / 2
    reach = float(np.hypot(*size)) / 2 + 1.0

    def near(points: NDArray[np.float64]) -> bool:
        delta = np.asarray(points, np.float64)[:, :2] - (x, y)
        return not ((delta.min(0) > reach).any() or (delta.max(0) < -reach).any())

    polygons = {name: [[p] for p in shapes if near(p)] for name, shapes in world.map_polygons.items()}
    lines = {name: [line for line in shapes if near(line)] for name, shapes in world.map_lines.items()}
    shapes = MapShapes(polygons, lines, "map")
    return np.stack([shapes.mask(c.name, (rows, columns), resolution, map_from_grid) for c in MAP_CLASSES])


def occupancy(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A mask as OccupancyGrid data: 100 where it holds, 0 elsewhere, row-major int8 [rows * columns]."""
    return (mask.astype(np.int8) * 100).ravel()
