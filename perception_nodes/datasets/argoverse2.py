"""Argoverse 2 Sensor (Wilson et al., NeurIPS 2021): annotated sweeps of one log, from plain .npy and JSON files.

Everything is in the ego frame (x forward, y left, z up, origin at the rear axle) at the sweep's stamp: the publisher
has compensated the motion. That frame is handed on as base_link; its origin lies an axle's height above the ground.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, from_quaternion
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.messages.detections import Detections3D

FORMAT = "argoverse2_sweeps/1"
COLUMNS = ("x", "y", "z", "intensity", "laser", "offset_ns")
# Their categories -> nuScenes' ten; what is absent here has no counterpart (animals, signs, bollards, ...).
BOX_CLASS_OF = {
    "REGULAR_VEHICLE": "car",
    "PEDESTRIAN": "pedestrian",
    "OFFICIAL_SIGNALER": "pedestrian",
    "BUS": "bus",
    "SCHOOL_BUS": "bus",
    "ARTICULATED_BUS": "bus",
    "TRUCK": "truck",
    "BOX_TRUCK": "truck",
    "TRUCK_CAB": "truck",
    "LARGE_VEHICLE": "truck",
    "VEHICULAR_TRAILER": "trailer",
    "BICYCLE": "bicycle",
    "MOTORCYCLE": "motorcycle",
    "CONSTRUCTION_CONE": "traffic_cone",
    "CONSTRUCTION_BARREL": "barrier",
}
# The vehicles' upper LiDAR in the ego frame, m: of the fleet, since the logs here come without their calibration.
LIDAR_POSITION = (1.35, 0.0, 1.64)
VELOCITY_SPAN_S = 0.25  # speeds come from the track's neighbours at most this far away


@dataclass(frozen=True, eq=False)
class ArgoverseSweep:
    """xyz float32 [N, 3] m · intensity float32 [N] 0..1 · ring uint16 [N] (64 beams) · time float32 [N] s after the
    stamp · boxes with their own categories (`BOX_CLASS_OF` maps them) and velocities in the ego frame."""

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.uint16]
    time: NDArray[np.float32]
    stamp_ns: int
    map_from_base: Matrix
    boxes: Detections3D


@dataclass(frozen=True, eq=False)
class ArgoverseLog:
    """A log's folder; sweeps are read one by one."""

    folder: Path
    rows: tuple[dict, ...]
    tracks: dict[str, NDArray[np.float64]]  # track -> rows [s since the first sweep, x, y] in city

    def __len__(self) -> int:
        return len(self.rows)

    def sweeps(self) -> Iterator[ArgoverseSweep]:
        """Every annotated sweep in order; raises DatasetError."""
        for row in self.rows:
            yield self._sweep(row)

    def _sweep(self, row: dict) -> ArgoverseSweep:
        path = self.folder / row["file"]
        try:
            points = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as err:
            raise DatasetError(f"cannot read the sweep {path}: {err}") from err
        if points.dtype.names is None or not set(COLUMNS) <= set(points.dtype.names):
            raise DatasetError(f"the sweep {path} has the columns {points.dtype.names}; {', '.join(COLUMNS)} expected")
        xyz = np.stack([points[c].astype(np.float32) for c in "xyz"], -1)
        map_from_base = _pose(row["city_from_ego"])
        return ArgoverseSweep(
            xyz,
            points["intensity"].astype(np.float32) / np.float32(255),
            points["laser"].astype(np.uint16),
            points["offset_ns"].astype(np.float32) * np.float32(1e-9),
            int(row["timestamp_ns"]),
            map_from_base,
            self._boxes(row, map_from_base),
        )

    def _boxes(self, row: dict, map_from_base: Matrix) -> Detections3D:
        boxes, stamp_ns = row["boxes"], int(row["timestamp_ns"])
        seconds = (stamp_ns - int(self.rows[0]["timestamp_ns"])) * 1e-9
        turn = map_from_base[:2, :2].T
        return Detections3D.build(
            "base_link",
            stamp_ns,
            [b["center"] for b in boxes],
            [b["size"] for b in boxes],
            [b["yaw"] for b in boxes],
            [b["category"] for b in boxes],
            velocity=[turn @ track_velocity(self.tracks.get(b["track_uuid"]), seconds) for b in boxes],
            track=[b["track_uuid"] for b in boxes],
            points=[b["num_interior_pts"] for b in boxes],
        )


def open_argoverse_log(folder: str | Path) -> ArgoverseLog:
    """A log's folder (or a folder that holds one); raises DatasetError."""
    folder = Path(folder)
    inside = sorted(p.parent for p in folder.glob("*/annotations.json"))
    if not (folder / "annotations.json").is_file() and len(inside) == 1:
        folder = inside[0]
    content = _json(folder / "annotations.json", folder)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DatasetError(f"{folder / 'annotations.json'} is not of the format {FORMAT}")
    try:
        rows = tuple(sorted(content["sweeps"], key=lambda r: r["timestamp_ns"]))
        tracks = _tracks(folder, int(rows[0]["timestamp_ns"])) if rows else {}
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise DatasetError(f"{folder}: {type(err).__name__} {err}") from err
    return ArgoverseLog(folder, rows, tracks)


def _tracks(folder: Path, first_ns: int) -> dict[str, NDArray[np.float64]]:
    """Tracks in city coordinates, if the log has them with the poses that they need."""
    if not (folder / "tracks.json").is_file() or not (folder / "ego_poses.json").is_file():
        return {}
    content = _json(folder / "ego_poses.json", folder)
    poses = content["poses"] if isinstance(content, dict) else content
    pose_of = {int(p[0]): from_quaternion((p[2], p[3], p[4], p[1]), p[5:8]) for p in poses}
    content = _json(folder / "tracks.json", folder)
    out: dict[str, NDArray[np.float64]] = {}
    for name, track in _track_items(content):
        rows = []
        for stamp, x, y, z, *_ in track["frames"]:
            if int(stamp) in pose_of:
                place = pose_of[int(stamp)] @ (x, y, z, 1.0)
                rows.append(((int(stamp) - first_ns) * 1e-9, place[0], place[1]))
        out[name] = np.array(rows, np.float64).reshape(-1, 3)
    return out


def _track_items(content: Any) -> list[tuple[str, dict]]:
    tracks = content["tracks"]
    if isinstance(tracks, dict):
        return list(tracks.items())
    return [(t["track_uuid"], t) for t in tracks]


def track_velocity(track: NDArray[np.float64] | None, seconds: float) -> NDArray[np.float64]:
    """(vx, vy) m/s in city by the central difference of a track's neighbours; NaN where it has none."""
    if track is None or len(track) < 2:
        return np.array([np.nan, np.nan])
    near = track[np.abs(track[:, 0] - seconds) <= VELOCITY_SPAN_S]
    near = near[np.argsort(np.abs(near[:, 0] - seconds), kind="stable")][:3]
    if len(near) < 2:
        return np.array([np.nan, np.nan])
    first, last = near[np.argmin(near[:, 0])], near[np.argmax(near[:, 0])]
    return (last[1:] - first[1:]) / (last[0] - first[0])


def _pose(row: dict) -> Matrix:
    w, x, y, z = row["quaternion_wxyz"]
    return from_quaternion((x, y, z, w), row["translation"])


def _json(path: Path, folder: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError:
        raise DatasetError(f"{folder} holds {listing(folder)}; a log holds annotations.json and sweeps/") from None
    except ValueError as err:
        raise DatasetError(f"{path} is not JSON: {err}") from err
