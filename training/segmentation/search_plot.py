"""The picture of a search: accuracy against cost, every candidate a dot. numpy and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.segmentation.evolution import Candidate, frontier

WIDTH, HEIGHT = 1100, 720
LEFT, RIGHT, TOP, BOTTOM = 90, 30, 60, 80
PAPER, INK, GRID, LINE = (250, 250, 248), (40, 40, 44), (222, 222, 218), (120, 120, 125)
EARLY, LATE, MARK = np.array((70, 130, 180)), np.array((220, 90, 30)), (20, 20, 20)


def draw_search(
    candidates: Sequence[Candidate], marks: dict[str, tuple[float, float]], unit: str, title: str, score: str = "mIoU"
) -> NDArray[np.uint8]:
    """uint8 RGB [HEIGHT, WIDTH, 3]. marks: named points (cost, score), networks to compare with · unit: of the cost ·
    score: what the fitness is called."""
    import cv2

    canvas = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    costs = [c.cost for c in candidates] + [x for x, _ in marks.values()]
    scores = [c.fitness for c in candidates] + [y for _, y in marks.values()]
    place, ticks = _axes(costs, scores)

    def write(text: str, at: tuple[int, int], scale: float = 0.5, colour: Any = INK) -> None:
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)

    for x in ticks[0]:
        column = place(x, scores[0])[0]
        cv2.line(canvas, (column, TOP), (column, HEIGHT - BOTTOM), GRID, 1)
        write(f"{x:g}", (column - 12, HEIGHT - BOTTOM + 22))
    for y in ticks[1]:
        row = place(costs[0], y)[1]
        cv2.line(canvas, (LEFT, row), (WIDTH - RIGHT, row), GRID, 1)
        write(f"{y:.2f}", (LEFT - 50, row + 5))
    front = [place(c.cost, c.fitness) for c in frontier(list(candidates))]
    for a, b in zip(front, front[1:]):
        cv2.line(canvas, a, (b[0], a[1]), LINE, 1, cv2.LINE_AA)
        cv2.line(canvas, (b[0], a[1]), b, LINE, 1, cv2.LINE_AA)
    last = max((c.generation for c in candidates), default=0)
    for c in sorted(candidates, key=lambda c: c.generation):
        share = c.generation / last if last else 0.0
        colour = tuple(int(v) for v in EARLY * (1 - share) + LATE * share)
        cv2.circle(canvas, place(c.cost, c.fitness), 5, colour, -1, cv2.LINE_AA)
    for name, (x, y) in marks.items():
        at = place(x, y)
        cv2.drawMarker(canvas, at, MARK, cv2.MARKER_DIAMOND, 14, 2, cv2.LINE_AA)
        right = at[0] + 12 + 10 * len(name) < WIDTH
        write(name, (at[0] + 12 if right else at[0] - 14 - 9 * len(name), at[1] + 5))
    write(title, (LEFT, 32), 0.62)
    write(
        f"{unit}; {len(candidates)} candidates, blue: first generation, orange: generation {last}", (LEFT, HEIGHT - 26)
    )
    write(score, (18, TOP - 14))
    return canvas


def _axes(costs: list[float], scores: list[float]) -> tuple[Any, tuple[list[float], list[float]]]:
    """(function from (cost, mIoU) to pixel, ticks of both axes)."""

    def span(values: list[float]) -> tuple[float, float, list[float]]:
        low, high = min(values), max(values)
        room = max(high - low, 0.02 * max(abs(high), 1e-6)) * 0.08
        low, high = low - room, high + room
        raw = (high - low) / 7
        power = 10.0 ** np.floor(np.log10(raw))
        step = power * min((s for s in (1, 2, 5, 10) if s * power >= raw), default=10)
        first = np.ceil(low / step) * step
        return low, high, [round(float(t), 6) for t in np.arange(first, high, step)]

    (x0, x1, across), (y0, y1, up) = span(costs), span(scores)

    def place(x: float, y: float) -> tuple[int, int]:
        column = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        row = HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        return int(round(column)), int(round(row))

    return place, (across, up)


def save_search(
    path: Path,
    candidates: Sequence[Candidate],
    marks: dict[str, tuple[float, float]],
    unit: str,
    title: str,
    score: str = "mIoU",
) -> None:
    """Writes the picture as PNG."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw_search(candidates, marks, unit, title, score)[:, :, ::-1])
