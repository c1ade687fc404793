"""Collect triangles into one mesh: strips, quads, grids and many moved copies of a template, without Python loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE, point_class
from perception_nodes.simulator.scene import Mesh, Surface

ROAD = point_class("road")
PARKING = point_class("parking")
SIDEWALK = point_class("sidewalk")
OTHER_GROUND = point_class("other-ground")
BUILDING = point_class("building")
FENCE = point_class("fence")
VEGETATION = point_class("vegetation")
TRUNK = point_class("trunk")
TERRAIN = point_class("terrain")
POLE = point_class("pole")
TRAFFIC_SIGN = point_class("traffic-sign")
CLUTTER = IGNORE

MIN_AREA = 1e-7  # m², triangles below are dropped


class Soup:
    """Growing list of meshes with helpers; `mesh()` joins them and drops triangles without area."""

    def __init__(self) -> None:
        self.parts: list[Mesh] = []

    def add(self, vertices, triangles, surface: Surface, label: int = IGNORE, rgb=(128, 128, 128), porosity=0.0):
        """Append triangles; rgb [3] or [T, 3], porosity scalar."""
        self.parts.append(Mesh.build(vertices, triangles, surface, label, rgb, porosity))

    def quads(self, corners, surface: Surface, label: int = IGNORE, rgb=(128, 128, 128), porosity: float = 0.0):
        """Append quads [Q, 4, 3] (counter-clockwise seen from outside); rgb [3] or [Q, 3]."""
        corners = np.asarray(corners, np.float64).reshape(-1, 4, 3)
        n = len(corners)
        if n == 0:
            return
        rgb = np.asarray(rgb, np.uint8)
        if rgb.ndim == 2:
            rgb = np.repeat(rgb, 2, axis=0)
        base = 4 * np.arange(n)[:, None]
        triangles = np.concatenate([base + [0, 1, 2], base + [0, 2, 3]], 1).reshape(-1, 3)
        self.add(corners.reshape(-1, 3), triangles, surface, label, rgb, porosity)

    def grid(self, points, surface: Surface, label: int = IGNORE, rgb=(128, 128, 128), porosity: float = 0.0):
        """Append a grid of points [R, C, 3]; faces look up if columns go to the left of the direction of rows."""
        points = np.asarray(points, np.float64)
        rows, columns = points.shape[:2]
        self.add(points.reshape(-1, 3), grid_triangles(rows, columns), surface, label, rgb, porosity)

    def copies(self, template: Mesh, xyz, yaw=0.0, scale=1.0, rgb=None) -> None:
        """Append a template at N places: xyz [N, 3], yaw scalar or [N], scale scalar, [N] or [N, 3]; rgb [N, 3] to
        repaint each copy."""
        xyz = np.asarray(xyz, np.float64).reshape(-1, 3)
        n, v, t = len(xyz), len(template.vertices), len(template.triangles)
        if n == 0 or t == 0:
            return
        scale = np.asarray(scale, np.float64)
        scale = np.broadcast_to(scale[:, None] if scale.ndim == 1 and len(scale) == n else scale, (n, 3))
        yaw = np.broadcast_to(np.asarray(yaw, np.float64), (n,))
        local = template.vertices[None].astype(np.float64) * scale[:, None]
        c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
        turned = np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]], -1)
        vertices = np.concatenate([turned, local[..., 2:]], -1) + xyz[:, None]
        triangles = template.triangles[None] + (v * np.arange(n, dtype=np.int32))[:, None, None]
        colours = np.tile(template.rgb, (n, 1)) if rgb is None else np.repeat(np.asarray(rgb, np.uint8), t, axis=0)
        self.parts.append(
            Mesh(
                vertices.reshape(-1, 3).astype(np.float32),
                triangles.reshape(-1, 3).astype(np.int32),
                np.tile(template.surface, n),
                np.tile(template.label, n),
                colours,
                np.tile(template.porosity, n),
            )
        )

    def mesh(self) -> Mesh:
        """Everything as one mesh, without triangles of (almost) no area."""
        joined = Mesh.join(self.parts)
        a, b, c = (joined.vertices[joined.triangles[:, i]].astype(np.float64) for i in range(3))
        keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 2 * MIN_AREA
        return Mesh(
            joined.vertices,
            joined.triangles[keep],
            joined.surface[keep],
            joined.label[keep],
            joined.rgb[keep],
            joined.porosity[keep],
        )


def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Triangles [2 (R-1) (C-1), 3] of a row-major grid of R x C points."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (r * columns + c).ravel()
    b, d, e = a + columns, a + 1, a + columns + 1
    return np.stack([a, b, e, a, e, d], 1).reshape(-1, 3).astype(np.int32)


def box_quads(low, high, bottom: bool = False) -> NDArray[np.float64]:
    """Faces of an axis-aligned box as quads [5 or 6, 4, 3], looking outwards: 4 walls, top (, bottom)."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    faces = [
        [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
        [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
        [(x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)],
        [(x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)],
        [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
    ]
    if bottom:
        faces.append([(x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)])
    return np.array(faces, np.float64)


def tube(path, radii, sides: int = 6) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices and triangles of a tube along path [P, 3] (mostly upwards or sideways) with radius per point."""
    path, radii = np.asarray(path, np.float64), np.asarray(radii, np.float64)
    along = path[-1] - path[0]
    along /= np.linalg.norm(along)
    helper = np.array([1.0, 0, 0]) if abs(along[0]) < 0.9 else np.array([0, 1.0, 0])
    side = np.cross(along, helper)
    side /= np.linalg.norm(side)
    up = np.cross(along, side)
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up
    points = path[:, None] + radii[:, None, None] * ring[None]
    return points.reshape(-1, 3), grid_triangles(len(path), sides + 1)[:, ::-1]
