"""The outline of a 3-D box in a camera's picture: the picture of its eight corners, cut off behind the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.rigs import CameraSpec
from perception_nodes.simulator.truth import Box

NEAR = 0.3  # m; corners nearer than this are drawn onto this plane
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


@dataclass(frozen=True, eq=False)
class Outline:
    """box float32 [4]: x1, y1, x2, y2 px around the outline, clipped to the picture · whole float64 [4]: not clipped ·
    cut: part of it is outside the picture · area px² of the outline inside the picture · distance m of the box's centre
    from the camera."""

    box: NDArray[np.float32]
    whole: NDArray[np.float64]
    cut: bool
    area: float
    distance: float

    def visible(self, pixels: int, fill: float) -> float:
        """About which share of the object is seen, 0..1, where `pixels` of it are.

        fill: share of its outline that the whole object fills.
        """
        return min(1.0, pixels / max(fill * self.area, 1.0))


def outline_of(box: Box, world_from_camera: NDArray[np.float64], camera: CameraSpec) -> Outline | None:
    """The outline of a box in the picture; None where it is behind the camera, or less than a pixel of it is inside.

    world_from_camera: pose of the optical frame in the box's frame.
    """
    import cv2

    points = projected(box.corners(), world_from_camera, camera)
    if points is None:
        return None
    low, high, edge = points.min(0), points.max(0), np.array([camera.width, camera.height])
    inside = np.concatenate([low.clip(0, edge), high.clip(0, edge)]).astype(np.float32)
    if inside[2] - inside[0] < 1.0 or inside[3] - inside[1] < 1.0:
        return None
    hull = cv2.convexHull(points.astype(np.float32))
    frame = np.array([[0, 0], [edge[0], 0], edge, [0, edge[1]]], np.float32)
    area = float(cv2.intersectConvexConvex(hull, frame)[0])
    cut = bool((low < 0).any() or (high > edge).any())
    distance = float(np.linalg.norm(np.array(box.centre) - world_from_camera[:3, 3]))
    return Outline(inside, np.concatenate([low, high]), cut, area, distance)


def projected(
    corners: NDArray[np.float64], map_from_camera: NDArray[np.float64], camera: CameraSpec
) -> NDArray[np.float64] | None:
    """Pixels float64 [K, 2] of a 3D box's outline: its corners (float64 [8, 3], map) in front of the camera and the
    points where its edges meet the near plane; None where all of it is behind."""
    local = (corners - map_from_camera[:3, 3]) @ map_from_camera[:3, :3]
    front = local[:, 2] > NEAR
    if not front.any():
        return None
    points = [local[front]]
    for a, b in EDGES:
        if front[a] != front[b]:
            along = (NEAR - local[a, 2]) / (local[b, 2] - local[a, 2])
            points.append((local[a] + along * (local[b] - local[a]))[None])
    xyz = np.concatenate(points)
    u = camera.fx * xyz[:, 0] / xyz[:, 2] + camera.cx
    v = camera.fy * xyz[:, 1] / xyz[:, 2] + camera.cy
    return np.clip(np.column_stack([u, v]), -1e5, 1e5)
