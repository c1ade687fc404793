"""KITTI raw's tracklet_labels.xml -> boxes per frame in the velodyne's frame.

A tracklet's pose is the middle of the box's BOTTOM face; rz turns it about z. Types without a counterpart in nuScenes'
ten classes (Tram, Misc) are left out.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.detections import Detections3D

BOX_CLASS_OF = {
    "Car": "car",
    "Van": "car",
    "Truck": "truck",
    "Pedestrian": "pedestrian",
    "Person (sitting)": "pedestrian",
    "Cyclist": "bicycle",
}
LARGEST_FILE = 256 << 20  # bytes; KITTI's have a few MB


def read_tracklets(drive: Path, stamps: dict[int, int]) -> dict[int, Detections3D]:
    """Frame number -> boxes in frame "lidar" for every frame of `stamps` (ns); empty without a tracklet file.

    Raises DatasetError for a file that is not a tracklet file.
    """
    path = drive / "tracklet_labels.xml"
    if not path.is_file():
        return {}
    rows: dict[int, list[tuple]] = {number: [] for number in stamps}
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path.stat().st_size} bytes")
        root = ElementTree.parse(path).getroot()  # expat itself limits entity expansion
        for track, item in enumerate(root.findall("./tracklets/item"), 1):
            _add(rows, item, track)
    except (OSError, ElementTree.ParseError, ValueError) as err:
        raise DatasetError(f"cannot read the tracklets {path}: {err}") from err
    return {number: _boxes(found, stamps[number]) for number, found in rows.items()}


def _add(rows: dict[int, list[tuple]], item: ElementTree.Element, track: int) -> None:
    category = BOX_CLASS_OF.get(item.findtext("objectType", ""))
    if category is None:
        return
    length, width, height = (_number(item, key) for key in ("l", "w", "h"))
    first = int(_number(item, "first_frame"))
    for i, pose in enumerate(item.findall("./poses/item")):
        if first + i in rows:
            x, y, z, yaw = (_number(pose, key) for key in ("tx", "ty", "tz", "rz"))
            row = ((x, y, z + height / 2), (length, width, height), yaw, category, track)
            rows[first + i].append(row)


def _number(element: ElementTree.Element, key: str) -> float:
    value = float(element.findtext(key, "nothing"))
    if not np.isfinite(value):
        raise ValueError(f"{key} is {value}")
    return value


def _boxes(rows: list[tuple], stamp_ns: int) -> Detections3D:
    centre, size, yaw, category, track = zip(*rows) if rows else ((), (), (), (), ())
    return Detections3D.build("lidar", stamp_ns, centre, size, yaw, category, track=track)
