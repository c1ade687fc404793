"""visualization_msgs/MarkerArray of 3-D boxes: wire-frames, headings, names; works in RViz wherever rclpy runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perception_nodes.classes import BOX_CLASSES
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.header import header_fields
from perception_nodes.messages.transforms import pose_values, xyz_values

# visualization_msgs/Marker's constants
ARROW, LINE_LIST, TEXT = 0, 5, 9
ADD, DELETE_ALL = 0, 3

COLOURS = {c.name: c.rgb for c in BOX_CLASSES}
GREY = (160, 160, 160)
# Pairs of corners (see Detections3D.corners): bottom, top, uprights, and the cross on the front face.
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7), (0, 5), (1, 4))


def marker_array_values(
    boxes: Detections3D,
    namespace: str = "boxes",
    colours: Mapping[str, tuple[int, int, int]] = COLOURS,
    lifetime_s: float = 0.5,
) -> dict:
    """MarkerArray as plain values: first a marker that clears the old ones, then three for each box (wire-frame, text,
    and an arrow of one second's travel where the velocity is known and above 0.2 m/s)."""
    header = header_fields(boxes.frame_id, boxes.stamp_ns)
    sec, nanosec = divmod(round(lifetime_s * 1e9), 10**9)
    common = {"header": header, "action": ADD, "lifetime": {"sec": sec, "nanosec": nanosec}}
    markers: list[dict] = [{"header": header, "ns": namespace, "action": DELETE_ALL}]
    corners = boxes.corners()
    for i in range(len(boxes)):
        rgb = colours.get(boxes.category[i], GREY)
        colour = {"r": rgb[0] / 255, "g": rgb[1] / 255, "b": rgb[2] / 255, "a": 1.0}
        wire = [xyz_values(corners[i, corner]) for edge in EDGES for corner in edge]
        base = {**common, "color": colour, "id": i}
        identity = pose_values(np.eye(4))
        line = {"type": LINE_LIST, "pose": identity, "scale": {"x": 0.06, "y": 0.0, "z": 0.0}}
        markers.append({**base, **line, "ns": namespace, "points": wire})
        markers.append({**base, "ns": f"{namespace}/name", **_label(boxes, i)})
        speed = float(np.hypot(*boxes.velocity[i]))
        if speed > 0.2:  # False for NaN: unknown
            tip = boxes.centre[i] + np.append(boxes.velocity[i], 0.0)
            arrow = {"type": ARROW, "pose": identity, "scale": {"x": 0.1, "y": 0.25, "z": 0.3}}
            ends = [xyz_values(boxes.centre[i]), xyz_values(tip)]
            markers.append({**base, **arrow, "ns": f"{namespace}/velocity", "points": ends})
    return {"markers": markers}


def _label(boxes: Detections3D, i: int) -> dict:
    place = np.eye(4)
    place[:3, 3] = boxes.centre[i] + (0.0, 0.0, boxes.size[i, 2] / 2 + 0.4)
    text = " ".join(t for t in (boxes.category[i], boxes.track[i]) if t)
    return {"type": TEXT, "pose": pose_values(place), "scale": {"x": 0.0, "y": 0.0, "z": 0.5}, "text": text}
