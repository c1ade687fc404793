"""Closest hits of sixteen neighbouring rays at once.

A packet is float32 [10, 16]: origin xyz, direction xyz, 1 / direction, and the distance beyond which a hit does not
count, which falls as hits are found. Every ray gets the same bits as it would alone. Source: I. Wald et al.,
"Interactive Rendering with Coherent Ray Tracing", 2001; triangles: T. Moeller and B. Trumbore, 1997, in float32 (5e-5 m
at 400 m).
"""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.jit import lean
from perception_nodes.simulator.simd import LANES, boxes_met, triangles_met

WIDTH = LANES
OX, OY, OZ, DX, DY, DZ, IX, IY, IZ, LIMIT = range(10)


@lean
def coin(seed, ray, item):
    """Uniform float32 in [0, 1) from three integers (splitmix64 finaliser)."""
    x = np.uint64(seed) + np.uint64(ray) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(item) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float32(x >> np.uint64(40)) * np.float32(5.9604645e-08)


@lean
def set_direction(packet, k, x, y, z):
    """Direction of ray k and its inverse (never infinite)."""
    packet[DX, k], packet[DY, k], packet[DZ, k] = x, y, z
    tiny = np.float32(1e-12)
    one = np.float32(1.0)
    packet[IX, k] = one / (x if abs(x) > tiny else tiny)
    packet[IY, k] = one / (y if abs(y) > tiny else tiny)
    packet[IZ, k] = one / (z if abs(z) > tiny else tiny)


@lean
def _meets_box(packet, bounds, node):
    """Mask of the rays that meet a node's box. (Rows are indexed, never sliced: a slice costs two atomic counts.)"""
    return boxes_met(
        packet,
        bounds[node, 0], bounds[node, 1], bounds[node, 2],
        bounds[node, 3], bounds[node, 4], bounds[node, 5],
    )  # fmt: skip


@lean
def _left_first(bounds, first, dx, dy, dz):
    """Does a ray come to the left one of two children (`first` and the next node) first?"""
    x = bounds[first, 0] + bounds[first, 3] - bounds[first + 1, 0] - bounds[first + 1, 3]
    y = bounds[first, 1] + bounds[first, 4] - bounds[first + 1, 1] - bounds[first + 1, 4]
    z = bounds[first, 2] + bounds[first, 5] - bounds[first + 1, 2] - bounds[first + 1, 5]
    return x * dx + y * dy + z * dz < np.float32(0.0)


@lean
def _distance(packet, k, corners, i):
    """Distance of ray k to the triangle, or infinity: the same arithmetic as `triangles_met`."""
    slack = np.float32(1e-5)
    one = np.float32(1.0)
    e1x, e1y, e1z = corners[i, 3], corners[i, 4], corners[i, 5]
    e2x, e2y, e2z = corners[i, 6], corners[i, 7], corners[i, 8]
    dx, dy, dz = packet[DX, k], packet[DY, k], packet[DZ, k]
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    inv = one / (e1x * px + e1y * py + e1z * pz)
    sx, sy, sz = packet[OX, k] - corners[i, 0], packet[OY, k] - corners[i, 1], packet[OZ, k] - corners[i, 2]
    u = (sx * px + sy * py + sz * pz) * inv
    qx, qy, qz = sy * e1z - sz * e1y, sz * e1x - sx * e1z, sx * e1y - sy * e1x
    v = (dx * qx + dy * qy + dz * qz) * inv
    t = (e2x * qx + e2y * qy + e2z * qz) * inv
    inside = (u >= -slack) & (v >= -slack) & (u + v <= one + slack)
    return t if inside & (t > np.float32(1e-4)) & (t < packet[LIMIT, k]) else np.float32(np.inf)


@lean
def trace(bounds, meta, corners, porosity, root, packet, found, seed, rays, salt, stack):
    """Lowers the packet's limits to the closest hits in the tree at `root` and writes their triangles to `found` (int32
    [16]; left alone where nothing is nearer). A ray passes through a porous triangle where coin(seed, rays[k], triangle
    + salt) says so. `stack` int32 [2 DEPTH]. Gives whether anything was hit."""
    stack[0] = root
    top = 1
    any_hit = False
    middle = WIDTH // 2
    dx, dy, dz = packet[DX, middle], packet[DY, middle], packet[DZ, middle]
    while top > 0:
        top -= 1
        node = stack[top]
        if _meets_box(packet, bounds, node) == 0:
            continue
        first, count = meta[node, 0], meta[node, 1]
        if count == 0:
            if first == node:  # an empty mesh
                continue
            left_first = _left_first(bounds, first, dx, dy, dz)
            stack[top] = first + 1 if left_first else first
            stack[top + 1] = first if left_first else first + 1
            top += 2
            continue
        for i in range(first, first + count):
            met = triangles_met(
                packet,
                corners[i, 0], corners[i, 1], corners[i, 2],
                corners[i, 3], corners[i, 4], corners[i, 5],
                corners[i, 6], corners[i, 7], corners[i, 8],
            )  # fmt: skip
            if met == 0:
                continue
            for k in range(WIDTH):
                if (met >> k) & 1 == 0:
                    continue
                t = _distance(packet, k, corners, i)
                if t < packet[LIMIT, k] and (
                    porosity[i] == np.float32(0.0) or coin(seed, rays[k], i + salt) >= porosity[i]
                ):
                    packet[LIMIT, k] = t
                    found[k] = i
                    any_hit = True
    return any_hit


@lean
def _place(actors, a, moments, placed):
    """Where actor `a` is at each ray's moment: cos, sin of its yaw and x, y, z into `placed[a]` float32 [5, 16]."""
    position, heading = actors[6], actors[7]
    one = np.float32(1.0)
    for k in range(WIDTH):
        m = moments[k]
        c = heading[a, 0, 0] + m * (heading[a, 1, 0] - heading[a, 0, 0])
        s = heading[a, 0, 1] + m * (heading[a, 1, 1] - heading[a, 0, 1])
        norm = one / np.sqrt(c * c + s * s)
        placed[a, 0, k], placed[a, 1, k] = c * norm, s * norm
        placed[a, 2, k] = position[a, 0, 0] + m * (position[a, 1, 0] - position[a, 0, 0])
        placed[a, 3, k] = position[a, 0, 1] + m * (position[a, 1, 1] - position[a, 0, 1])
        placed[a, 4, k] = position[a, 0, 2] + m * (position[a, 1, 2] - position[a, 0, 2])


@lean
def _into_actor(packet, placed, a, local):
    """The packet as actor `a` sees it."""
    tiny, one = np.float32(1e-12), np.float32(1.0)
    for k in range(WIDTH):
        c, s = placed[a, 0, k], placed[a, 1, k]
        x, y = packet[OX, k] - placed[a, 2, k], packet[OY, k] - placed[a, 3, k]
        local[OX, k], local[OY, k], local[OZ, k] = c * x + s * y, c * y - s * x, packet[OZ, k] - placed[a, 4, k]
        dx, dy = packet[DX, k], packet[DY, k]
        lx, ly = c * dx + s * dy, c * dy - s * dx
        local[DX, k], local[DY, k], local[DZ, k] = lx, ly, packet[DZ, k]
        local[IX, k] = one / (lx if abs(lx) > tiny else tiny)
        local[IY, k] = one / (ly if abs(ly) > tiny else tiny)
        local[IZ, k], local[LIMIT, k] = packet[IZ, k], packet[LIMIT, k]


@lean
def trace_actors(actors, moments, group, packet, local, placed, since, found, mine, who, seed, rays, stack, outer):
    """The same for the moving actors (`instances.Instances.arrays()`), each where it is at the ray's moment (float32
    [16], 0 start of the sweep, 1 its end); writes their numbers to `who` int32 [16].

    `local` is a spare packet, `mine` a spare int32 [16]. Rays of one `group` share their moments: actors are placed
    once for each into `placed` float32 [A, 5, 16], and `since` int64 [A] holds the group for which they were.
    """
    bounds, meta, corners, porosity, root, salt = actors[0], actors[1], actors[2], actors[3], actors[4], actors[5]
    tops, top_meta, leaf = actors[8], actors[9], actors[10]
    outer[0] = 0
    top = 1
    while top > 0:
        top -= 1
        node = outer[top]
        if _meets_box(packet, tops, node) == 0:
            continue
        first, count = top_meta[node, 0], top_meta[node, 1]
        if count == 0:
            left_first = _left_first(tops, first, packet[DX, 0], packet[DY, 0], packet[DZ, 0])
            outer[top] = first + 1 if left_first else first
            outer[top + 1] = first if left_first else first + 1
            top += 2
            continue
        for place in range(first, first + count):
            a = leaf[place]
            if since[a] != group:
                _place(actors, a, moments, placed)
                since[a] = group
            _into_actor(packet, placed, a, local)
            for k in range(WIDTH):
                mine[k] = -1
            if trace(bounds, meta, corners, porosity, root[a], local, mine, seed, rays, salt[a], stack):
                for k in range(WIDTH):
                    if mine[k] >= 0:
                        packet[LIMIT, k], found[k], who[k] = local[LIMIT, k], mine[k], a
