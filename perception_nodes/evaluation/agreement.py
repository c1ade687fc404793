"""How far two recordings of one drive agree, without ground truth: a stack's answers to changed pictures beside its
answers to the original ones.

| message | agreement of one message, 0..1 |
|---|---|
| PointCloud2 with labels | share of points with the same label |
| OccupancyGrid | intersection over union of the cells that hold; 1 where neither has any |
| Detection2DArray | F1 of boxes of one class that overlap (IoU of 0.5 or more) |
| Detection3DArray | F1 of boxes of one class whose centres are within 2 m |
| String with a camera's event | 1 where the event is the same |

Boxes below a score of 0.3 do not count. Messages are paired by stamp and camera; one that is missing agrees by 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.detections2d import read_detections2d
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import read_event
from perception_nodes.messages.grid import read_grid
from perception_nodes.messages.header import stamp_to_ns

MIN_SCORE, MIN_IOU, NEAR_M = 0.3, 0.5, 2.0
Key = tuple[int, str]  # stamp in ns; camera or frame


class Row(NamedTuple):
    """Agreement of one message, and where it belongs: stamp in ns, camera or frame."""

    agreement: float
    stamp_ns: int
    of: str


@dataclass(frozen=True)
class Agreement:
    """Of one topic. rows: a message each, in order of time."""

    topic: str
    rows: tuple[Row, ...]

    @property
    def mean(self) -> float:
        """Over all messages."""
        return float(np.mean([row.agreement for row in self.rows]))

    def worst(self, count: int) -> list[Row]:
        """The messages that agree least."""
        return sorted(self.rows, key=lambda row: (row.agreement, row.stamp_ns))[:count]


def agreements(original: BagReader, other: BagReader) -> list[Agreement]:
    """Agreement of every topic of `original` that is known how to compare."""
    found = []
    for topic in sorted(original.topics()):
        readers = READERS.get(original.topics()[topic].type)
        if readers is None:
            continue
        before = dict(_values(original, topic, readers[0]))
        after = dict(_values(other, topic, readers[0])) if topic in other.topics() else {}
        if before:
            rows = [
                Row(readers[1](value, after[key]) if key in after else 0.0, *key)
                for key, value in sorted(before.items(), key=lambda row: row[0])
            ]
            found.append(Agreement(topic, tuple(rows)))
    return found


def _values(reader: BagReader, topic: str, read: Callable[[Any], tuple[Key, Any] | None]) -> Iterator[tuple[Key, Any]]:
    for _, kind, _, raw in reader.messages([topic]):
        try:
            pair = read(reader.decode(raw, kind))
        except (BagError, MessageError):
            continue  # another String than an event, a cloud without labels
        if pair is not None:
            yield pair


def _labels(message: Any) -> tuple[Key, NDArray] | None:
    layout = read_layout(message)
    if "label" not in layout.fields:
        return None
    return (stamp_to_ns(message.header.stamp), message.header.frame_id), np.asarray(layout.column("label"))


def _same_labels(a: NDArray, b: NDArray) -> float:
    return float((a == b).mean()) if len(a) == len(b) and len(a) else float(len(a) == len(b))


def _grid(message: Any) -> tuple[Key, NDArray]:
    grid = read_grid(message)
    return (grid.stamp_ns, grid.frame_id), grid.mask


def _same_cells(a: NDArray, b: NDArray) -> float:
    if a.shape != b.shape:
        return 0.0
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def _boxes2d(message: Any) -> tuple[Key, Any]:
    boxes = read_detections2d(message).above(MIN_SCORE)
    return (boxes.stamp_ns, boxes.frame_id), (boxes.category, np.asarray(boxes.box, float))


def _boxes3d(message: Any) -> tuple[Key, Any]:
    boxes = read_detections3d(message)
    boxes = boxes.select(np.asarray(boxes.score) >= MIN_SCORE)
    return (boxes.stamp_ns, boxes.frame_id), (boxes.category, boxes.centre)


def _event(message: Any) -> tuple[Key, str] | None:
    event = read_event(message)
    return None if event.state else ((event.stamp_ns, event.camera), event.event)


def _ious(a: NDArray, b: NDArray) -> NDArray:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0, None).prod(-1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _closeness(a: NDArray, b: NDArray) -> NDArray:
    """1 at the same place, MIN_IOU at NEAR_M."""
    return 1.0 - (1.0 - MIN_IOU) * np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=-1) / NEAR_M


def _f1(overlap: Callable[[NDArray, NDArray], NDArray]) -> Callable[[Any, Any], float]:
    def compare(a: Any, b: Any) -> float:
        (names_a, boxes_a), (names_b, boxes_b) = a, b
        if not len(names_a) or not len(names_b):
            return float(len(names_a) == len(names_b))
        scores = overlap(boxes_a, boxes_b)
        scores[np.asarray(names_a)[:, None] != np.asarray(names_b)[None]] = -1.0
        pairs = 0
        while scores.max() >= MIN_IOU:  # the closest pair first, each box once
            i, j = np.unravel_index(int(scores.argmax()), scores.shape)
            scores[i, :], scores[:, j] = -1.0, -1.0
            pairs += 1
        return 2 * pairs / (len(names_a) + len(names_b))

    return compare


READERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], float]]] = {
    "sensor_msgs/msg/PointCloud2": (_labels, _same_labels),
    "nav_msgs/msg/OccupancyGrid": (_grid, _same_cells),
    "vision_msgs/msg/Detection2DArray": (_boxes2d, _f1(_ious)),
    "vision_msgs/msg/Detection3DArray": (_boxes3d, _f1(_closeness)),
    "std_msgs/msg/String": (_event, lambda a, b: float(a == b)),
}
