"""A map as shapes: polygons and lines of each class, in JSON in a std_msgs/String, and masks drawn from them.

Resampling a mask to another grid moves edges by up to half a cell, which is a large error for a thin line. So shapes
are drawn directly in the wanted grid, as the nuScenes devkit does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix
from perception_nodes.messages.clock import json_values, read_json
from perception_nodes.messages.errors import MessageError

LINE_CELLS = 2  # width of a drawn line, that of the nuScenes devkit's map masks
FRACTION = 6  # bits of sub-cell position that OpenCV keeps
FAR_CELLS = 2.0**20  # OpenCV's coordinates are 32 bits wide

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MapShapes:
    """polygons: class -> polygons, each a list of closed rings [N, 2] m, the outer one first, then holes · lines: class
    -> lines [N, 2] m · frame_id: the frame of all points."""

    polygons: Mapping[str, Sequence[Sequence[Points]]]
    lines: Mapping[str, Sequence[Points]]
    frame_id: str

    def classes(self) -> tuple[str, ...]:
        """Classes of which the map knows something, be it that there is none here."""
        return tuple(dict.fromkeys([*self.polygons, *self.lines]))

    def mask(self, name: str, shape: tuple[int, int], resolution: float, frame_from_grid: Matrix) -> NDArray[np.bool_]:
        """bool [rows, columns] of a class on a grid.

        Cell (r, c) covers x = c * resolution and y = r * resolution onwards, m, of the grid's own frame;
        frame_from_grid float64 [4, 4] takes that frame to the shapes'.
        """
        c, s = frame_from_grid[0, 0], frame_from_grid[1, 0]
        scale = np.hypot(c, s)
        turn = np.array([[c, -s], [s, c]]) / scale  # row vectors: frame -> grid

        def cells(points: Points) -> Points:
            return (np.asarray(points, np.float64)[:, :2] - frame_from_grid[:2, 3]) @ turn / resolution - 0.5

        return draw(self.polygons.get(name, ()), self.lines.get(name, ()), cells, shape)


def draw(
    polygons: Sequence[Sequence[Points]],
    lines: Sequence[Points],
    cells: Callable[[Points], Points],
    shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """bool [rows, columns]: a cell holds where its centre lies in a polygon or a line's stroke reaches it.

    cells: points [N, 2] -> (column, row) [N, 2], whole numbers at the cells' centres.
    """
    import cv2

    def fixed(points: Points) -> NDArray[np.int32]:
        place = np.clip(cells(points), -FAR_CELLS, FAR_CELLS)
        return np.round(place * (1 << FRACTION)).astype(np.int32)

    canvas = np.zeros(shape, np.uint8)
    for outer, *holes in polygons:
        if not holes:
            cv2.fillPoly(canvas, [fixed(outer)], 1, shift=FRACTION)
            continue
        own = np.zeros(shape, np.uint8)
        cv2.fillPoly(own, [fixed(outer)], 1, shift=FRACTION)
        cv2.fillPoly(own, [fixed(hole) for hole in holes], 0, shift=FRACTION)
        canvas |= own
    for line in lines:
        cv2.polylines(canvas, [fixed(line)], False, 1, LINE_CELLS, shift=FRACTION)
    return canvas.astype(bool)


def map_shapes_values(shapes: MapShapes) -> dict:
    """std_msgs/String as plain values; points are rounded to 1 mm."""

    def rounded(points: Points) -> list:
        return np.round(np.asarray(points, np.float64)[:, :2], 3).tolist()

    return json_values(
        {
            "frame_id": shapes.frame_id,
            "polygons": {k: [[rounded(ring) for ring in rings] for rings in v] for k, v in shapes.polygons.items()},
            "lines": {k: [rounded(line) for line in v] for k, v in shapes.lines.items()},
        }
    )


def read_map_shapes(msg: Any) -> MapShapes:
    """Raises MessageError."""
    content = read_json(msg)
    try:
        polygons = {str(k): [[_ring(ring) for ring in rings] for rings in v] for k, v in content["polygons"].items()}
        lines = {str(k): [_ring(line) for line in v] for k, v in content["lines"].items()}
        if any(not rings for shapes in polygons.values() for rings in shapes):
            raise ValueError("a polygon without an outer ring")
        return MapShapes(polygons, lines, str(content["frame_id"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as err:
        raise MessageError(
            f'a map of shapes should hold {{"frame_id", "polygons": {{class: [[ring, holes]]}}, "lines"}}: {err}'
        ) from err


def _ring(points: Any) -> Points:
    out = np.array(points, np.float64)
    if out.ndim != 2 or out.shape[1] != 2 or len(out) < 2 or not np.isfinite(out).all():
        raise ValueError(f"points of shape {out.shape}; finite numbers [2 or more, 2] were expected")
    return out
