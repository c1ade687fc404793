"""Casts a spinning sensor's rays into the static world and the moving actors: closest hits, two levels of trees.

Every column of firings has its own sensor pose and its own moment, at which each actor is moved to where it was then;
so the sweep is distorted by motion as a real one. A ray that meets a porous triangle passes through it or not by a
hash of (seed, ray, triangle): no state, hence the same result at any thread count. Intersection: T. Moeller and
B. Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection", 1997, in float32 (5e-5 m at 400 m).
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import finalize

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception_nodes.simulator.bvh import DEPTH, build_bvh
from perception_nodes.simulator.scene import Mesh

STATIC, NOTHING = -1, -2  # values of `Hits.actor` that are no actor


@dataclass(frozen=True, eq=False)
class PackedMesh:
    """A mesh ready for rays: tree (see bvh.Bvh) and the triangles' corners, porosity,
    surface, label and brightness in leaf order."""

    bounds: NDArray[np.float32]
    meta: NDArray[np.int32]
    corners: NDArray[np.float32]
    porosity: NDArray[np.float32]
    surface: NDArray[np.uint8]
    label: NDArray[np.uint8]
    shade: NDArray[np.float32]  # brightness of the colour, 0..1


def pack(mesh: Mesh) -> PackedMesh:
    """Tree and tables of a mesh."""
    tree = build_bvh(mesh)
    take = tree.order
    shade = (mesh.rgb[take].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)) / np.float32(255)
    return PackedMesh(
        tree.bounds, tree.meta, tree.corners, mesh.porosity[take], mesh.surface[take], mesh.label[take], shade
    )


_packed: dict[int, PackedMesh] = {}  # by id of a living mesh


def packed(mesh: Mesh) -> PackedMesh:
    """Tree and tables of a mesh, kept for as long as the mesh lives."""
    found = _packed.get(id(mesh))
    if found is None:
        found = _packed.setdefault(id(mesh), pack(mesh))
        finalize(mesh, _packed.pop, id(mesh), None)
    return found


@njit(cache=True, nogil=True)
def coin(seed, ray, item):
    """Uniform float32 in [0, 1) from three integers (splitmix64 finaliser)."""
    x = np.uint64(seed) + np.uint64(ray) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(item) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float32(x >> np.uint64(40)) * np.float32(5.9604645e-08)


@njit(cache=True, nogil=True, error_model="numpy")
def _enter(box, ox, oy, oz, ix, iy, iz, limit):
    """Distance at which a ray enters the box, or infinity where it misses it before `limit`."""
    ax, bx = (box[0] - ox) * ix, (box[3] - ox) * ix
    ay, by = (box[1] - oy) * iy, (box[4] - oy) * iy
    az, bz = (box[2] - oz) * iz, (box[5] - oz) * iz
    near = max(max(min(ax, bx), min(ay, by)), max(min(az, bz), np.float32(0.0)))
    far = min(min(max(ax, bx), max(ay, by)), min(max(az, bz), limit))
    # the slab test may round the wrong way on flat boxes; a hair of slack keeps every hit
    return near if near <= far * np.float32(1.000001) else np.float32(np.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def _inverse(d):
    tiny = np.float32(1e-12)
    if abs(d) < tiny:
        return np.float32(1e12) if d >= np.float32(0.0) else np.float32(-1e12)
    return np.float32(1.0) / d


@njit(cache=True, nogil=True, error_model="numpy")
def _triangle(tri, ox, oy, oz, dx, dy, dz, limit):
    """Distance to one triangle (two-sided), or infinity."""
    miss = np.float32(np.inf)
    e1x, e1y, e1z, e2x, e2y, e2z = tri[3], tri[4], tri[5], tri[6], tri[7], tri[8]
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    det = e1x * px + e1y * py + e1z * pz
    if det == np.float32(0.0):
        return miss
    inv = np.float32(1.0) / det
    sx, sy, sz = ox - tri[0], oy - tri[1], oz - tri[2]
    u = (sx * px + sy * py + sz * pz) * inv
    slack = np.float32(1e-5)
    if u < -slack or u > np.float32(1.0) + slack:
        return miss
    qx, qy, qz = sy * e1z - sz * e1y, sz * e1x - sx * e1z, sx * e1y - sy * e1x
    v = (dx * qx + dy * qy + dz * qz) * inv
    if v < -slack or u + v > np.float32(1.0) + slack:
        return miss
    t = (e2x * qx + e2y * qy + e2z * qz) * inv
    return t if np.float32(1e-4) < t < limit else miss


@njit(cache=True, nogil=True, error_model="numpy")
def trace(bounds, meta, corners, porosity, root, ox, oy, oz, dx, dy, dz, limit, seed, ray, salt, nodes, entries):
    """(distance, triangle) of the closest hit nearer than `limit`, else (limit, -1). `salt`
    is added to a triangle's number for its coin. `nodes` int32 and `entries` float32 [DEPTH]: this thread's stack."""
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    best = -1
    if _enter(bounds[root], ox, oy, oz, ix, iy, iz, limit) == np.float32(np.inf):
        return limit, best
    node, top = root, 0
    while True:
        first, count = meta[node, 0], meta[node, 1]
        if count == 0 and node != first:
            left = _enter(bounds[first], ox, oy, oz, ix, iy, iz, limit)
            right = _enter(bounds[first + 1], ox, oy, oz, ix, iy, iz, limit)
            near, far, far_entry = first, first + 1, right
            if right < left:
                near, far, far_entry, left = first + 1, first, left, right
            if left < limit:
                if far_entry < limit:
                    nodes[top], entries[top] = far, far_entry
                    top += 1
                node = near
                continue
        else:
            for i in range(first, first + count):
                t = _triangle(corners[i], ox, oy, oz, dx, dy, dz, limit)
                if t < limit and (porosity[i] == np.float32(0.0) or coin(seed, ray, i + salt) >= porosity[i]):
                    limit, best = t, i
        while top > 0 and entries[top - 1] >= limit:
            top -= 1
        if top == 0:
            return limit, best
        top -= 1
        node = nodes[top]


@njit(cache=True, nogil=True, error_model="numpy")
def _trace_actors(actors, moment, ox, oy, oz, dx, dy, dz, limit, seed, ray, nodes, entries, outer):
    """(distance, triangle, actor) of the closest hit on an actor at `moment` (0 start of the step, 1 its end)."""
    bounds, meta, corners, porosity, root, salt, position, heading, tops, top_meta, leaf = actors
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    best, who = -1, NOTHING
    outer[0] = 0
    top = 1
    one = np.float32(1.0)
    while top > 0:
        top -= 1
        node = outer[top]
        if _enter(tops[node], ox, oy, oz, ix, iy, iz, limit) == np.float32(np.inf):
            continue
        first, count = top_meta[node, 0], top_meta[node, 1]
        if count == 0:
            outer[top], outer[top + 1] = first + 1, first
            top += 2
            continue
        for place in range(first, first + count):
            a = leaf[place]
            c = heading[a, 0, 0] + moment * (heading[a, 1, 0] - heading[a, 0, 0])
            s = heading[a, 0, 1] + moment * (heading[a, 1, 1] - heading[a, 0, 1])
            norm = one / np.sqrt(c * c + s * s)
            c, s = c * norm, s * norm
            x = ox - (position[a, 0, 0] + moment * (position[a, 1, 0] - position[a, 0, 0]))
            y = oy - (position[a, 0, 1] + moment * (position[a, 1, 1] - position[a, 0, 1]))
            z = oz - (position[a, 0, 2] + moment * (position[a, 1, 2] - position[a, 0, 2]))
            t, hit = trace(
                bounds, meta, corners, porosity, root[a], c * x + s * y, c * y - s * x, z,
                c * dx + s * dy, c * dy - s * dx, dz, limit, seed, ray, salt[a], nodes, entries,
            )  # fmt: skip
            if hit >= 0:
                limit, best, who = t, hit, a
    return limit, best, who


@njit(cache=True, nogil=True, error_model="numpy")
def _incidence(tri, dx, dy, dz):
    """|cosine| between a unit ray and a triangle's normal."""
    nx = tri[4] * tri[8] - tri[5] * tri[7]
    ny = tri[5] * tri[6] - tri[3] * tri[8]
    nz = tri[3] * tri[7] - tri[4] * tri[6]
    norm = np.sqrt(nx * nx + ny * ny + nz * nz)
    return abs(nx * dx + ny * dy + nz * dz) / norm if norm > np.float32(0.0) else np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def cast_columns(
    first, last, origins, rotations, moments, rays, heights, limits, seed, static, actors, many,
    distance, triangle, actor, cosine,
):  # fmt: skip
    """Casts the firings of columns `first` to `last`.

    origins float32 [C, 3] and rotations float32 [C, 3, 3] (map from sensor) · moments float32 [C] in 0..1 · rays
    float32 [C, B, 3] unit, sensor frame · heights float32 [B] m of their starts above the origin · limits float32
    [C, B] m · static: a PackedMesh' first four arrays · actors: `instances.Instances.arrays()`, `many` of them. Writes
    distance (m), triangle, actor (STATIC, NOTHING or an index) and cosine of incidence, all [C, B].
    """
    bounds, meta, corners, porosity = static
    nodes, entries = np.empty(DEPTH, np.int32), np.empty(DEPTH, np.float32)
    outer = np.empty(DEPTH, np.int32)
    for c in range(first, last):
        m = rotations[c]
        for b in range(rays.shape[1]):
            h = heights[b]
            ox, oy, oz = origins[c, 0] + m[0, 2] * h, origins[c, 1] + m[1, 2] * h, origins[c, 2] + m[2, 2] * h
            x, y, z = rays[c, b, 0], rays[c, b, 1], rays[c, b, 2]
            dx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
            dy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
            dz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
            ray = c * rays.shape[1] + b
            t, hit = trace(
                bounds, meta, corners, porosity, 0, ox, oy, oz, dx, dy, dz, limits[c, b], seed, ray, 0, nodes, entries
            )
            who = STATIC if hit >= 0 else NOTHING
            if many > 0:
                nearer, other, index = _trace_actors(
                    actors, moments[c], ox, oy, oz, dx, dy, dz, t, seed, ray, nodes, entries, outer
                )
                if other >= 0:
                    t, hit, who = nearer, other, index
            distance[c, b], triangle[c, b], actor[c, b] = t, hit, who
            if who == STATIC:
                cosine[c, b] = _incidence(corners[hit], dx, dy, dz)
            elif who >= 0:
                # an actor's triangles are turned about z: turn the ray instead
                way = actors[7]
                cy = way[who, 0, 0] + moments[c] * (way[who, 1, 0] - way[who, 0, 0])
                sy = way[who, 0, 1] + moments[c] * (way[who, 1, 1] - way[who, 0, 1])
                cosine[c, b] = _incidence(actors[2][hit], cy * dx + sy * dy, cy * dy - sy * dx, dz)
            else:
                cosine[c, b] = 0.0
