"""2-D boxes of a picture: what of each object is in it, how much of that is visible, how far away it is.

An object's outline is its own mesh, projected; what is visible of it comes from the picture's instances, so occlusion
by houses, hedges and others is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES
from perception_nodes.simulator.camera import CameraImage
from perception_nodes.simulator.scene import ActorState
from perception_nodes.simulator.truth import box_of

NEAR = 0.2  # m along the axis; triangles that reach nearer are left out of the outline
LEAST_PIXELS = 6  # visible ones; an object with fewer has no box
_CLASS = {info.name: i for i, info in enumerate(BOX_CLASSES)}


@dataclass(frozen=True, eq=False)
class PictureBoxes:
    """Boxes of one picture, nearest first. cls int64 [K]: index in BOX_CLASSES · xyxy float32 [K, 4] px: the whole
    object's outline, also where it is hidden, cut at the picture's edges (pixel i covers i to i + 1) · seen float32
    [K, 4] px: what is visible of it · distance float32 [K] m from the camera to the centre of its 3-D box · visibility
    float32 [K], visible share of the outline that lies in the picture, 0..1 · truncated bool [K]: reaches out of the
    picture · track int64 [K]."""

    cls: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    seen: NDArray[np.float32]
    distance: NDArray[np.float32]
    visibility: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    track: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cls)


def picture_boxes(image: CameraImage) -> PictureBoxes:
    """The boxes of what is visible in a picture."""
    pixels = np.bincount(image.instance.ravel(), minlength=1 << 16)
    eye = image.map_from_camera[:3, 3]
    rows: list[tuple] = []
    for actor in image.snapshot.actors:
        count = int(pixels[actor.track_id & 0xFFFF])
        if not actor.box or count < LEAST_PIXELS:
            continue
        outline = _outline(actor, image)
        if outline is None:
            continue
        box, area, truncated = outline
        seen = _extent(image.instance == (actor.track_id & 0xFFFF))
        whole = np.concatenate((np.minimum(box[:2], seen[:2]), np.maximum(box[2:], seen[2:])))
        distance = float(np.linalg.norm(np.asarray(box_of(actor).centre) - eye))
        share = min(1.0, count / max(area, count))
        rows.append((_CLASS[actor.category], whole, seen, distance, share, truncated, actor.track_id))
    rows.sort(key=lambda row: row[3])
    return PictureBoxes(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[3] for row in rows], np.float32),
        np.array([row[4] for row in rows], np.float32),
        np.array([row[5] for row in rows], np.bool_),
        np.array([row[6] for row in rows], np.int64),
    )


def _outline(actor: ActorState, image: CameraImage) -> tuple[NDArray[np.float64], int, bool] | None:
    """(box of the projected mesh, cut at the edges; pixels of its silhouette in the picture; whether it reaches out);
    None where nothing of it lies before the camera and in the picture."""
    import cv2

    spec, mesh = image.camera, actor.shape.mesh
    c, s = np.cos(actor.yaw), np.sin(actor.yaw)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    pose = image.map_from_camera
    local = (mesh.vertices @ turn.T + np.asarray(actor.xyz) - pose[:3, 3]) @ pose[:3, :3]
    triangles = mesh.triangles[(local[mesh.triangles, 2] > NEAR).all(1)]
    if not len(triangles):
        return None
    near = len(triangles) < len(mesh.triangles)
    depth = np.maximum(local[:, 2], NEAR)
    uv = np.stack((spec.fx * local[:, 0] / depth + spec.cx, spec.fy * local[:, 1] / depth + spec.cy), 1)[triangles]
    size = np.array([spec.width, spec.height])
    low, high = uv.min((0, 1)) + 0.5, uv.max((0, 1)) + 0.5  # from pixel centres to edges
    truncated = bool(near or (low < 0).any() or (high > size).any())
    box = np.concatenate((np.clip(low, 0, size), np.clip(high, 0, size)))
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return None
    canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
    corners = np.round((np.clip(uv, -8000, 8000) - (x0, y0)) * 16).astype(np.int32)
    for triangle in corners:
        cv2.fillConvexPoly(canvas, triangle, 1, shift=4)
    return box, int(np.count_nonzero(canvas)), truncated


def _extent(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """x0, y0, x1, y1 of the pixels that are set (at least one)."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
