"""Small pieces of geometry, gathered into one triangle soup.

Every method adds triangles in the shape's base frame (x forward, y left, z up, metres), counter-clockwise seen from
outside where the piece is closed. Shapes are built thousands of times while training, so pieces are plain arrays that
are joined once, in `mesh()`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception_nodes.simulator.scene import Mesh, Surface

RGB = tuple[int, int, int]
GLASS_POROSITY = 0.45  # chance that a beam passes a car's window and meets what is inside

_BOX_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_BOX_TRIANGLES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ],
    np.int32,
)


class MeshBuilder:
    """Gathers pieces that share one point class; `mesh()` joins them."""

    def __init__(self, label: int) -> None:
        self.label = label
        self._vertices: list[NDArray[np.float64]] = []
        self._triangles: list[NDArray[np.int32]] = []
        self._materials: list[tuple[int, Surface, RGB, float, int]] = []
        self._count = 0
        self._finished: list[Mesh] = []

    def add(
        self,
        vertices: ArrayLike,
        triangles: ArrayLike,
        surface: Surface,
        rgb: RGB,
        porosity: float | None = None,
        label: int | None = None,
    ) -> None:
        """Vertices [V, 3] and triangles [T, 3] of one material; car glass lets `GLASS_POROSITY` of the beams pass."""
        v = np.asarray(vertices, np.float64).reshape(-1, 3)
        t = np.asarray(triangles, np.int32).reshape(-1, 3)
        if porosity is None:
            porosity = GLASS_POROSITY if surface == Surface.CAR_GLASS else 0.0
        self._vertices.append(v)
        self._triangles.append(t + np.int32(self._count))
        self._materials.append((len(t), surface, rgb, porosity, self.label if label is None else label))
        self._count += len(v)

    def box(self, centre: ArrayLike, size: ArrayLike, surface: Surface, rgb: RGB, pitch: float = 0.0, **kw) -> None:
        """Box of `size` (x, y, z), leaned back about y by `pitch` (positive: the top goes to -x)."""
        v = _BOX_CORNERS * np.asarray(size, np.float64)
        if pitch:
            c, s = np.cos(pitch), np.sin(pitch)
            v = np.stack([v[:, 0] * c - v[:, 2] * s, v[:, 1], v[:, 0] * s + v[:, 2] * c], 1)
        self.add(v + np.asarray(centre, np.float64), _BOX_TRIANGLES, surface, rgb, **kw)

    def grid(self, points: ArrayLike, surface: Surface, rgb: RGB, **kw) -> None:
        """Sheet through points [R, C, 3]; its front side is along (row step) x (column step)."""
        p = np.asarray(points, np.float64)
        rows, columns = p.shape[:2]
        index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
        a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
        triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
        self.add(p.reshape(-1, 3), triangles, surface, rgb, **kw)

    def quad(self, a, b, c, d, surface: Surface, rgb: RGB, **kw) -> None:
        """Four corners, counter-clockwise seen from the front."""
        self.add([a, b, c, d], [[0, 1, 2], [0, 2, 3]], surface, rgb, **kw)

    def tube(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius: float,
        surface: Surface,
        rgb: RGB,
        end_radius: float | None = None,
        sides: int = 6,
        caps: bool = True,
        **kw,
    ) -> None:
        """Round bar, tapered to `end_radius`, with pointed caps (a third of the radius high) that round limbs off."""
        a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
        axis = b - a
        norm = float(np.sqrt(axis @ axis))
        axis = axis / max(norm, 1e-9)
        helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        u = np.array(
            [
                helper[1] * axis[2] - helper[2] * axis[1],
                helper[2] * axis[0] - helper[0] * axis[2],
                helper[0] * axis[1] - helper[1] * axis[0],
            ]
        )
        u /= np.sqrt(u @ u)
        w = np.array(
            [axis[1] * u[2] - axis[2] * u[1], axis[2] * u[0] - axis[0] * u[2], axis[0] * u[1] - axis[1] * u[0]]
        )
        vertices, triangles = _tube(a, b, axis, u, w, radius, radius if end_radius is None else end_radius, sides, caps)
        self.add(vertices, triangles, surface, rgb, **kw)

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, surface: Surface, rgb: RGB, sides: int = 6, rows: int = 4, **kw
    ) -> None:
        """Ellipsoid with its poles along z."""
        latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[1:-1]
        angle = np.arange(sides) * (2 * np.pi / sides)
        ring = np.stack(
            [
                np.cos(latitude)[:, None] * np.cos(angle),
                np.cos(latitude)[:, None] * np.sin(angle),
                np.broadcast_to(np.sin(latitude)[:, None], (rows - 1, sides)),
            ],
            -1,
        ).reshape(-1, 3)
        vertices = np.concatenate([[[0, 0, -1]], ring, [[0, 0, 1]]]) * np.asarray(radii) + np.asarray(centre)
        self.add(vertices, _ball_triangles(sides, rows), surface, rgb, **kw)

    def wheel(
        self, centre: ArrayLike, radius: float, width: float, rim: RGB = (150, 152, 156), sides: int = 12, **kw
    ) -> None:
        """Tyre with its axis along y and a recessed rim on both faces."""
        angle = np.arange(sides) * (2 * np.pi / sides)
        circle = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], 1)
        half = np.array([0.0, width / 2, 0.0])
        rings = [circle * radius * 0.62 - half * 0.8, circle * radius * 0.97 - half, circle * radius - half * 0.7]
        rings += [circle * radius + half * 0.7, circle * radius * 0.97 + half, circle * radius * 0.62 + half * 0.8]
        tyre = np.stack([np.concatenate([r, r[:1]]) for r in rings])
        self.grid(tyre + np.asarray(centre), Surface.RUBBER, (26, 26, 28), **kw)
        index = np.arange(sides, dtype=np.int32)
        fan = np.stack([np.full(sides, sides, np.int32), index, (index + 1) % sides], 1)
        for ring, y, triangles in ((rings[0], -half * 0.7, fan), (rings[5], half * 0.7, fan[:, ::-1])):
            self.add(np.concatenate([ring, [y]]) + np.asarray(centre), triangles, Surface.METAL, rim, **kw)

    def prism(self, profile: ArrayLike, y0: float, y1: float, surface: Surface, rgb: RGB, **kw) -> None:
        """Convex outline [P, 2] of (x, z), counter-clockwise with x right and z up, drawn out from y0 to y1 > y0."""
        p = np.asarray(profile, np.float64)
        n = len(p)
        near = np.stack([p[:, 0], np.full(n, y0), p[:, 1]], 1)  # seen from -y: x right, z up
        far = near + [0.0, y1 - y0, 0.0]
        index = np.arange(n, dtype=np.int32)
        after = (index + 1) % n
        fan = np.stack([np.zeros(n - 2, np.int32), index[1:-1], index[2:]], 1)
        walls = np.concatenate([np.stack([index, after + n, after], 1), np.stack([index, index + n, after + n], 1)])
        # Seen from -y the near outline is counter-clockwise; the far one is mirrored.
        self.add(np.concatenate([near, far]), np.concatenate([fan, fan[:, ::-1] + n, walls]), surface, rgb, **kw)

    def extend(self, mesh: Mesh) -> None:
        """Adds a finished mesh with its own materials."""
        self._finished.append(mesh)

    def mesh(self) -> Mesh:
        """Everything so far as one mesh."""
        counts = [m[0] for m in self._materials]

        def spread(values: list, dtype) -> NDArray:
            return np.repeat(np.asarray(values, dtype), counts, axis=0)

        own = Mesh(
            np.concatenate(self._vertices).astype(np.float32),
            np.concatenate(self._triangles).astype(np.int32),
            spread([int(m[1]) for m in self._materials], np.uint8),
            spread([m[4] for m in self._materials], np.uint8),
            spread([m[2] for m in self._materials], np.uint8),
            spread([m[3] for m in self._materials], np.float32),
        )
        return Mesh.join([own, *self._finished]) if self._finished else own


def outward(mesh: Mesh, core: ArrayLike) -> Mesh:
    """The same shell with every triangle turned to face away from its nearest point of a core box.

    `core` is ((x0, x1), (y0, y1), (z0, z1)) inside the shell.
    """
    bounds = np.asarray(core, np.float64)
    v = mesh.vertices.astype(np.float64)
    a, b, c = (v[mesh.triangles[:, i]] for i in range(3))
    middle = (a + b + c) / 3
    away = middle - np.clip(middle, bounds[:, 0], bounds[:, 1])
    inward = (np.cross(b - a, c - a) * away).sum(1) < 0
    triangles = np.where(inward[:, None], mesh.triangles[:, ::-1], mesh.triangles)
    return replace(mesh, triangles=np.ascontiguousarray(triangles))


def _tube(a, b, axis, u, w, ra: float, rb: float, sides: int, caps: bool):
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * w
    vertices = [a + ring * ra, b + ring * rb]
    i = np.arange(sides, dtype=np.int32)
    j = (i + 1) % sides
    triangles = [np.stack([i, j, j + sides], 1), np.stack([i, j + sides, i + sides], 1)]
    if caps:
        vertices.append(np.stack([a - axis * (ra / 3), b + axis * (rb / 3)]))
        bottom, top = np.full(sides, 2 * sides, np.int32), np.full(sides, 2 * sides + 1, np.int32)
        triangles += [np.stack([bottom, j, i], 1), np.stack([top, i + sides, j + sides], 1)]
    return np.concatenate(vertices), np.concatenate(triangles)


def _ball_triangles(sides: int, rows: int) -> NDArray[np.int32]:
    i = np.arange(sides, dtype=np.int32)
    j = (i + 1) % sides
    last = 1 + (rows - 2) * sides
    parts = [np.stack([np.zeros(sides, np.int32), 1 + j, 1 + i], 1)]
    for r in range(rows - 2):
        o = 1 + r * sides
        parts += [
            np.stack([o + i, o + j, o + sides + j], 1),
            np.stack([o + i, o + sides + j, o + sides + i], 1),
        ]
    parts.append(np.stack([np.full(sides, last + sides, np.int32), last + i, last + j], 1))
    return np.concatenate(parts)
