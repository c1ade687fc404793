"""The world's map as masks: one raster in the map frame for each of nuScenes' six map classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.messages.map_shapes import MapShapes
from perception_nodes.simulator.scene import World


@dataclass(frozen=True, eq=False)
class MapMasks:
    """masks: class name -> bool [rows, columns]; cell (r, c) begins at x = origin[0] + c * resolution, y = origin[1] +
    r * resolution (m, map frame)."""

    masks: dict[str, NDArray[np.bool_]]
    origin: tuple[float, float]
    resolution: float


def shapes_of(world: World, frame_id: str = "map") -> MapShapes:
    """The world's map as polygons and lines; every class is there, be it empty."""
    names = [c.name for c in MAP_CLASSES]
    polygons = {name: [[polygon] for polygon in world.map_polygons.get(name, ())] for name in names}
    return MapShapes(polygons, {name: list(world.map_lines.get(name, ())) for name in names}, frame_id)


def rasterise(world: World, resolution: float = 0.5) -> MapMasks:
    """Masks of the whole world at `resolution` m a cell; a cell holds where its centre lies in a polygon or a line's
    stroke reaches it."""
    x0, y0, x1, y1 = world.extent
    columns, rows = int(np.ceil((x1 - x0) / resolution)), int(np.ceil((y1 - y0) / resolution))
    shapes = shapes_of(world)
    map_from_grid = np.eye(4)
    map_from_grid[:2, 3] = x0, y0
    masks = {c.name: shapes.mask(c.name, (rows, columns), resolution, map_from_grid) for c in MAP_CLASSES}
    return MapMasks(masks, (float(x0), float(y0)), resolution)
