"""Triangles as the renderer wants them: flat corner arrays, smoothed corner normals, clusters for culling.

The static world comes first, shapes of actors follow as they are met; an object is a range of triangles and a pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import kernel
from perception_nodes.simulator.scene import Mesh, Surface

CLUSTER = 64  # static triangles per culling cluster
CREASE_COS = 0.72  # normals are averaged over neighbours that turn less than about 44 degrees


class Geometry(NamedTuple):
    """Per triangle: corners and corner normals float32 [T, 3, 3] in the object's frame, surface and label uint8 [T],
    colour float32 [T, 3] linear light 0..1, porosity float32 [T]."""

    corners: NDArray[np.float32]
    normals: NDArray[np.float32]
    surface: NDArray[np.uint8]
    label: NDArray[np.uint8]
    colour: NDArray[np.float32]
    porosity: NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A range of triangles with bounds: `clusters` int32 [C, 2] (start, stop), `spheres` float64 [C, 4] (x y z r)."""

    clusters: NDArray[np.int32]
    spheres: NDArray[np.float64]


LINEAR = (((np.arange(256) / 255.0 + 0.055) / 1.055) ** 2.4).astype(np.float32)
LINEAR[:11] = np.arange(11, dtype=np.float32) / 255.0 / 12.92


@kernel
def _flat_normals(corners, out):
    for t in range(len(corners)):
        ax = corners[t, 1, 0] - corners[t, 0, 0]
        ay = corners[t, 1, 1] - corners[t, 0, 1]
        az = corners[t, 1, 2] - corners[t, 0, 2]
        bx = corners[t, 2, 0] - corners[t, 0, 0]
        by = corners[t, 2, 1] - corners[t, 0, 1]
        bz = corners[t, 2, 2] - corners[t, 0, 2]
        out[t, 0] = ay * bz - az * by
        out[t, 1] = az * bx - ax * bz
        out[t, 2] = ax * by - ay * bx


@kernel
def _smooth(weld, first, order, area_normals, surface, crease, out):
    """Corner normals: the area-weighted mean over triangles of one surface that meet at the corner under the crease."""
    for t in range(len(area_normals)):
        n = area_normals[t]
        size = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-20
        for k in range(3):
            w = weld[t * 3 + k]
            sx = 0.0
            sy = 0.0
            sz = 0.0
            for j in range(first[w], first[w + 1]):
                o = order[j] // 3
                if surface[o] != surface[t]:
                    continue
                m = area_normals[o]
                dot = n[0] * m[0] + n[1] * m[1] + n[2] * m[2]
                if dot >= crease * size * np.sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]):
                    sx += m[0]
                    sy += m[1]
                    sz += m[2]
            length = np.sqrt(sx * sx + sy * sy + sz * sz)
            if length < 1e-20:
                sx, sy, sz, length = n[0], n[1], n[2], size
            out[t, k, 0] = sx / length
            out[t, k, 1] = sy / length
            out[t, k, 2] = sz / length


def _corner_normals(corners: NDArray[np.float32], surface: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Corners within a millimetre are one vertex."""
    flat = np.empty((len(corners), 3), np.float32)
    _flat_normals(corners, flat)
    grid = np.rint(corners.reshape(-1, 3).astype(np.float64) * 1000).astype(np.int64)
    key = (grid[:, 0] * 73856093) ^ (grid[:, 1] * 19349663) ^ (grid[:, 2] * 83492791)
    order = np.argsort(key, kind="stable")
    ranks = np.concatenate([[0], np.cumsum(np.diff(key[order]) != 0)]) if len(order) else np.zeros(0, np.int64)
    weld = np.empty(len(order), np.int32)
    weld[order] = ranks
    first = np.searchsorted(ranks, np.arange((ranks[-1] + 2) if len(order) else 1)).astype(np.int32)
    out = np.empty_like(corners)
    _smooth(weld, first, order.astype(np.int32), flat, surface, CREASE_COS, out)
    return out


def _bounds(corners: NDArray[np.float32], clusters: NDArray[np.int32]) -> NDArray[np.float64]:
    starts = clusters[:, 0]
    low = np.minimum.reduceat(corners.min(1), starts, axis=0)
    high = np.maximum.reduceat(corners.max(1), starts, axis=0)
    centre = (low.astype(np.float64) + high) / 2
    return np.concatenate([centre, np.linalg.norm(high - centre, axis=1, keepdims=True)], 1)


def _spatial_order(corners: NDArray[np.float32]) -> NDArray[np.int64]:
    """Triangles sorted along a Morton curve of 8 m cells, so that neighbours share a cluster."""
    centre = corners.mean(1)
    cell = np.floor((centre[:, :2] - centre[:, :2].min(0)) / 8.0).astype(np.int64)
    code = np.zeros(len(cell), np.int64)
    for bit in range(10):
        code |= ((cell[:, 0] >> bit) & 1) << (2 * bit) | ((cell[:, 1] >> bit) & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable")


def prepare(mesh: Mesh, *, spatial: bool) -> tuple[Geometry, Part]:
    """A mesh's triangles with corner normals; `spatial` sorts them and cuts them into clusters, else it is one."""
    corners = np.ascontiguousarray(mesh.vertices[mesh.triangles], np.float32)
    surface, label, rgb, porosity = mesh.surface, mesh.label, mesh.rgb, mesh.porosity
    if spatial and len(corners):
        order = _spatial_order(corners)
        corners, surface, label = corners[order], surface[order], label[order]
        rgb, porosity = rgb[order], porosity[order]
    normals = _corner_normals(corners, surface)
    pane = (surface == Surface.GLASS) | (
        surface == Surface.CAR_GLASS
    )  # beams pass, but the camera draws its reflections
    porosity = np.where(pane, 0.0, porosity).astype(np.float32)
    geometry = Geometry(corners, normals, surface, label, LINEAR[rgb], porosity)
    n = len(corners)
    if n == 0:
        return geometry, Part(np.zeros((0, 2), np.int32), np.zeros((0, 4)))
    step = CLUSTER if spatial else n
    starts = np.arange(0, n, step)
    clusters = np.stack([starts, np.minimum(starts + step, n)], 1).astype(np.int32)
    return geometry, Part(clusters, _bounds(corners, clusters))


class Library:
    """All triangles met so far in one set of arrays, growing by doubling. Not thread-safe: the renderer guards it."""

    def __init__(self, world: Mesh) -> None:
        geometry, self.world = prepare(world, spatial=True)
        self._used = len(geometry.corners)
        self._world_size = self._used
        self._full = geometry
        self._parts: dict[int, tuple[object, Part, NDArray[np.float32]]] = {}

    @property
    def geometry(self) -> Geometry:
        """The arrays, possibly with unused room at the end."""
        return self._full

    def part(self, shape) -> tuple[Part, NDArray[np.float32]]:
        """The part and the lamps of an actor's shape, added at its first use. Lamps: float32 [L, 4], x y z and
        surface (HEADLIGHT or TAILLIGHT), one row for each side of the vehicle."""
        known = self._parts.get(id(shape))
        if known is None:
            geometry, part = prepare(shape.mesh, spatial=False)
            part = Part(part.clusters + np.int32(self._used), part.spheres)
            self._append(geometry)
            known = (shape, part, _lamps(geometry))  # holding the shape keeps its id its own
            self._parts[id(shape)] = known
        return known[1], known[2]

    def forget_unused(self, keep: set[int], limit: int) -> None:
        """Drops all shapes when more than `limit` are held that `keep` (ids) does not name: memory stays bounded."""
        if len(self._parts) - len(keep) > limit:
            self._parts.clear()
            self._used = self._world_size
            f, n = self._full, self._used  # a copy of the ends only: others may still read the old arrays
            self._full = Geometry(
                f.corners[:n], f.normals[:n], f.surface[:n], f.label[:n], f.colour[:n], f.porosity[:n]
            )

    def _append(self, new: Geometry) -> None:
        need = self._used + len(new.corners)
        if need > len(self._full.corners):
            size = max(need, self._used + 20_000, int(1.5 * self._used))
            grown: list[Any] = []
            for old in self._full:
                room = np.zeros((size, *old.shape[1:]), old.dtype)
                room[: self._used] = old[: self._used]
                grown.append(room)
            self._full = Geometry(*grown)
        store: Any
        for store, values in zip(self._full, new):
            store[self._used : need] = values
        self._used = need


def _lamps(geometry: Geometry) -> NDArray[np.float32]:
    rows = []
    for surface in (Surface.HEADLIGHT, Surface.TAILLIGHT):
        centre = geometry.corners[geometry.surface == surface].mean(1)
        for side in (centre[:, 1] > 0.05, centre[:, 1] < -0.05, np.abs(centre[:, 1]) <= 0.05):
            if side.any():
                rows.append([*centre[side].mean(0), float(surface)])
    return np.array(rows, np.float32).reshape(-1, 4)
