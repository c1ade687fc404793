"""Argoverse 2's vector map as polygons and lines: the plain map.json, or the official map/log_map_archive_*.json.

Drivable areas and pedestrian crossings are polygons; lane boundaries with a painted mark are dividers. The other map
classes have no counterpart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.map_shapes import MapShapes

UNPAINTED = ("NONE", "UNKNOWN")


def read_argoverse_map(folder: Path, origin: NDArray[np.float64], frame_id: str = "map") -> MapShapes | None:
    """The map of a log, or None where it has none; raises DatasetError.

    origin: [3] m in the city, where the result's frame begins (its axes are the city's).
    """
    plain, official = folder / "map.json", sorted((folder / "map").glob("log_map_archive_*.json"))
    path = plain if plain.is_file() else (official[0] if official else None)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        read = _plain if path == plain else _official
        areas, crossings, dividers = read(content)
        moved = [[[_line(p) - origin[:2]] for p in shapes] for shapes in (areas, crossings)]
        lines = [_line(p) - origin[:2] for p in dividers]
    except (OSError, KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
        raise DatasetError(f"the map {path}: {type(err).__name__} {err}") from None
    return MapShapes({"drivable_area": moved[0], "ped_crossing": moved[1]}, {"divider": lines}, frame_id)


def _plain(content: dict[str, Any]) -> tuple[list, list, list]:
    areas = [row["city"] for row in content["drivable_areas"]]
    crossings = [_quad(row["edge1_city"], row["edge2_city"]) for row in content["pedestrian_crossings"]]
    sides = [(row[f"{s}_mark"], row[f"{s}_city"]) for row in content["lane_segments"] for s in ("left", "right")]
    return areas, crossings, _painted(sides)


def _official(content: dict[str, Any]) -> tuple[list, list, list]:
    def xyz(rows: list[dict[str, float]]) -> list[tuple[float, float]]:
        return [(row["x"], row["y"]) for row in rows]

    areas = [xyz(row["area_boundary"]) for row in content["drivable_areas"].values()]
    rows = content["pedestrian_crossings"].values()
    crossings = [_quad(xyz(row["edge1"]), xyz(row["edge2"])) for row in rows]
    lanes = content["lane_segments"].values()
    sides = [(r[f"{s}_lane_mark_type"], xyz(r[f"{s}_lane_boundary"])) for r in lanes for s in ("left", "right")]
    return areas, crossings, _painted(sides)


def _quad(one: list, other: list) -> list:
    """The polygon between two edges that may run in the same or in opposite directions."""
    a, b = _line(one), _line(other)
    same = float((a[-1] - a[0]) @ (b[-1] - b[0])) > 0
    return [*a, *(b[::-1] if same else b)]


def _painted(sides: Iterable[tuple[str, list]]) -> list:
    """Boundaries with a mark, each once: neighbouring lanes share theirs."""
    return list({tuple(map(tuple, _line(points))): points for mark, points in sides if mark not in UNPAINTED}.values())


def _line(points: Any) -> NDArray[np.float64]:
    out = np.array(points, np.float64)
    if out.ndim != 2 or out.shape[1] < 2 or len(out) < 2:
        raise ValueError(f"a line of shape {out.shape}")
    return out[:, :2]
