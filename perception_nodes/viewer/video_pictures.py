"""Pictures of camera events for reports and for ~/debug/image: overlays, bars over time, film strips. uint8 RGB."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES
from perception_nodes.messages.detections2d import Detections2D
from perception_nodes.messages.events import CameraEvent

BOX_COLOURS = {c.name: c.rgb for c in BOX_CLASSES}
WHITE, DIM, RED = (235, 235, 235), (150, 155, 165), (255, 60, 60)
NAMED_WIDTH = 400  # px; in smaller pictures names would hide what they name
RIGHT, WRONG = (70, 190, 90), (230, 60, 60)


def text(picture: NDArray[np.uint8], words: str, x: int, y: int, colour=WHITE, size: float = 0.45) -> None:
    """Writes onto a picture, in place; y is the base line."""
    import cv2

    cv2.putText(picture, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def reduced(rgb: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A picture of at most this width, a copy that may be drawn on."""
    import cv2

    if rgb.shape[1] <= width:
        return rgb.copy()
    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def overlay(
    rgb: NDArray[np.uint8],
    event: CameraEvent | None,
    colours: Mapping[str, tuple[int, int, int]],
    boxes: Detections2D | None = None,
    box_colours: Mapping[str, tuple[int, int, int]] = BOX_COLOURS,
    width: int = 640,
    note: str = "",
    bars: int = 3,
) -> NDArray[np.uint8]:
    """A picture with its boxes and its likeliest events as bars; `note` (for instance UNTRAINED WEIGHTS) in red.

    rgb uint8 [H, W, 3] -> uint8 [h, w, 3], w at most `width`. event None: nothing was said of this picture.
    """
    import cv2

    out = reduced(rgb, width)
    scale = out.shape[1] / rgb.shape[1]
    for i in range(0 if boxes is None else len(boxes)):
        assert boxes is not None
        left, top, right, bottom = (int(round(float(v) * scale)) for v in boxes.box[i])
        colour = box_colours.get(boxes.category[i], DIM)
        cv2.rectangle(out, (left, top), (right, bottom), colour, 1)
        if out.shape[1] >= NAMED_WIDTH:
            text(out, f"{boxes.category[i]} {boxes.score[i]:.2f}", left, max(10, top - 3), colour, 0.36)
    if event is not None:
        best = sorted(event.scores.items(), key=lambda row: (row[0] != event.event, -row[1]))[:bars]
        panel = out[: 16 * len(best) + 8, : min(out.shape[1], 300)]
        panel[:] = panel // 3
        for i, (name, score) in enumerate(best):
            y = 4 + 16 * i
            cv2.rectangle(out, (4, y + 2), (4 + round(90 * score), y + 13), colours.get(name, DIM), -1)
            text(out, f"{name} {score:.2f}", 100, y + 12, WHITE if name == event.event else DIM, 0.4)
        state = "warming up" if not event.warm else "held: the answer of the picture before" if event.held else ""
        if state:
            text(out, state, 4, 16 * len(best) + 22, DIM, 0.4)
    if note:
        text(out, note, 6, out.shape[0] - 8, RED, 0.5)
    return out
