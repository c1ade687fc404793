"""nuScenes (Caesar et al., CVPR 2020) in its official table layout: one scene, read without the devkit.

    v1.0-mini/*.json      tables: scene, sample, sample_data, sample_annotation, ego_pose, calibrated_sensor, ...
    samples/, sweeps/     pictures (.jpg) and sweeps (.pcd.bin)
    maps/expansion/       the map expansion pack, optional: see `nuscenes_map`

Rows refer to each other by tokens. Stamps are in microseconds. Boxes are upright in the global frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, from_quaternion, yaw_of
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.messages.detections import Detections3D

LIDAR = "LIDAR_TOP"
RACK = "static_object.bicycle_rack"
TABLES = (
    "scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "sample_annotation", "instance",
    "category", "attribute",
)  # fmt: skip
# Their categories -> the benchmark's ten classes; others are not scored.
BOX_CLASS_OF = {
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
VISIBLE = {"1": 0.2, "2": 0.5, "3": 0.7, "4": 0.9}  # middles of 0-40, 40-60, 60-80, 80-100 %
LONGEST_GAP_S = 1.5  # between two annotations of which a velocity is made

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture or sweep: channel · path · stamp_ns · map_from_base at its stamp (global frame) · base_from_sensor ·
    k float64 [3, 3] and size (width, height) of a camera, else None · sample: token of the keyframe, "" between."""

    channel: str
    path: Path
    stamp_ns: int
    map_from_base: Matrix
    base_from_sensor: Matrix
    k: NDArray[np.float64] | None
    size: tuple[int, int]
    sample: str


class NuScenesTables:
    """The tables of one version. Raises DatasetError where the folder holds none.

    Args:
        folder: the data set (it holds v1.0-*/), or the tables' folder itself.
        version: which v1.0-* if there are several.
    """

    def __init__(self, folder: str | Path, version: str | None = None) -> None:
        tables = _tables_folder(Path(folder), version)
        self.root, self.version = tables.parent, tables.name
        self._rows: dict[str, list[Row]] = {name: _table(tables, name) for name in TABLES}
        self._of: dict[str, dict[str, Row]] = {}
        try:
            for name in TABLES:
                self._of[name] = {row["token"]: row for row in self._rows[name]}
            self._annotations: dict[str, list[Row]] = {}
            for row in self._rows["sample_annotation"]:
                self._annotations.setdefault(row["sample_token"], []).append(row)
        except (KeyError, TypeError) as err:
            raise DatasetError(f"{tables}: a row of its tables lacks {err}") from None

    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes."""
        return tuple(str(row["name"]) for row in self._rows["scene"])

    def scene(self, name: str | None = None) -> Row:
        """The scene of this name, or the only one; raises DatasetError naming those that there are."""
        found = [row for row in self._rows["scene"] if name in (None, row["name"])]
        if len(found) != 1:
            names = self.scenes()
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            what = "no scene" if not found else f"{len(found)} scenes"
            raise DatasetError(f"{self.root / self.version} has {what} {name or ''}: choose one of {shown}")
        return found[0]

    def location(self, scene: Row) -> str:
        """The map of a scene, for instance singapore-onenorth."""
        return str(self._of["log"].get(scene["log_token"], {}).get("location", ""))

    def samples(self, scene: Row) -> list[Row]:
        """The keyframes in order of time."""
        rows = [row for row in self._rows["sample"] if row["scene_token"] == scene["token"]]
        return sorted(rows, key=lambda row: row["timestamp"])

    def shots(self, scene: Row) -> list[Shot]:
        """Sweeps of LIDAR_TOP and pictures of all cameras, keyframes and between, in order of time."""
        samples = {row["token"] for row in self.samples(scene)}
        shots = []
        for row in self._rows["sample_data"]:
            if row["sample_token"] not in samples:
                continue
            try:
                mount = self._of["calibrated_sensor"][row["calibrated_sensor_token"]]
                channel = self._of["sensor"][mount["sensor_token"]]["channel"]
                if channel == LIDAR or channel.startswith("CAM_"):
                    shots.append(self._shot(row, mount, channel))
            except (KeyError, TypeError, ValueError, IndexError) as err:
                raise DatasetError(f"sample_data {row.get('token')}: {type(err).__name__} {err}") from None
        return sorted(shots, key=lambda shot: (shot.stamp_ns, shot.channel == LIDAR))

    def _shot(self, row: Row, mount: Row, channel: str) -> Shot:
        k = None if channel == LIDAR else np.array(mount["camera_intrinsic"], np.float64).reshape(3, 3)
        return Shot(
            channel,
            self.root / row["filename"],
            int(row["timestamp"]) * 1000,
            _pose(self._of["ego_pose"][row["ego_pose_token"]]),
            _pose(mount),
            k,
            (int(row["width"] or 0), int(row["height"] or 0)),
            str(row["sample_token"]) if row["is_key_frame"] else "",
        )

    def boxes(self, sample: str, stamp_ns: int) -> tuple[Detections3D, Detections3D]:
        """(boxes of the ten classes, bicycle racks) of a keyframe in the global frame; raises DatasetError.

        `points` are those of LiDAR and radar together, as the benchmark counts them.
        """
        rows = self._annotations.get(sample, [])
        try:
            names = [self._category(row) for row in rows]
            known = [(row, BOX_CLASS_OF[name]) for row, name in zip(rows, names) if name in BOX_CLASS_OF]
            racks = [(row, "bicycle_rack") for row, name in zip(rows, names) if name == RACK]
            return self._build(known, stamp_ns), self._build(racks, stamp_ns)
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise DatasetError(f"annotations of sample {sample}: {type(err).__name__} {err}") from None

    def _build(self, rows: list[tuple[Row, str]], stamp_ns: int) -> Detections3D:
        attributes = [row["attribute_tokens"] for row, _ in rows]
        return Detections3D.build(
            "global",
            stamp_ns,
            [row["translation"] for row, _ in rows],
            [(length, width, height) for width, length, height in (row["size"] for row, _ in rows)],
            [yaw_of(_pose(row)) for row, _ in rows],
            [name for _, name in rows],
            velocity=[self._velocity(row) for row, _ in rows],
            track=[row["instance_token"] for row, _ in rows],
            points=[int(row["num_lidar_pts"]) + int(row["num_radar_pts"]) for row, _ in rows],
            visibility=[VISIBLE.get(str(row.get("visibility_token")), np.nan) for row, _ in rows],
            attribute=[self._of["attribute"][tokens[0]]["name"] if tokens else "" for tokens in attributes],
        )

    def _category(self, row: Row) -> str:
        return str(self._of["category"][self._of["instance"][row["instance_token"]]["category_token"]]["name"])

    def _velocity(self, row: Row) -> list[float]:
        """(vx, vy) m/s between the neighbouring annotations of the track; NaN where they are too far apart."""
        table = self._of["sample_annotation"]
        before, after = table.get(row["prev"], row), table.get(row["next"], row)
        stamps = [int(self._of["sample"][r["sample_token"]]["timestamp"]) for r in (before, after)]
        seconds = (stamps[1] - stamps[0]) * 1e-6
        limit = LONGEST_GAP_S * (2 if before is not row and after is not row else 1)
        if not 0 < seconds <= limit:
            return [np.nan, np.nan]
        return [(after["translation"][i] - before["translation"][i]) / seconds for i in range(2)]


def is_tables(folder: Path) -> bool:
    """True where a folder looks like nuScenes' official layout."""
    return (folder / "sample_data.json").is_file() or any(folder.glob("v1.0-*/sample_data.json"))


def _tables_folder(folder: Path, version: str | None) -> Path:
    if (folder / "sample_data.json").is_file():
        return folder
    found = sorted(p.parent for p in folder.glob("v1.0-*/sample_data.json"))
    if version is not None:
        found = [p for p in found if p.name == version]
    if len(found) != 1:
        what = ", ".join(p.name for p in found) if found else listing(folder)
        raise DatasetError(f"{folder} holds {what}; nuScenes holds one of v1.0-mini, v1.0-trainval, v1.0-test")
    return found[0]


def _table(folder: Path, name: str) -> list[Row]:
    path = folder / f"{name}.json"
    try:
        rows = json.loads(path.read_text("utf-8"))
    except OSError:
        raise DatasetError(f"{folder} holds {listing(folder)}; the table {path.name} is missing") from None
    except ValueError as err:
        raise DatasetError(f"{path} is not JSON: {err}") from None
    if not isinstance(rows, list):
        raise DatasetError(f"{path} holds a {type(rows).__name__}; a list of rows was expected")
    return rows


def _pose(row: Row) -> Matrix:
    w, x, y, z = row["rotation"]
    return from_quaternion((x, y, z, w), row["translation"])
