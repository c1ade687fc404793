"""Events over time for reports: bars of scores beside the ground truth, and film strips. uint8 RGB [H, W, 3]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import ClassInfo
from perception_nodes.viewer.pictures import BACKGROUND
from perception_nodes.viewer.video_pictures import DIM, RED, RIGHT, WHITE, WRONG, reduced, text

LABELS = 230  # px for the names
ROW = 22
TRUTH_ROW = 7  # px of a row that show the ground truth


def event_bars(
    seconds: Sequence[float],
    scores: NDArray[np.float64],
    predicted: NDArray[np.int64],
    classes: tuple[ClassInfo, ...],
    under_way: NDArray[np.bool_] | None = None,
    width: int = 1296,
    note: str = "",
) -> NDArray[np.uint8]:
    """One row an event, time across: its score as brightness (a white line below where it is the event named), and the
    ground truth as a bar of its colour under it.

    seconds [T] rising · scores float [T, K] 0..1 · predicted int [T] · under_way bool [T, K], or None.
    """
    span = max(seconds[-1] - seconds[0], 1e-3)
    columns = (LABELS + (np.asarray(seconds) - seconds[0]) / span * (width - LABELS - 12)).astype(int)
    edges = [*columns.tolist(), width - 12 + max(2, (width - LABELS) // max(len(seconds), 1))]
    widest = max(2, int(3 * np.median(np.diff(edges))))  # a gap in time stays empty
    height = 30 + ROW * len(classes) + 24
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
    truth_words = "" if under_way is None else ", below it the ground truth"
    text(canvas, f"score of each event (brighter: higher; white: the event named{truth_words})", 6, 18, DIM, 0.42)
    for k, info in enumerate(classes):
        y = 30 + ROW * k
        text(canvas, info.name, 6, y + 12, WHITE, 0.4)
        colour = np.array(info.rgb, np.float64)
        for t, (left, right) in enumerate(zip(edges[:-1], edges[1:])):
            right = min(max(right, left + 1), left + widest, width - 2)
            share = 0.08 + 0.92 * float(scores[t, k])
            canvas[y : y + ROW - TRUTH_ROW - 4, left:right] = (colour * share).astype(np.uint8)
            if predicted[t] == k:
                canvas[y + ROW - TRUTH_ROW - 4 : y + ROW - TRUTH_ROW - 2, left:right] = WHITE
            if under_way is not None and under_way[t, k]:
                canvas[y + ROW - TRUTH_ROW - 1 : y + ROW - 3, left:right] = info.rgb
    for i in range(6):
        x = LABELS + round(i / 5 * (width - LABELS - 60))
        text(canvas, f"{span * i / 5:.1f} s", x, height - 8, DIM, 0.4)
    text(canvas, note, width - 230, 18, RED, 0.55)
    return canvas


def strip_tile(
    picture: NDArray[np.uint8], seconds: float, said: str, truth: Sequence[str] | None, right: bool | None
) -> NDArray[np.uint8]:
    """A picture of a film strip under the time, with what was under way below it: green right, red wrong.

    truth: names, empty for nothing, None for unknown.
    """
    height, width = picture.shape[:2]
    tile = np.full((height + 44, width, 3), BACKGROUND, np.uint8)
    tile[20 : 20 + height] = picture
    text(tile, f"{seconds:.1f} s", 4, 14, DIM, 0.4)
    text(tile, said, 60, 14, WHITE if right is None else RIGHT if right else WRONG, 0.42)
    if truth is not None:
        text(tile, "truth: " + (", ".join(truth) or "none"), 4, height + 36, DIM, 0.38)
    return tile


def film_strip(tiles: Sequence[NDArray[np.uint8]], columns: int = 4, gap: int = 6) -> NDArray[np.uint8]:
    """Tiles in rows; each is brought to the first one's size."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * (height + gap), columns * (width + gap), 3), BACKGROUND, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        part = reduced(tile, width)[:height]
        canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas
