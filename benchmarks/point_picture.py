"""The picture of the point family: where the time goes, and accuracy against cost. numpy and OpenCV."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, ROW, LEFT, RIGHT, TOP = 1180, 34, 300, 150, 84
PAPER, INK, SOFT = (250, 250, 248), (40, 40, 44), (120, 120, 125)
COLOURS = {"input": (176, 190, 197), "index": (255, 183, 77), "movement": (229, 57, 53), "arithmetic": (66, 133, 180)}


def draw_parts(bars: list[tuple[str, dict[str, float]]], table: list[str], title: str) -> Any:
    """uint8 RGB [H, WIDTH, 3]. bars: (name, milliseconds by part) · table: lines of text below,
    columns apart by two spaces in the first and by one in the others."""
    import cv2

    height = TOP + ROW * len(bars) + 46 + 22 * len(table) + 20
    canvas = np.full((height, WIDTH, 3), PAPER, np.uint8)

    def write(text: str, x: int, y: int, scale: float = 0.5, colour: Any = INK) -> None:
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)

    write(title, 24, 30, 0.62)
    x = LEFT
    for part, colour in COLOURS.items():
        cv2.rectangle(canvas, (x, 46), (x + 16, 62), colour, -1)
        write(part, x + 24, 60)
        x += 150
    span = WIDTH - LEFT - RIGHT
    for i, (name, parts) in enumerate(bars):
        y, total, start = TOP + ROW * i, sum(parts.values()) or 1.0, float(LEFT)
        write(name, 24, y + 17)
        for part, colour in COLOURS.items():
            share = parts.get(part, 0.0) / total
            end = start + share * span
            cv2.rectangle(canvas, (round(start), y), (round(end), y + ROW - 12), colour, -1)
            if share > 0.05:
                write(f"{share:.0%}", round((start + end) / 2) - 14, y + 16, 0.45, (255, 255, 255))
            start = end
        write(f"{total:.0f} ms", WIDTH - RIGHT + 12, y + 17, 0.5, SOFT)
    y = TOP + ROW * len(bars) + 40
    for i, line in enumerate(table):
        for column, cell in enumerate(re.split(r"\s{2,}", line) if i == 0 else line.split()):
            write(cell, 24 + 130 * column, y + 22 * i, 0.44, INK if i else SOFT)
    return canvas


def save(path: Path, bars: list[tuple[str, dict[str, float]]], table: list[str], title: str) -> None:
    """Writes a PNG."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.ascontiguousarray(draw_parts(bars, table, title)[:, :, ::-1])
    ok, data = cv2.imencode(".png", picture)
    if not ok:
        raise OSError(f"{path}: the picture could not be encoded")
    path.write_bytes(data.tobytes())
