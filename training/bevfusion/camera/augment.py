"""From a stored picture to a training sample: a view of 704 x 256 px, turned, zoomed, perhaps mirrored, relit.

Zoom changes the focal length with it, so depth stays metric; the targets use canonical depth (models.bevfusion.lite.
depth_bins). Light, colour, blur, noise and JPEG are training.common.photometric's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.lite.build import SIZE
from training.bevfusion.camera.pictures import IGNORE, BoxRows, Picture
from training.common.photometric import photometric

GREY = (124, 116, 104)  # of what lies outside the picture
LEAST_SIDE = 2.0  # px; boxes smaller than that after cutting are dropped


@dataclass(frozen=True)
class CameraAugment:
    """zoom: range of the scale (log-uniform) · turn: degrees, uniform to both sides · shift: share of the room that
    there is to move the view · flip: share of mirrored ones ·
    light: share of pictures whose light, colour and sharpness are changed."""

    zoom: tuple[float, float] = (0.92, 1.4)
    turn: float = 3.0
    shift: float = 1.0
    flip: float = 0.5
    light: float = 0.9


PLAIN = CameraAugment(zoom=(1.0, 1.0), turn=0.0, shift=0.0, flip=0.0, light=0.0)


def augmented(picture: Picture, config: CameraAugment, rng: np.random.Generator) -> Picture:
    """A view of SIZE px. The same generator state gives the same bytes."""
    import cv2

    height, width = SIZE
    matrix = view(picture.rgb.shape[:2], config, rng)
    rgb = cv2.warpAffine(picture.rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=GREY)
    half = _halved(matrix)
    at = {"flags": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_CONSTANT}
    depth = cv2.warpAffine(picture.depth, half, (width // 2, height // 2), borderValue=float("nan"), **at)
    pixels = cv2.warpAffine(picture.pixels, half, (width // 2, height // 2), borderValue=IGNORE, **at)
    if rng.random() < config.light:
        rgb = photometric(rgb, rng)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    rows = moved(picture.rows, matrix, (height, width))
    return Picture(rgb, depth, pixels, rows, picture.focal * scale, picture.name)


def view(size: tuple[int, int], config: CameraAugment, rng: np.random.Generator) -> NDArray[np.float64]:
    """Affine map float64 [2, 3] from a picture of `size` (height, width) to one of SIZE, pixel centres at integers."""
    zoom = float(np.exp(rng.uniform(*np.log(config.zoom))))
    angle = np.radians(rng.uniform(-config.turn, config.turn))
    side = -1.0 if rng.random() < config.flip else 1.0
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([side, 1.0])
    inside = np.array([size[1], size[0]]) * zoom - np.array([SIZE[1], SIZE[0]])  # px to spare, by axis
    place = config.shift * rng.uniform(-0.5, 0.5, 2) * np.maximum(inside, 0.0)
    from_centre = (np.array([size[1], size[0]]) - 1) / 2
    to_centre = (np.array([SIZE[1], SIZE[0]]) - 1) / 2 + place
    return np.column_stack([turn, to_centre - turn @ from_centre])


def _halved(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same map between pictures of every second pixel: u' = A u + b with u = 2 v becomes v' = A v + b / 2."""
    half = matrix.copy()
    half[:, 2] /= 2.0
    return half


def moved(rows: BoxRows, matrix: NDArray[np.float64], size: tuple[int, int]) -> BoxRows:
    """Boxes in the new view: the upright boxes around the moved corners, cut at the edges; those outside are dropped.

    A box of which less than a third lies inside counts as hardly visible.
    """
    if not len(rows):
        return rows
    height, width = size
    corners = rows.box[:, [[0, 1], [2, 1], [2, 3], [0, 3]]].astype(np.float64)  # [M, 4, 2]
    # turning a box's corners makes its outline too large: only its centre is turned, its sides are scaled
    centre = (corners[:, 0] + corners[:, 2]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    half = (corners[:, 2] - corners[:, 0]) / 2 * scale
    whole = np.concatenate([centre - half, centre + half], 1)
    cut = np.stack(
        [
            whole[:, 0].clip(0, width), whole[:, 1].clip(0, height),
            whole[:, 2].clip(0, width), whole[:, 3].clip(0, height),
        ], 1,
    )  # fmt: skip
    sides = cut[:, 2:] - cut[:, :2]
    share = sides.prod(1) / np.maximum((whole[:, 2:] - whole[:, :2]).prod(1), 1e-9)
    out = BoxRows(
        cut.astype(np.float32), rows.label, rows.distance, np.where(share < 1 / 3, 0.0, rows.visible).astype(np.float32)
    )
    return out[(sides > LEAST_SIDE).all(1)]
