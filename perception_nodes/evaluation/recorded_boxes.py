"""Recorded 3-D boxes of a bag, with the velocities and point counts that travel beside them."""

from __future__ import annotations

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.messages.clock import read_json
from perception_nodes.messages.detections import Detections3D, read_detections3d
from perception_nodes.messages.errors import MessageError

TRUTH = "/ground_truth/boxes"


def boxes_by_stamp(reader: BagReader, topic: str) -> dict[int, Detections3D]:
    """Header stamp, ns -> boxes of a Detection3DArray topic in order of time; `<topic>/attributes` is used where it is
    recorded. Empty where the bag has no such topic. Raises EvaluationError."""
    held = reader.topics()
    found = {}
    try:
        extra = {}
        attributes = f"{topic}/attributes"
        for _, kind, _, raw in reader.messages([attributes]) if attributes in held else ():
            message = reader.decode(raw, kind)
            content = read_json(message)
            if isinstance(content, dict):
                extra[content.get("stamp_ns")] = message
        for _, kind, _, raw in reader.messages([topic]) if topic in held else ():
            message = reader.decode(raw, kind)
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            found[stamp] = read_detections3d(message, extra.get(stamp))
    except (BagError, MessageError) as error:
        raise EvaluationError(f"{reader.path}: {topic}: {error}") from None
    return dict(sorted(found.items()))
