"""visualization_msgs/MarkerArray of what was found in a picture: the event's name, and the boxes.

A picture has no depth. The markers stand on a plane 1 m in front of the camera, in its optical frame (x right, y down,
z forward); the picture is 1 m wide there, as if seen through a lens of 53 degrees, so that boxes keep their places to
each other and the text stands above them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perception_nodes.messages.detections2d import Detections2D
from perception_nodes.messages.events import CameraEvent
from perception_nodes.messages.header import header_fields
from perception_nodes.messages.markers import ADD, COLOURS, DELETE_ALL, GREY, LINE_LIST, TEXT
from perception_nodes.messages.transforms import pose_values, xyz_values

PLANE_M = 1.0


def image_marker_values(
    event: CameraEvent,
    frame_id: str,
    size: tuple[int, int],
    colour: tuple[int, int, int],
    boxes: Detections2D | None = None,
    colours: Mapping[str, tuple[int, int, int]] = COLOURS,
    lifetime_s: float = 0.5,
) -> dict:
    """MarkerArray as plain values: a marker that clears the camera's old ones, the event as text, a frame per box.

    Args:
        frame_id: the camera's optical frame. size: (width, height) of the picture, px. colour: of the event.
    """
    header = header_fields(frame_id, event.stamp_ns)
    sec, nanosec = divmod(round(lifetime_s * 1e9), 10**9)
    base = {"header": header, "action": ADD, "lifetime": {"sec": sec, "nanosec": nanosec}}
    namespace = f"events/{event.camera}"
    place = np.eye(4)
    place[:3, 3] = (0.0, -0.5 * size[1] / size[0] - 0.06, PLANE_M)
    said = f"{event.event} {event.score:.2f}" if event.warm else "warming up"
    text = {"type": TEXT, "id": 0, "ns": namespace, "pose": pose_values(place), "text": said}
    markers: list[dict] = [
        {"header": header, "ns": namespace, "action": DELETE_ALL},
        {**base, **text, "scale": {"x": 0.0, "y": 0.0, "z": 0.08}, "color": _colour(colour)},
    ]
    for i in range(0 if boxes is None else len(boxes)):
        assert boxes is not None
        left, top, right, bottom = ((boxes.box[i] - np.array([size[0], size[1]] * 2) / 2) / size[0]).tolist()
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        points = [xyz_values((*corners[k % 4], PLANE_M)) for j in range(4) for k in (j, j + 1)]
        line = {"type": LINE_LIST, "id": i, "ns": f"{namespace}/boxes", "pose": pose_values(np.eye(4))}
        colour_i = _colour(colours.get(boxes.category[i], GREY))
        markers.append({**base, **line, "scale": {"x": 0.004, "y": 0.0, "z": 0.0}, "color": colour_i, "points": points})
    return {"markers": markers}


def _colour(rgb: tuple[int, int, int]) -> dict[str, float]:
    return {"r": rgb[0] / 255, "g": rgb[1] / 255, "b": rgb[2] / 255, "a": 1.0}
