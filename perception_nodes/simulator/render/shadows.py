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


@kernel
def _cast(corners, surface, porosity, casts, start, stop, frame, pose, origin, texel, p, height):
    """Draws triangles [start, stop) with pose float64 [3, 4] into a height map, keeping the greatest height; `p` is
    room for three corners, float64 [3, 3]."""
    rows, columns = height.shape
    for t in range(start, stop):
        if casts[surface[t]] == 0:
            continue
        for k in range(3):
            x = corners[t, k, 0]
            y = corners[t, k, 1]
            z = corners[t, k, 2]
            wx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
            wy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
            wz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
            p[k, 0] = (frame[0, 0] * wx + frame[0, 1] * wy + frame[0, 2] * wz - origin[0]) / texel
            p[k, 1] = (frame[1, 0] * wx + frame[1, 1] * wy + frame[1, 2] * wz - origin[1]) / texel
            p[k, 2] = frame[2, 0] * wx + frame[2, 1] * wy + frame[2, 2] * wz
        x0 = max(0, int(np.floor(min(p[0, 0], p[1, 0], p[2, 0]))))
        x1 = min(columns - 1, int(np.floor(max(p[0, 0], p[1, 0], p[2, 0]))))
        y0 = max(0, int(np.floor(min(p[0, 1], p[1, 1], p[2, 1]))))
        y1 = min(rows - 1, int(np.floor(max(p[0, 1], p[1, 1], p[2, 1]))))
        if x1 < x0 or y1 < y0:
            continue
        ax = p[1, 0] - p[0, 0]
        ay = p[1, 1] - p[0, 1]
        bx = p[2, 0] - p[0, 0]
        by = p[2, 1] - p[0, 1]
        area = ax * by - ay * bx
        inverse = 1.0 / area if area != 0.0 else 0.0
        top = np.float32(max(p[0, 2], p[1, 2], p[2, 2]))
        if abs(area) < 1e-9 or (x1 - x0 <= 1 and y1 - y0 <= 1):  # thin or tiny: its texels' corner takes it whole
            if porosity[t] == 0.0 or hash3(t, 3, 5) >= porosity[t]:
                for y in range(y0, y1 + 1):
                    for x in range(x0, x1 + 1):
                        height[y, x] = max(height[y, x], top)
            continue
        gx = ((p[1, 2] - p[0, 2]) * by - (p[2, 2] - p[0, 2]) * ay) * inverse
        gy = ((p[2, 2] - p[0, 2]) * ax - (p[1, 2] - p[0, 2]) * bx) * inverse
        slack = -0.5 * (abs(ax) + abs(ay) + abs(bx) + abs(by)) * abs(inverse) * 0.6
        low = np.float32(min(p[0, 2], p[1, 2], p[2, 2]))
        for y in range(y0, y1 + 1):
            cy = y + 0.5 - p[0, 1]
            for x in range(x0, x1 + 1):
                cx = x + 0.5 - p[0, 0]
                u = (cx * by - cy * bx) * inverse
                v = (cy * ax - cx * ay) * inverse
                if u < slack or v < slack or u + v > 1.0 - slack:
                    continue
                if porosity[t] > 0.0 and hash3(x, y, t) < porosity[t]:
                    continue
                h = np.float32(p[0, 2] + gx * cx + gy * cy)
                h = min(max(h, low), top)
                if h > height[y, x]:
                    height[y, x] = h


@kernel
def _cast_all(corners, surface, porosity, casts, ranges, frame, poses, origin, texel, p, height):
    """`_cast` of every range with its pose."""
    for i in range(len(ranges)):
        _cast(corners, surface, porosity, casts, ranges[i, 0], ranges[i, 1], frame, poses[i], origin, texel, p, height)


@kernel
def _blocks(height, low, high):
    """Least and greatest height of blocks, as `ShadowMap` has them."""
    rows, columns = height.shape
    for j in range(low.shape[0]):
        for i in range(low.shape[1]):
            a = height[min(8 * j, rows - 1), min(8 * i, columns - 1)]
            b = a
            for y in range(max(8 * j - 2, 0), min(8 * j + 10, rows)):
                for x in range(max(8 * i - 2, 0), min(8 * i + 10, columns)):
                    h = height[y, x]
                    a = min(a, h)
                    b = max(b, h)
            low[j, i] = a
            high[j, i] = b


def _finished(height: NDArray[np.float32], frame, origin, texel: float) -> ShadowMap:
    low = np.empty(tuple(-(-n // 8) for n in height.shape), np.float32)
    high = np.empty_like(low)
    _blocks(height, low, high)
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
    _cast(geometry.corners, geometry.surface, geometry.porosity, CASTS, start, stop, frame, np.eye(3, 4), origin,
          texel, np.empty((3, 3)), height)  # fmt: skip
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
    _cast_all(geometry.corners, geometry.surface, geometry.porosity, CASTS, ranges[near], frame, poses[near], origin,
              ACTOR_TEXEL, np.empty((3, 3)), height)  # fmt: skip
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
