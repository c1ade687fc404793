"""Visibility buffer: which triangle is nearest along each pixel's ray, and at which inverse depth.

Triangles are scan-converted row by row with half-open spans between edges whose ends are sorted by height, so that
neighbours that share an edge leave no gap and no overlap. A triangle is drawn at once into two grids of samples, the
pixels' centres and their corners (which anti-aliasing needs). Rows are independent: bands may run in any thread with
the same bytes; which triangles a band needs is found beforehand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, inlined, kernel
from perception_nodes.simulator.render.noise import floor_int, hash3
from perception_nodes.simulator.render.raster import Drawn
from perception_nodes.simulator.scene import Surface

_RAILING = int(Surface.RAILING)
_LEAVES = int(Surface.LEAVES)


@kernel
def _count_bands(corners, count, band, bands, first, last, starts):
    """First and last band int32 [count] of every triangle, and `starts` int64 [bands + 1] of the bands' lists."""
    for i in range(count):
        low = min(corners[i, 1], corners[i, 3], corners[i, 5])
        high = max(corners[i, 1], corners[i, 3], corners[i, 5])
        a = np.int64(max(low, 0.0)) // band
        b = min(np.int64(min(max(high, 0.0), 1e6) + 1.0) // band, bands - 1)
        first[i], last[i] = a, b
        for k in range(a, b + 1):
            starts[k + 1] += 1
    for k in range(bands):
        starts[k + 1] += starts[k]


@kernel
def _list_bands(count, first, last, place, entries):
    """Triangles of the bands in their order; `place` int64 [bands] begins as the lists' starts."""
    for i in range(count):
        for k in range(first[i], last[i] + 1):
            entries[place[k]] = i
            place[k] += 1


def bands_of(drawn: Drawn, count: int, height: int, band: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(triangles int32, starts int64 [bands + 1]): those that touch rows [k band, (k + 1) band) of a picture are
    triangles[starts[k] : starts[k + 1]], nearest objects first."""
    bands = -(-height // band)
    first, last = np.empty(count, np.int32), np.empty(count, np.int32)
    starts = np.zeros(bands + 1, np.int64)
    _count_bands(drawn.corners, count, band, bands, first, last, starts)
    entries = np.empty(starts[-1], np.int32)
    _list_bands(count, first, last, starts[:-1].copy(), entries)
    return entries, starts


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
def fill(
    drawn, entries, first, last, geometry, objects, view, top, stop, end, ids, inverse, corner_ids, corner_inverse
):
    """Rows [top, stop) of the visibility buffer from the triangles entries[first:last]: `ids` int32 [H, W] screen
    triangle or -1, `inverse` float32 [H, W] inverse depth (0: nothing), and rows [top, end) of the same at the pixels'
    upper left corners, [H + 1, W + 1]."""
    c, plane, source, porosity = drawn.corners, drawn.plane, drawn.source, geometry.porosity
    corners, surfaces, poses, eye, turn = geometry.corners, geometry.surface, objects.poses, view.eye, view.turn
    cx, cy, sx, sy = view.cx, view.cy, 1.0 / view.fx, 1.0 / view.fy
    _clear(ids, inverse, top, stop)
    _clear(corner_ids, corner_inverse, top, end)
    for e in range(first, last):
        i = entries[e]
        u0, v0, u1, v1, u2, v2 = c[i, 0], c[i, 1], c[i, 2], c[i, 3], c[i, 4], c[i, 5]
        if v1 < v0:
            u0, v0, u1, v1 = u1, v1, u0, v0
        if v2 < v1:
            u1, v1, u2, v2 = u2, v2, u1, v1
            if v1 < v0:
                u0, v0, u1, v1 = u1, v1, u0, v0
        if not v2 > v0:
            continue
        long = (u2 - u0) / (v2 - v0)
        upper = (u1 - u0) / (v1 - v0) if v1 > v0 else 0.0
        lower = (u2 - u1) / (v2 - v1) if v2 > v1 else 0.0
        t = source[i, 1]
        _spans(i, t, source[i, 0], u0, v0, u1, v1, v2, long, upper, lower, plane, porosity[t], corners, surfaces, poses,
               eye, turn, cx, cy, sx, sy, 0.0, top, stop, ids, inverse)  # fmt: skip
        _spans(i, t, source[i, 0], u0, v0, u1, v1, v2, long, upper, lower, plane, porosity[t], corners, surfaces, poses,
               eye, turn, cx, cy, sx, sy, -0.5, top, end, corner_ids, corner_inverse)  # fmt: skip


@helper
def _clear(ids, inverse, top, stop):
    for y in range(top, stop):
        for x in range(ids.shape[1]):
            ids[y, x] = -1
            inverse[y, x] = 0.0


@inlined
def _spans(i, t, o, u0, v0, u1, v1, v2, long, upper, lower, plane, porosity, corners, surfaces, poses, eye, turn,
           cx, cy, sx, sy, shift, top, stop, ids, inverse):  # fmt: skip
    """Rows [top, stop) of triangle i (corners sorted by height, slopes of its sides) where samples lie at pixel
    (x + shift, y + shift)."""
    width = ids.shape[1]
    y0 = max(top, np.int64(np.ceil(max(v0, -1.0) - shift)))
    y1 = min(stop, np.int64(np.ceil(min(v2, stop + 1.0) - shift)))
    pa, pb, pc = plane[i, 0], plane[i, 1], plane[i, 2]
    for y in range(y0, y1):
        v = y + shift
        a = u0 + (v - v0) * long
        b = u0 + (v - v0) * upper if v < v1 else u1 + (v - v1) * lower
        if a > b:
            a, b = b, a
        x0 = np.int64(np.ceil(min(max(a - shift, 0.0), width + 0.0)))
        x1 = np.int64(np.ceil(min(max(b - shift, 0.0), width + 0.0)))
        if x0 >= x1:
            continue
        base = pa * shift + pb * v + pc
        if porosity > 0.0:
            _fill_porous(i, t, y, x0, x1, base, pa, (shift - cx) * sx, (v - cy) * sy, sx, o, corners, surfaces[t],
                         porosity, poses, eye, turn, ids, inverse)  # fmt: skip
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
