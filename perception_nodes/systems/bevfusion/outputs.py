"""What bevfusion_node sends: boxes, their attributes, markers, map layers, a picture, class tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES, ClassInfo
from perception_nodes.evaluation.scorer import UNTRAINED
from perception_nodes.messages.cdr import CdrReader
from perception_nodes.messages.clock import json_values, parse_json
from perception_nodes.messages.detections import Detections3D, attributes_values, detections3d_values
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.grid import Grid, probability_grid_values
from perception_nodes.messages.markers import marker_array_values
from perception_nodes.systems.bevfusion.fused import Fused
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.system import Answer, is_trained

COLOURS = {c.name: c.rgb for c in (*BOX_CLASSES, *MAP_CLASSES)}
EMPTY_M = 50.0  # half side of a picture without map layers


def sure_boxes(answer: Answer) -> Detections3D:
    """The boxes of at least `output.min_score`."""
    boxes: Detections3D = answer.result.boxes
    return boxes.select(boxes.score >= answer.config.output.min_score)


def encode_detections(answer: Answer) -> dict:
    """vision_msgs/Detection3DArray."""
    return detections3d_values(sure_boxes(answer))


def encode_attributes(answer: Answer) -> dict:
    """JSON beside the boxes, in their order: velocities, and which cameras the answer rests on."""
    result: Fused = answer.result
    extra = {
        "cameras": list(result.cameras),
        "masked": dict(result.masked),
        "points_used": result.points,
        "motion": result.motion,
        "untrained": not is_trained(answer.session.network),
    }
    return attributes_values(sure_boxes(answer), extra)


def answered_stamp(raw: bytes) -> tuple[str, int]:
    """(stream, stamp in ns) of the sweep that serialised attributes answer; raises MessageError."""
    try:
        content = parse_json(CdrReader(raw).string("data"))
    except ValueError as error:
        raise MessageError(f"the boxes' attributes are no JSON: {error}") from error
    stamp = content.get("stamp_ns") if isinstance(content, dict) else None
    if not isinstance(stamp, int):
        raise MessageError("the boxes' attributes hold no stamp_ns")
    return POINTS, stamp


def encode_markers(answer: Answer) -> dict:
    """MarkerArray that first clears the old markers."""
    return marker_array_values(sure_boxes(answer), "detections")


def layer_encoder(name: str) -> Callable[[Answer], dict | None]:
    """Encoder of one map class as OccupancyGrid, per cent; None while the network gives no map."""

    def encode(answer: Answer) -> dict | None:
        result: Fused = answer.result
        if result.layers is None:
            return None
        layers = result.layers
        rows = layers.probability[layers.classes.index(name)].T  # OccupancyGrid: rows along y, columns along x
        mask = rows >= answer.config.output.map_threshold
        boxes = result.boxes
        grid = Grid(mask, layers.cell, layers.origin, 0.0, boxes.frame_id, boxes.stamp_ns)
        return probability_grid_values(grid, rows)

    return encode


def encode_map_image(answer: Answer) -> dict:
    """The map layers and the boxes as one picture, ahead up."""
    from perception_nodes.messages.image import image_values  # cv2
    from perception_nodes.viewer.bev_pictures import bev_picture

    result: Fused = answer.result
    boxes = sure_boxes(answer)
    masks, x_range, y_range = {}, (-EMPTY_M, EMPTY_M), (-EMPTY_M, EMPTY_M)
    if result.layers is not None:
        layers, threshold = result.layers, answer.config.output.map_threshold
        masks = dict(zip(layers.classes, layers.probability >= threshold))
        x_range, y_range = (
            (start, start + count * layers.cell) for start, count in zip(layers.origin, layers.probability.shape[1:])
        )
    note = "" if is_trained(answer.session.network) else UNTRAINED
    picture: NDArray[np.uint8] = bev_picture(masks, boxes, x_range, y_range, answer.config.output.image_size, note)
    return image_values(picture, boxes.frame_id, boxes.stamp_ns)


def box_table(session: Any) -> str:
    """The class table of the boxes, as JSON; `untrained` marks boxes that mean nothing."""
    return _table(session, session.network.classes[0] or tuple(c.name for c in BOX_CLASSES))


def map_table(session: Any) -> str:
    """The class table of the map layers, as JSON."""
    return _table(session, session.network.classes[1])


def _table(session: Any, names: tuple[str, ...]) -> str:
    classes = [ClassInfo(name, COLOURS.get(name, (160, 160, 160))) for name in names]
    rows: list[Mapping[str, Any]] = [{"id": i, "name": c.name, "rgb": list(c.rgb)} for i, c in enumerate(classes)]
    return str(json_values({"classes": rows, "untrained": not is_trained(session.network)})["data"])
