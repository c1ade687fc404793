"""The map expansion pack of nuScenes: maps/expansion/<location>.json, the six map classes as polygons and lines.

Polygons and lines are lists of node tokens; nodes have x and y in the global frame, m.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.map_shapes import MapShapes

POLYGONS = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area")
LINES = ("road_divider", "lane_divider")  # together: "divider"


def read_nuscenes_map(path: Path, places: NDArray[np.float64], reach_m: float, frame_id: str) -> MapShapes | None:
    """The map around a drive, or None where the file is absent; raises DatasetError.

    Args:
        path: the JSON of the location. places: float64 [N, 2] m, where the vehicle was (global). reach_m: shapes
            farther away from all places are left out. frame_id: of the result, whose origin is places[0].
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        node = {row["token"]: (row["x"], row["y"]) for row in content["node"]}
        line = {row["token"]: _points(node, row["node_tokens"]) for row in content["line"]}
        polygon = {
            row["token"]: [
                _points(node, row["exterior_node_tokens"]),
                *(_points(node, hole["node_tokens"]) for hole in row["holes"]),
            ]
            for row in content["polygon"]
        }
        low, high = places.min(0) - reach_m, places.max(0) + reach_m
        polygons: dict[str, list[list[NDArray[np.float64]]]] = {}
        for name in POLYGONS:
            rings = [polygon[t] for row in content[name] for t in row.get("polygon_tokens") or [row["polygon_token"]]]
            near = [each for each in rings if _near(each[0], low, high)]
            polygons[name] = [[ring - places[0] for ring in each if len(ring) > 2] for each in near]
        lines = [line[row["line_token"]] for name in LINES for row in content[name]]
        dividers = [points - places[0] for points in lines if _near(points, low, high)]
        return MapShapes(polygons, {"divider": dividers}, frame_id)
    except (OSError, KeyError, TypeError, ValueError, IndexError) as err:
        raise DatasetError(f"the map {path}: {type(err).__name__} {err}") from None


def _points(node: dict[str, tuple[float, float]], tokens: Any) -> NDArray[np.float64]:
    return np.array([node[token] for token in tokens], np.float64).reshape(-1, 2)


def _near(points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """True where the points' bounding box reaches into the rectangle."""
    return len(points) > 1 and bool((points.max(0) >= low).all() and (points.min(0) <= high).all())
