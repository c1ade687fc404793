"""Casts a spinning sensor's rays into the static world and the moving actors: closest hits, two levels of trees.

Every column of firings has its own sensor pose and its own moment, at which each actor is moved to where it was then;
so the sweep is distorted by motion as a real one. A ray that meets a porous triangle passes through it or not by a
hash of (seed, ray, triangle): no state, hence the same result at any thread count. Sixteen neighbouring columns
go together (packets.py); ranges of columns start at multiples of sixteen.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.bvh import DEPTH, build_bvh
from perception_nodes.simulator.jit import lean, maker
from perception_nodes.simulator.packets import DX, DY, DZ, LIMIT, OX, OY, OZ, WIDTH, set_direction, trace, trace_actors
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


@lean
def _incidence(corners, i, dx, dy, dz):
    """|cosine| between a unit ray and a triangle's normal."""
    nx = corners[i, 4] * corners[i, 8] - corners[i, 5] * corners[i, 7]
    ny = corners[i, 5] * corners[i, 6] - corners[i, 3] * corners[i, 8]
    nz = corners[i, 3] * corners[i, 7] - corners[i, 4] * corners[i, 6]
    norm = np.sqrt(nx * nx + ny * ny + nz * nz)
    return abs(nx * dx + ny * dy + nz * dz) / norm if norm > np.float32(0.0) else np.float32(0.0)


@lean
def _cosine(packet, k, hit, who, moment, static, actors):
    """|cosine| of incidence of ray k on what it hit (0: nothing)."""
    dx, dy, dz = packet[DX, k], packet[DY, k], packet[DZ, k]
    if hit < 0:
        return np.float32(0.0)
    if who == STATIC:
        return _incidence(static[2], hit, dx, dy, dz)
    way = actors[7]  # an actor's triangles are turned about z: turn the ray instead
    c = way[who, 0, 0] + moment * (way[who, 1, 0] - way[who, 0, 0])
    s = way[who, 0, 1] + moment * (way[who, 1, 1] - way[who, 0, 1])
    return _incidence(actors[2], hit, c * dx + s * dy, c * dy - s * dx, dz)


@lean
def _cast(
    first, last, origins, rotations, moments, rays, heights, limits, seed, static, actors, many,
    distance, triangle, actor, cosine,
    packet, local, found, who, ids, when, mine, placed, since, stack, outer,
):  # fmt: skip
    """`cast_columns` with room for its packets."""
    for start in range(first, last, WIDTH):
        inside = min(WIDTH, last - start)
        for b in range(rays.shape[1]):
            for k in range(WIDTH):
                c = start + min(k, inside - 1)
                h = heights[b]
                x, y, z = rays[c, b, 0], rays[c, b, 1], rays[c, b, 2]
                packet[OX, k] = origins[c, 0] + rotations[c, 0, 2] * h
                packet[OY, k] = origins[c, 1] + rotations[c, 1, 2] * h
                packet[OZ, k] = origins[c, 2] + rotations[c, 2, 2] * h
                set_direction(
                    packet, k,
                    rotations[c, 0, 0] * x + rotations[c, 0, 1] * y + rotations[c, 0, 2] * z,
                    rotations[c, 1, 0] * x + rotations[c, 1, 1] * y + rotations[c, 1, 2] * z,
                    rotations[c, 2, 0] * x + rotations[c, 2, 1] * y + rotations[c, 2, 2] * z,
                )  # fmt: skip
                packet[LIMIT, k] = limits[c, b] if k < inside else np.float32(-1.0)
                found[k], who[k], ids[k], when[k] = -1, STATIC, c * rays.shape[1] + b, moments[c]
            trace(static[0], static[1], static[2], static[3], 0, packet, found, seed, ids, 0, stack)
            if many > 0:
                trace_actors(
                    actors, when, start, packet, local, placed, since, found, mine, who, seed, ids, stack, outer
                )
            for k in range(inside):
                c = start + k
                distance[c, b], triangle[c, b] = packet[LIMIT, k], found[k]
                actor[c, b] = who[k] if found[k] >= 0 else NOTHING
                cosine[c, b] = _cosine(packet, k, found[k], who[k], when[k], static, actors)


@maker
def cast_columns(
    first, last, origins, rotations, moments, rays, heights, limits, seed, static, actors, many,
    distance, triangle, actor, cosine,
):  # fmt: skip
    """Casts the firings of columns `first` (a multiple of WIDTH) to `last`.

    origins float32 [C, 3] and rotations float32 [C, 3, 3] (map from sensor) · moments float32 [C] in 0..1 · rays
    float32 [C, B, 3] unit, sensor frame · heights float32 [B] m of their starts above the origin · limits float32
    [C, B] m · static: a PackedMesh' first four arrays · actors: `instances.Instances.arrays()`, `many` of them. Writes
    distance (m), triangle, actor (STATIC, NOTHING or an index) and cosine of incidence, all [C, B].
    """
    packet, local = np.zeros((10, WIDTH), np.float32), np.zeros((10, WIDTH), np.float32)
    found, who, ids = np.empty(WIDTH, np.int32), np.empty(WIDTH, np.int32), np.empty(WIDTH, np.int64)
    when, mine = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int32)
    placed, since = np.empty((many, 5, WIDTH), np.float32), np.full(many, -1, np.int64)
    stack, outer = np.empty(2 * DEPTH, np.int32), np.empty(2 * DEPTH, np.int32)
    _cast(
        first, last, origins, rotations, moments, rays, heights, limits, seed, static, actors, many,
        distance, triangle, actor, cosine,
        packet, local, found, who, ids, when, mine, placed, since, stack, outer,
    )  # fmt: skip
