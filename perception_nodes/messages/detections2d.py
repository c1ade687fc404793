"""Boxes in a picture: `Detections2D` <-> vision_msgs/Detection2DArray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_fields, read_header


@dataclass(frozen=True, eq=False)
class Detections2D:
    """B boxes in one picture of a camera.

    box float32 [B, 4]: left, top, right, bottom in pixels of that picture · category: B class names · score float32
    [B] 0..1 · track: B ids, "" where there is none · size: (width, height) of the picture, px · frame_id: the camera's.
    """

    box: NDArray[np.float32]
    category: tuple[str, ...]
    score: NDArray[np.float32]
    track: tuple[str, ...]
    size: tuple[int, int]
    frame_id: str
    stamp_ns: int

    def __len__(self) -> int:
        return len(self.category)

    @staticmethod
    def build(
        frame_id: str,
        stamp_ns: int,
        size: tuple[int, int],
        box: ArrayLike,
        category: Sequence[str],
        score: ArrayLike | None = None,
        track: Sequence[object] | None = None,
    ) -> Detections2D:
        """From lists or arrays (score: 1 where not given). Raises ValueError naming a wrong shape."""
        n = len(category)
        boxes = np.asarray(box, np.float32).reshape(-1, 4)
        scores = np.ones(n, np.float32) if score is None else np.asarray(score, np.float32).reshape(-1)
        names = ("",) * n if track is None else tuple(str(t) for t in track)
        if not len(boxes) == len(scores) == len(names) == n:
            raise ValueError(f"{len(boxes)} boxes, {n} classes, {len(scores)} scores and {len(names)} tracks")
        return Detections2D(boxes, tuple(category), scores, names, size, frame_id, stamp_ns)

    def above(self, score: float) -> Detections2D:
        """The boxes of at least this score."""
        keep = [i for i in range(len(self)) if self.score[i] >= score]
        names = ([self.category[i] for i in keep], self.score[keep], [self.track[i] for i in keep])
        return Detections2D.build(self.frame_id, self.stamp_ns, self.size, self.box[keep], *names)


def detections2d_values(boxes: Detections2D) -> dict:
    """vision_msgs/Detection2DArray as plain values; class_id is the class name, id the track."""
    header = header_fields(boxes.frame_id, boxes.stamp_ns)
    rows = []
    for i in range(len(boxes)):
        left, top, right, bottom = (float(v) for v in boxes.box[i])
        position = {"x": (left + right) / 2, "y": (top + bottom) / 2}
        hypothesis = {"class_id": boxes.category[i], "score": float(boxes.score[i])}
        rows.append(
            {
                "header": header,
                "results": [{"hypothesis": hypothesis}],
                "bbox": {
                    "center": {"position": position, "theta": 0.0},
                    "size_x": right - left,
                    "size_y": bottom - top,
                },
                "id": boxes.track[i],
            }
        )
    return {"header": header, "detections": rows}


def read_detections2d(msg: Any, size: tuple[int, int] = (0, 0)) -> Detections2D:
    """Detection2DArray -> boxes, each with its best hypothesis; `size` of the picture travels apart. Raises
    MessageError."""
    frame_id, stamp_ns = read_header(msg)
    rows = getattr(msg, "detections", None)
    if not isinstance(rows, (list, tuple)):
        raise MessageError(f"{type(msg).__name__} is not a Detection2DArray")
    box, category, score, track = [], [], [], []
    for i, row in enumerate(rows):
        try:
            best = max(row.results, key=lambda r: r.hypothesis.score)
            x, y = float(row.bbox.center.position.x), float(row.bbox.center.position.y)
            w, h = float(row.bbox.size_x) / 2, float(row.bbox.size_y) / 2
            category.append(str(best.hypothesis.class_id))
            score.append(float(best.hypothesis.score))
        except (AttributeError, TypeError, ValueError) as err:
            raise MessageError(f"detection {i}: {err}") from err
        if not np.isfinite((x, y, w, h)).all() or w < 0 or h < 0:
            raise MessageError(f"detection {i} has the box {x}, {y}, {2 * w} x {2 * h}; finite pixels were expected")
        box.append((x - w, y - h, x + w, y + h))
        track.append(str(getattr(row, "id", "")))
    return Detections2D.build(frame_id, stamp_ns, size, box, category, score, track)
