"""Pictures of point clouds for reports: bird's-eye and range views, ground truth beside prediction. numpy and OpenCV.

All images are uint8 RGB [H, W, 3]. Sensor frame: x forward, y left, z up; ahead is up in the bird's-eye view and the
middle column of the range view.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE, ClassInfo

BACKGROUND = (18, 20, 26)
NO_CLASS_RGB = (90, 90, 96)


def palette(classes: tuple[ClassInfo, ...]) -> NDArray[np.uint8]:
    """RGB by label, uint8 [256, 3]; every label outside the table, IGNORE included, is grey."""
    table = np.full((256, 3), NO_CLASS_RGB, np.uint8)
    for i, info in enumerate(classes):
        table[i] = info.rgb
    return table


def colour_errors(truth: NDArray, predicted: NDArray) -> NDArray[np.uint8]:
    """RGB per point: red wrong, dim green right, grey where there is no ground truth."""
    rgb = np.empty((len(truth), 3), np.uint8)
    rgb[:] = (255, 40, 40)
    rgb[truth == predicted] = (40, 110, 60)
    rgb[truth == IGNORE] = (50, 50, 56)
    return rgb


def birds_eye(
    xyz: NDArray[np.float32], rgb: NDArray[np.uint8], reach_m: float = 40.0, size: int = 640
) -> NDArray[np.uint8]:
    """Points from above, `reach_m` to every side, the highest point of a pixel on top."""
    canvas = np.full((size, size, 3), BACKGROUND, np.uint8)
    with np.errstate(invalid="ignore"):
        row = (reach_m - xyz[:, 0]) * (size / (2 * reach_m))
        column = (reach_m - xyz[:, 1]) * (size / (2 * reach_m))
        inside = (row >= 0) & (row < size - 1) & (column >= 0) & (column < size - 1)
    inside &= np.isfinite(xyz[:, 2])
    order = np.flatnonzero(inside)[np.argsort(xyz[inside, 2], kind="stable")]
    r, c = row[order].astype(int), column[order].astype(int)
    for dr in (0, 1):  # 2 x 2 pixels a point, so that far points can be seen
        for dc in (0, 1):
            canvas[r + dr, c + dc] = rgb[order]
    return canvas


def range_view(
    xyz: NDArray[np.float32],
    rgb: NDArray[np.uint8],
    height: int = 160,
    width: int = 1024,
    elevation_deg: tuple[float, float] = (-28.0, 12.0),
) -> NDArray[np.uint8]:
    """Points as the sensor sees them: azimuth across (straight ahead in the middle), elevation down, nearest on top."""
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
    finite = np.flatnonzero(np.isfinite(xyz).all(1))
    x, y, z = xyz[finite].T
    flat = np.hypot(x, y)
    column = ((np.pi - np.arctan2(y, x)) / (2 * np.pi) * width).astype(int) % width
    low, high = np.deg2rad(elevation_deg)
    row = (high - np.arctan2(z, flat)) / (high - low) * height
    inside = (row >= 0) & (row < height)
    far_first = np.argsort(-flat[inside], kind="stable")
    r, c = row[inside][far_first].astype(int), column[inside][far_first]
    colours = rgb[finite[inside][far_first]]
    for dr in (0, 1):  # sensors have fewer rows than the picture
        canvas[np.minimum(r + dr, height - 1), c] = colours
    return canvas


def side_by_side(panels: list[tuple[str, NDArray[np.uint8]]], gap: int = 8) -> NDArray[np.uint8]:
    """Panels of one height in a row, each under its title."""
    import cv2

    height = max(p.shape[0] for _, p in panels) + 26
    parts = []
    for title, picture in panels:
        tile = np.full((height, picture.shape[1], 3), BACKGROUND, np.uint8)
        tile[26 : 26 + picture.shape[0]] = picture
        cv2.putText(tile, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
        parts += [tile, np.full((height, gap, 3), BACKGROUND, np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


def stacked(rows: list[NDArray[np.uint8]], gap: int = 8) -> NDArray[np.uint8]:
    """Pictures under each other, left-aligned."""
    width = max(r.shape[1] for r in rows)
    parts = []
    for picture in rows:
        tile = np.full((picture.shape[0] + gap, width, 3), BACKGROUND, np.uint8)
        tile[: picture.shape[0], : picture.shape[1]] = picture
        parts.append(tile)
    return np.concatenate(parts)[:-gap]


def legend(
    classes: tuple[ClassInfo, ...], width: int = 1296, shown: set[int] | None = None, column: int = 144
) -> NDArray[np.uint8]:
    """Colour chips with names, wrapped to `width`; only the ids in `shown` if given."""
    import cv2

    wanted = [c for i, c in enumerate(classes) if shown is None or i in shown]
    per_row = max(width // column, 1)
    canvas = np.full((24 * -(-max(len(wanted), 1) // per_row), width, 3), BACKGROUND, np.uint8)
    for i, info in enumerate(wanted):
        x, y = column * (i % per_row), 24 * (i // per_row)
        cv2.rectangle(canvas, (x + 6, y + 6), (x + 18, y + 18), info.rgb, -1)
        cv2.putText(
            canvas, info.name, (x + 24, y + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (225, 225, 225), 1, cv2.LINE_AA
        )
    return canvas


def segmentation_picture(
    xyz: NDArray[np.float32],
    predicted: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
    classes: tuple[ClassInfo, ...],
    note: str = "",
) -> NDArray[np.uint8]:
    """The report's picture of one sweep: bird's-eye and range views, prediction beside ground truth and errors where
    there is ground truth. `note` (for instance "UNTRAINED WEIGHTS") is written across the top."""
    colours = palette(classes)
    views = [("prediction", colours[predicted])]
    if truth is not None:
        views = [("ground truth", colours[truth]), *views, ("errors (red)", colour_errors(truth, predicted))]
    size = 426 if truth is not None else 640
    width = len(views) * size + (len(views) - 1) * 8
    rows = [side_by_side([(t, birds_eye(xyz, rgb, size=size)) for t, rgb in views])]
    rows += [side_by_side([(f"{t}, range view", range_view(xyz, rgb, width=width))]) for t, rgb in views[:2]]
    shown = set(np.unique(predicted)) | (set() if truth is None else set(np.unique(truth)))
    rows.append(legend(classes, width, {int(s) for s in shown}))
    picture = stacked(rows)
    return with_note(picture, note) if note else picture


def with_note(picture: NDArray[np.uint8], note: str) -> NDArray[np.uint8]:
    """The picture with a warning written across its top in red."""
    import cv2

    marked = picture.copy()
    cv2.putText(marked, note, (160, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 60, 60), 2, cv2.LINE_AA)
    return marked


def save(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write PNG or JPEG by the file's ending; raises OSError if it cannot be written."""
    import cv2

    if not cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1])):
        raise OSError(f"could not write {path}: is the folder there and the disk not full?")
