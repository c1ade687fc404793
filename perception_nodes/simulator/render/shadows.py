"""Sun shadows: depth maps seen from the sun, one of the static world per drive and one of the actors per moment.

A map holds, per texel of a plane across the sun's rays, the greatest height towards the sun of what casts there
(L. Williams, "Casting Curved Shadows on Curved Surfaces", 1978); lookups average over 3 x 3 texels for soft edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.geometry import Geometry
from perception_nodes.simulator.render.jit import helper, kernel
from perception_nodes.simulator.render.noise import hash3
from perception_nodes.simulator.scene import Surface

EMPTY = np.float32(-1e9)
MAX_TEXELS = 2560
TEXEL = 0.14  # m, where the extent allows
ACTOR_TEXEL = 0.11
_GROUND = (
    Surface.ASPHALT, Surface.LANE_PAINT, Surface.PAVING, Surface.GRASS, Surface.SOIL, Surface.GRAVEL, Surface.WATER,
)  # fmt: skip
CASTS = np.array([s not in _GROUND for s in Surface], np.uint8)


class ShadowMap(NamedTuple):
    """`height` float32 [R, C]; `low` and `high` float32 [R / 8, C / 8], the least and greatest height in blocks of
    8 x 8 texels grown by 2; `frame` float64 [3, 3] rows: across, along, towards the sun; `origin` float64 [2] and
    `texel` in m. An empty map (one texel) shadows nothing."""

    height: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    frame: NDArray[np.float64]
    origin: NDArray[np.float64]
    texel: float

    def place(self) -> NDArray[np.float64]:
        """Frame, origin and texel in one vector for `lit`: float64 [12]."""
        return np.array([*self.frame.ravel(), *self.origin, self.texel])


def sun_frame(sun: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows: a horizontal axis across the rays, the axis along the ground, the direction to the sun."""
    across = np.cross([0.0, 0.0, 1.0], sun)
    if np.linalg.norm(across) < 1e-6:
        across = np.array([1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(sun, across), sun])


def no_shadow(sun: NDArray[np.float64]) -> ShadowMap:
    """A map under which everything is lit."""
    return _finished(np.full((1, 1), EMPTY, np.float32), sun_frame(sun), np.array([1e9, 1e9]), 1.0)


@helper
def _across(a, b, c):
    """First and last whole number between the least and the greatest of three."""
    return np.int64(np.floor(min(a, b, c))), np.int64(np.floor(max(a, b, c)))


@helper
def _inside(value, slope, first, last):
    """The part of [first, last] where `value + slope * k` is not negative; empty: first > last."""
    if slope > 0.0:
        return max(first, -value / slope), last
    if slope < 0.0:
        return first, min(last, -value / slope)
    return (first, last) if value >= 0.0 else (1.0, 0.0)


@kernel
def _cast(corners, surface, porosity, casts, start, stop, m, height):
    """Draws triangles [start, stop) into a height map, keeping the greatest height; `m` float64 [3, 4] takes their
    corners to (column, row, height)."""
    rows, columns = height.shape
    for t in range(start, stop):
        if casts[surface[t]] == 0:
            continue
        x, y, z = float(corners[t, 0, 0]), float(corners[t, 0, 1]), float(corners[t, 0, 2])
        u0 = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        v0 = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        h0 = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        x, y, z = float(corners[t, 1, 0]), float(corners[t, 1, 1]), float(corners[t, 1, 2])
        u1 = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        v1 = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        h1 = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        x, y, z = float(corners[t, 2, 0]), float(corners[t, 2, 1]), float(corners[t, 2, 2])
        u2 = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        v2 = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        h2 = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        x0, x1 = _across(u0, u1, u2)
        y0, y1 = _across(v0, v1, v2)
        x0, x1, y0, y1 = max(x0, 0), min(x1, columns - 1), max(y0, 0), min(y1, rows - 1)
        if x1 < x0 or y1 < y0:
            continue
        top = np.float32(max(h0, h1, h2))
        ax, ay, bx, by = u1 - u0, v1 - v0, u2 - u0, v2 - v0
        area = ax * by - ay * bx
        if (x1 - x0 <= 1 and y1 - y0 <= 1) or abs(area) < 1e-9:  # tiny or thin: its texels' corner takes it whole
            if porosity[t] == 0.0 or hash3(t, 3, 5) >= porosity[t]:
                for j in range(y0, y1 + 1):
                    for i in range(x0, x1 + 1):
                        height[j, i] = max(height[j, i], top)
            continue
        inverse = 1.0 / area
        gx = ((h1 - h0) * by - (h2 - h0) * ay) * inverse
        gy = ((h2 - h0) * ax - (h1 - h0) * bx) * inverse
        slack = -0.5 * (abs(ax) + abs(ay) + abs(bx) + abs(by)) * abs(inverse) * 0.6
        low = np.float32(min(h0, h1, h2))
        # along a row the barycentric coordinates u, v and 1 - u - v are linear: where all are inside is a span
        gu, gv = by * inverse, -ay * inverse
        for j in range(y0, y1 + 1):
            cy = j + 0.5 - v0
            cx = x0 + 0.5 - u0
            u, v = (cx * by - cy * bx) * inverse, (cy * ax - cx * ay) * inverse
            first, last = _inside(u - slack, gu, 0.0, x1 - x0 + 0.0)
            first, last = _inside(v - slack, gv, first, last)
            first, last = _inside(1.0 - slack - u - v, -gu - gv, first, last)
            if first > last:
                continue
            base = h0 + gx * cx + gy * cy
            for k in range(np.int64(np.ceil(first)), np.int64(np.floor(last)) + 1):
                i = x0 + k
                if porosity[t] > 0.0 and hash3(i, j, t) < porosity[t]:
                    continue
                h = min(max(np.float32(base + gx * k), low), top)
                if h > height[j, i]:
                    height[j, i] = h


@kernel
def _cast_all(corners, surface, porosity, casts, ranges, places, height):
    """`_cast` of every range with its own matrix, float64 [A, 3, 4]."""
    for i in range(len(ranges)):
        _cast(corners, surface, porosity, casts, ranges[i, 0], ranges[i, 1], places[i], height)


@kernel
def _blocks(height, least, most, low, high):
    """Least and greatest height of blocks, as `ShadowMap` has them; `least` and `most` float32 [C] are room for those
    of a block's rows."""
    rows, columns = height.shape
    for j in range(low.shape[0]):
        y0, y1 = max(8 * j - 2, 0), min(8 * j + 10, rows)
        for x in range(columns):
            least[x] = height[y0, x]
            most[x] = height[y0, x]
        for y in range(y0 + 1, y1):
            for x in range(columns):
                h = height[y, x]
                least[x] = h if h < least[x] else least[x]
                most[x] = h if h > most[x] else most[x]
        for i in range(low.shape[1]):
            x0 = max(8 * i - 2, 0)
            a = least[x0]
            b = most[x0]
            for x in range(x0 + 1, min(8 * i + 10, columns)):
                a = min(a, least[x])
                b = max(b, most[x])
            low[j, i] = a
            high[j, i] = b


def _places(frame: NDArray[np.float64], poses: NDArray[np.float64], origin, texel: float) -> NDArray[np.float64]:
    """Matrices float64 [A, 3, 4] from objects with `poses` [A, 3, 4] to (column, row, height) of a map."""
    places = frame @ poses
    places[:, :2, 3] -= origin
    places[:, :2] /= texel
    return places


def _finished(height: NDArray[np.float32], frame, origin, texel: float) -> ShadowMap:
    low = np.empty(tuple(-(-n // 8) for n in height.shape), np.float32)
    high = np.empty_like(low)
    least = np.empty(height.shape[1], np.float32)
    _blocks(height, least, np.empty_like(least), low, high)
    return ShadowMap(height, low, high, frame, origin, texel)


def static_map(geometry: Geometry, count: int, sun: NDArray[np.float64]) -> ShadowMap:
    """Shadow map of the first `count` triangles (map frame), over their whole extent."""
    casters = CASTS[geometry.surface[:count]] > 0
    if not casters.any():
        return no_shadow(sun)
    frame = sun_frame(sun)
    points = geometry.corners[:count][casters].reshape(-1, 3).astype(np.float64)
    low = points.min(0)
    high = points.max(0)
    box = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    plane = box @ frame[:2].T
    return _empty_and_cast(geometry, 0, count, frame, plane.min(0), plane.max(0))


def _empty_and_cast(geometry, start, stop, frame, low, high) -> ShadowMap:
    texel = max(TEXEL, float((high - low).max()) / MAX_TEXELS)
    columns, rows = (int(np.ceil(s / texel)) + 2 for s in high - low)
    origin = low - texel
    height = np.full((rows, columns), EMPTY, np.float32)
    place = _places(frame, np.eye(3, 4)[None], origin, texel)[0]
    _cast(geometry.corners, geometry.surface, geometry.porosity, CASTS, start, stop, place, height)
    return _finished(height, frame, origin, texel)


def actor_map(
    geometry: Geometry,
    ranges: NDArray[np.int64],
    spheres: NDArray[np.float64],
    poses: NDArray[np.float64],
    centre: NDArray[np.float64],
    sun: NDArray[np.float64],
) -> ShadowMap:
    """Shadow map of the actors' triangle ranges int64 [A, 2] with bounding spheres float64 [A, 4] (object frame) and
    poses float64 [A, 3, 4], 100 m about `centre`."""
    frame = sun_frame(sun)
    size = 832
    origin = np.floor((frame[:2] @ centre) / ACTOR_TEXEL) * ACTOR_TEXEL - 0.5 * size * ACTOR_TEXEL
    height = np.full((size, size), EMPTY, np.float32)
    middles = np.einsum("nij,nj->ni", poses[:, :, :3], spheres[:, :3]) + poses[:, :, 3]
    gaps = np.abs(middles @ frame[:2].T - origin - 0.5 * size * ACTOR_TEXEL).max(1, initial=0.0)
    near = gaps < 0.5 * size * ACTOR_TEXEL + spheres[:, 3]  # the others' shadows fall elsewhere
    places = _places(frame, poses[near], origin, ACTOR_TEXEL)
    _cast_all(geometry.corners, geometry.surface, geometry.porosity, CASTS, ranges[near], places, height)
    return _finished(height, frame, origin, ACTOR_TEXEL)


@helper
def lit(height, low, high, p, x, y, z, nx, ny, nz):
    """Share 0..1 of the sun that reaches a map point with unit normal n; `p` is `ShadowMap.place()`. The point is
    lifted along its normal by about a texel so that a surface does not shadow itself; the comparison is bilinear."""
    scale = 1.0 / p[11]
    lift = 0.03 + 0.9 * p[11]
    x += lift * nx
    y += lift * ny
    z += lift * nz
    u = (p[0] * x + p[1] * y + p[2] * z - p[9]) * scale - 0.5
    v = (p[3] * x + p[4] * y + p[5] * z - p[10]) * scale - 0.5
    rows, columns = height.shape
    if u < 1.0 or v < 1.0 or u > columns - 3.0 or v > rows - 3.0:
        return 1.0
    h = np.float32(p[6] * x + p[7] * y + p[8] * z + 0.03 + 0.8 * p[11])
    i = np.int64(u)
    j = np.int64(v)
    if i < 0 or j < 0:  # never; tells the compiler that indices do not wrap
        return 1.0
    if high[j >> 3, i >> 3] <= h:
        return 1.0
    if low[j >> 3, i >> 3] > h:
        return 0.0
    fu = u - i
    fv = v - j
    top = 0.0
    if height[j, i] <= h:
        top += 1.0 - fu
    if height[j, i + 1] <= h:
        top += fu
    bottom = 0.0
    if height[j + 1, i] <= h:
        bottom += 1.0 - fu
    if height[j + 1, i + 1] <= h:
        bottom += fu
    return top * (1.0 - fv) + bottom * fv
