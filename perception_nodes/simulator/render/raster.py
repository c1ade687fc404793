"""Visibility buffer: which triangle is nearest along each pixel's ray, and at which inverse depth.

Triangles are clipped at the near plane, projected, and scan-converted row by row with half-open spans between edges
whose ends are sorted by height, so that neighbours that share an edge leave no gap and no overlap. Inverse depth is
linear on the image (perspective-correct). Rows are independent: bands may run in any thread with the same bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, kernel, maker
from perception_nodes.simulator.render.noise import floor_int, hash3
from perception_nodes.simulator.scene import Surface

NEAR = 0.08  # m
_RAILING = int(Surface.RAILING)
_LEAVES = int(Surface.LEAVES)


class View(NamedTuple):
    """A pinhole camera. `turn` float64 [3, 3] takes optical axes (x right, y down, z forward) to map; `eye` float64 [3]
    is its position in map, m; focal lengths and centre in pixels of the image that is drawn (pixel 0 centred on 0)."""

    eye: NDArray[np.float64]
    turn: NDArray[np.float64]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class Objects(NamedTuple):
    """What is drawn: triangle ranges int32 [O, 2] with bounding spheres float64 [O, 4] (object frame), and the pose of
    each: float64 [O, 3, 4] map_from_object; `number` int32 [O] indexes the actors (0 = static world)."""

    ranges: NDArray[np.int32]
    spheres: NDArray[np.float64]
    poses: NDArray[np.float64]
    number: NDArray[np.int32]


class Drawn(NamedTuple):
    """Screen triangles: corners float64 [M, 6] (u v, pixels), inverse depth plane float64 [M, 3] (a u + b v + c),
    source int32 [M, 2] (object, triangle)."""

    corners: NDArray[np.float64]
    plane: NDArray[np.float64]
    source: NDArray[np.int32]


@maker
def visible(objects, view):
    """Objects inside the view frustum, nearest first, int64 [n], and the number of their triangles."""
    found = np.empty(len(objects.ranges), np.int64)
    near = np.empty(len(objects.ranges))
    total = 0
    count = 0
    # side planes through the eye, grown by each object's radius; one pixel wider than the picture
    left = (view.cx + 1.0) / view.fx
    right = (view.width - view.cx) / view.fx
    top = (view.cy + 1.0) / view.fy
    low = (view.height - view.cy) / view.fy
    t = view.turn
    for o in range(len(objects.ranges)):
        s = objects.spheres[o]
        m = objects.poses[o]
        px = m[0, 0] * s[0] + m[0, 1] * s[1] + m[0, 2] * s[2] + m[0, 3] - view.eye[0]
        py = m[1, 0] * s[0] + m[1, 1] * s[1] + m[1, 2] * s[2] + m[1, 3] - view.eye[1]
        pz = m[2, 0] * s[0] + m[2, 1] * s[1] + m[2, 2] * s[2] + m[2, 3] - view.eye[2]
        x = t[0, 0] * px + t[1, 0] * py + t[2, 0] * pz
        y = t[0, 1] * px + t[1, 1] * py + t[2, 1] * pz
        z = t[0, 2] * px + t[1, 2] * py + t[2, 2] * pz
        r = s[3]
        if z + r < NEAR:
            continue
        if x + left * z < -r * np.sqrt(1 + left * left) or right * z - x < -r * np.sqrt(1 + right * right):
            continue
        if y + top * z < -r * np.sqrt(1 + top * top) or low * z - y < -r * np.sqrt(1 + low * low):
            continue
        found[count] = o
        near[count] = z
        count += 1
        total += objects.ranges[o, 1] - objects.ranges[o, 0]
    return found[:count][np.argsort(near[:count], kind="mergesort")], total


@maker
def project(objects, order, corners, view, out):
    """Clips and projects the triangles of objects `order` into `out` (Drawn, with room for two each); their count."""
    count = 0
    m = np.empty((3, 4))
    cam = np.empty((3, 3))
    poly = np.empty((4, 3))
    for o in order:
        for i in range(3):
            for j in range(4):
                acc = 0.0
                for k in range(3):
                    shift = view.eye[k] if j == 3 else 0.0
                    acc += view.turn[k, i] * (objects.poses[o, k, j] - shift)
                m[i, j] = acc
        for t in range(objects.ranges[o, 0], objects.ranges[o, 1]):
            behind = 0
            for k in range(3):
                x = corners[t, k, 0]
                y = corners[t, k, 1]
                z = corners[t, k, 2]
                cam[k, 2] = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
                cam[k, 0] = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
                cam[k, 1] = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
                if cam[k, 2] < NEAR:
                    behind += 1
            if behind == 3:
                continue
            ax = cam[1, 0] - cam[0, 0]
            ay = cam[1, 1] - cam[0, 1]
            az = cam[1, 2] - cam[0, 2]
            bx = cam[2, 0] - cam[0, 0]
            by = cam[2, 1] - cam[0, 1]
            bz = cam[2, 2] - cam[0, 2]
            nx = ay * bz - az * by
            ny = az * bx - ax * bz
            nz = ax * by - ay * bx
            d = nx * cam[0, 0] + ny * cam[0, 1] + nz * cam[0, 2]
            if abs(d) <= 1e-12:  # seen edge-on
                continue
            pa = nx / d / view.fx
            pb = ny / d / view.fy
            pc = nz / d - pa * view.cx - pb * view.cy
            n = 0
            if behind == 0:
                for k in range(3):
                    poly[k, 0] = cam[k, 0] / cam[k, 2] * view.fx + view.cx
                    poly[k, 1] = cam[k, 1] / cam[k, 2] * view.fy + view.cy
                n = 3
            else:
                for k in range(3):
                    j = (k + 1) % 3
                    zk = cam[k, 2]
                    zj = cam[j, 2]
                    if zk >= NEAR:
                        poly[n, 0] = cam[k, 0] / zk * view.fx + view.cx
                        poly[n, 1] = cam[k, 1] / zk * view.fy + view.cy
                        n += 1
                    if (zk >= NEAR) != (zj >= NEAR):
                        s = (NEAR - zk) / (zj - zk)
                        poly[n, 0] = (cam[k, 0] + s * (cam[j, 0] - cam[k, 0])) / NEAR * view.fx + view.cx
                        poly[n, 1] = (cam[k, 1] + s * (cam[j, 1] - cam[k, 1])) / NEAR * view.fy + view.cy
                        n += 1
            for k in range(1, n - 1):
                u0 = poly[0, 0]
                v0 = poly[0, 1]
                u1 = poly[k, 0]
                v1 = poly[k, 1]
                u2 = poly[k + 1, 0]
                v2 = poly[k + 1, 1]
                if max(v0, v1, v2) < -1.0 or min(v0, v1, v2) > view.height:
                    continue
                if max(u0, u1, u2) < -1.0 or min(u0, u1, u2) > view.width:
                    continue
                out.corners[count, 0] = u0
                out.corners[count, 1] = v0
                out.corners[count, 2] = u1
                out.corners[count, 3] = v1
                out.corners[count, 4] = u2
                out.corners[count, 5] = v2
                out.plane[count, 0] = pa
                out.plane[count, 1] = pb
                out.plane[count, 2] = pc
                out.source[count, 0] = o
                out.source[count, 1] = t
                count += 1
    return count


@helper
def _bars(u, v, share):
    """Is a point of a railing (u along it, v up; m) metal? Upright bars and a top rail; `share` of it is open."""
    pitch = 0.13
    a = u / pitch
    if a - np.floor(a) > share:
        return True
    b = v / 0.9
    return b - np.floor(b) > 0.94


@helper
def _leaf(u, v, share, number):
    """Is a point (u, v; m) of a leafy card on a leaf? Two layers of tilted ellipses, one to a cell, that together leave
    `share` of the card open."""
    cover = 1.0 - np.sqrt(share)
    for layer in range(2):
        a = u / 0.11 + 0.5 * layer
        b = v / 0.11 + 0.5 * layer
        i = floor_int(a)
        j = floor_int(b)
        a -= i + 0.5
        b -= j + 0.5
        lean = hash3(i, j, number + layer) * 2.0 - 1.0
        size = 1.0 / np.sqrt(1.0 + lean * lean)
        p = (a + lean * b) * size
        q = (b - lean * a) * size
        # the ellipse fills 0.75 of its cell; enough cells have one
        if 0.72 * p * p + 1.39 * q * q < 0.75 * 0.3183 and hash3(j, i, number + layer) * 0.75 < cover:
            return True
    return False


@helper
def _blocks(x, y, z, cell, share, surface, nx, ny, nz, number):
    """Does a porous surface stop the ray at object point (x, y, z)? Hashed alpha (C. Wyman, M. McGuire, "Hashed Alpha
    Testing", 2017): the pattern lives in object space with cells that follow the pixel's footprint `cell`, m."""
    if surface == _RAILING and cell < 0.05:
        length = np.sqrt(nx * nx + ny * ny) + 1e-9
        return _bars((-ny * x + nx * y) / length, z, share)
    if surface == _LEAVES and cell < 0.045 and share > 0.05:
        if abs(nz) > abs(nx) and abs(nz) > abs(ny):
            return _leaf(x, y, share, number)
        return _leaf(y, z, share, number) if abs(nx) > abs(ny) else _leaf(x, z, share, number)
    size = 0.07 if surface == _LEAVES else 0.02
    level = 0
    while size < cell and level < 8:
        size *= 2.0
        level += 1
    return hash3(floor_int(x / size), floor_int(y / size), floor_int(z / size) * 16 + level) >= share


@kernel
def fill(drawn, count, geometry, objects, view, du, dv, top, stop, ids, inverse):
    """Rows [top, stop) of the visibility buffer: `ids` int32 [H, W] screen triangle or -1, `inverse` float32 [H, W]
    inverse depth (0: nothing). Samples lie at pixel (x + du, y + dv)."""
    width = ids.shape[1]
    c, plane, source, porosity = drawn.corners, drawn.plane, drawn.source, geometry.porosity
    corners, surfaces, poses, eye, turn = geometry.corners, geometry.surface, objects.poses, view.eye, view.turn
    for y in range(top, stop):
        for x in range(width):
            ids[y, x] = -1
            inverse[y, x] = 0.0
    for i in range(count):
        u0, v0, u1, v1, u2, v2 = c[i, 0], c[i, 1], c[i, 2], c[i, 3], c[i, 4], c[i, 5]
        if v1 < v0:
            u0, v0, u1, v1 = u1, v1, u0, v0
        if v2 < v1:
            u1, v1, u2, v2 = u2, v2, u1, v1
            if v1 < v0:
                u0, v0, u1, v1 = u1, v1, u0, v0
        if v2 <= top or v0 > stop:
            continue
        y0 = max(top, np.int64(np.ceil(max(v0, -1.0) - dv)))
        y1 = min(stop, np.int64(np.ceil(min(v2, stop + 1.0) - dv)))
        if y0 >= y1:
            continue
        long = (u2 - u0) / (v2 - v0)
        upper = (u1 - u0) / (v1 - v0) if v1 > v0 else 0.0
        lower = (u2 - u1) / (v2 - v1) if v2 > v1 else 0.0
        pa = plane[i, 0]
        t = source[i, 1]
        porous = porosity[t] > 0.0
        for y in range(y0, y1):
            v = y + dv
            a = u0 + (v - v0) * long
            b = u0 + (v - v0) * upper if v < v1 else u1 + (v - v1) * lower
            if a > b:
                a, b = b, a
            x0 = np.int64(np.ceil(min(max(a - du, 0.0), width + 0.0)))
            x1 = np.int64(np.ceil(min(max(b - du, 0.0), width + 0.0)))
            base = pa * du + plane[i, 1] * v + plane[i, 2]
            if porous:
                sx, sy = (du - view.cx) / view.fx, (v - view.cy) / view.fy
                _fill_porous(i, t, y, x0, x1, base, pa, sx, sy, 1.0 / view.fx, source[i, 0], corners, surfaces[t],
                             porosity[t], poses, eye, turn, ids, inverse)  # fmt: skip
                continue
            if x0 < 0:  # never; tells the compiler that indices do not wrap
                continue
            for x in range(x0, x1):
                w = np.float32(base + pa * x)
                if w > inverse[y, x]:
                    inverse[y, x] = w
                    ids[y, x] = i


@helper
def _fill_porous(i, t, y, x0, x1, base, pa, sx, sy, pixel, o, corners, surface, share, poses, eye, turn, ids, inverse):
    """A span of a porous triangle: keeps the pixels where `_blocks` says that it stops the ray."""
    nx = (corners[t, 1, 1] - corners[t, 0, 1]) * (corners[t, 2, 2] - corners[t, 0, 2]) - (
        corners[t, 1, 2] - corners[t, 0, 2]
    ) * (corners[t, 2, 1] - corners[t, 0, 1])
    ny = (corners[t, 1, 2] - corners[t, 0, 2]) * (corners[t, 2, 0] - corners[t, 0, 0]) - (
        corners[t, 1, 0] - corners[t, 0, 0]
    ) * (corners[t, 2, 2] - corners[t, 0, 2])
    nz = (corners[t, 1, 0] - corners[t, 0, 0]) * (corners[t, 2, 1] - corners[t, 0, 1]) - (
        corners[t, 1, 1] - corners[t, 0, 1]
    ) * (corners[t, 2, 0] - corners[t, 0, 0])
    for x in range(x0, x1):
        w = np.float32(base + pa * x)
        if w <= inverse[y, x]:
            continue
        z = 1.0 / w
        a = (sx + x * pixel) * z
        b = sy * z
        px = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] * z + eye[0] - poses[o, 0, 3]
        py = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] * z + eye[1] - poses[o, 1, 3]
        pz = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] * z + eye[2] - poses[o, 2, 3]
        lx = poses[o, 0, 0] * px + poses[o, 1, 0] * py + poses[o, 2, 0] * pz
        ly = poses[o, 0, 1] * px + poses[o, 1, 1] * py + poses[o, 2, 1] * pz
        lz = poses[o, 0, 2] * px + poses[o, 1, 2] * py + poses[o, 2, 2] * pz
        if _blocks(lx, ly, lz, z * pixel, share, surface, nx, ny, nz, t):
            inverse[y, x] = w
            ids[y, x] = i
