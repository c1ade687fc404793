"""Reflections on wet ground, found in the finished picture itself, and streaks of light under lamps.

Rays leave the film of water and are followed through the visibility buffer (M. McGuire, M. Mara, "Efficient GPU
Screen-Space Ray Tracing", 2014, with geometric steps); rays that leave the picture take the sky.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.jit import helper, kernel
from perception_nodes.simulator.render.noise import tap
from perception_nodes.simulator.render.sky import DENSITY, WET, mirror

STEPS = 13


@helper
def _march(view, inverse, film, x, y, z, rx, ry, rz):
    """Pixel (row, column) that a ray from a map point meets, or (-1, -1)."""
    t3 = view.turn
    ox = x - view.eye[0]
    oy = y - view.eye[1]
    oz = z - view.eye[2]
    px = t3[0, 0] * ox + t3[1, 0] * oy + t3[2, 0] * oz
    py = t3[0, 1] * ox + t3[1, 1] * oy + t3[2, 1] * oz
    pz = t3[0, 2] * ox + t3[1, 2] * oy + t3[2, 2] * oz
    qx = t3[0, 0] * rx + t3[1, 0] * ry + t3[2, 0] * rz
    qy = t3[0, 1] * rx + t3[1, 1] * ry + t3[2, 1] * rz
    qz = t3[0, 2] * rx + t3[1, 2] * ry + t3[2, 2] * rz
    t = 0.5
    before = 0.0
    for _ in range(STEPS):
        cz = pz + qz * t
        if cz < 0.2:
            return -1, -1
        u = np.int64((px + qx * t) / cz * view.fx + view.cx + 0.5)
        v = np.int64((py + qy * t) / cz * view.fy + view.cy + 0.5)
        if u < 0 or v < 0 or u >= view.width or v >= view.height:
            return -1, -1
        w = inverse[v, u]
        if w > 0.0 and film[v, u] == 0.0:
            gap = cz - 1.0 / w
            if 0.0 < gap < 0.6 + 1.3 * (t - before):
                return v, u
        before = t
        t *= 1.45
    return -1, -1


@kernel
def reflect(inverse, film, dome, air, grain, view, top, stop, out):
    """Rows [top, stop): blends reflections into wet pixels of `out` float32 [H, W, 3]. Only dry pixels are read from
    the picture, so bands of rows do not see each other's results."""
    t3 = view.turn
    for i in range(top, stop):
        cy = (i - view.cy) / view.fy
        for j in range(view.width):
            wet = film[i, j]
            if wet <= 0.0:
                continue
            cx = (j - view.cx) / view.fx
            dx = t3[0, 0] * cx + t3[0, 1] * cy + t3[0, 2]
            dy = t3[1, 0] * cx + t3[1, 1] * cy + t3[1, 2]
            dz = t3[2, 0] * cx + t3[2, 1] * cy + t3[2, 2]
            reach = np.sqrt(dx * dx + dy * dy + dz * dz)
            depth = 1.0 / inverse[i, j]
            x = view.eye[0] + dx * depth
            y = view.eye[1] + dy * depth
            z = view.eye[2] + dz * depth
            dx /= reach
            dy /= reach
            dz /= reach
            rough = 0.022 * (1.0 - wet)
            lod = np.log2(depth / view.fx)
            nx = rough * tap(grain, x * 14.0, y * 14.0, lod + 3.8)
            ny = rough * tap(grain, x * 14.0 + 99.0, y * 14.0, lod + 3.8)
            cosine = max(-(dx * nx + dy * ny + dz), 0.0)
            rx = dx + 2.0 * cosine * nx
            ry = dy + 2.0 * cosine * ny
            rz = max(dz + 2.0 * cosine, 0.01)
            c1 = 1.0 - cosine
            f = wet * (0.03 + 0.97 * c1 * c1 * c1 * c1 * c1)
            a, b = _march(view, inverse, film, x, y, z, rx, ry, rz)
            if a >= 0:
                r, g, bl = float(out[a, b, 0]), float(out[a, b, 1]), float(out[a, b, 2])
            else:
                r, g, bl = mirror(dome, air, rx, ry, rz)
            f *= np.exp(-air[DENSITY] * depth)
            out[i, j, 0] = out[i, j, 0] * (1.0 - f) + r * f
            out[i, j, 1] = out[i, j, 1] * (1.0 - f) + g * f
            out[i, j, 2] = out[i, j, 2] * (1.0 - f) + bl * f


@helper
def _splat(view, film, u, v, sx, sy, r, g, b, on_film, out):
    """Adds a soft spot of deviation (sx, sy) px at (u, v), everywhere or on wet ground only."""
    x0 = max(0, int(u - 3.5 * sx))
    x1 = min(view.width - 1, int(u + 3.5 * sx) + 1)
    y0 = max(0, int(v - 3.5 * sy))
    y1 = min(view.height - 1, int(v + 3.5 * sy) + 1)
    for y in range(y0, y1 + 1):
        ey = (y - v) / sy
        for x in range(x0, x1 + 1):
            k = 1.0
            if on_film:
                k = float(film[y, x])
                if k <= 0.0:
                    continue
            ex = (x - u) / sx
            q = ex * ex + ey * ey
            if q > 12.0:
                continue
            k *= np.exp(-0.5 * q)
            out[y, x, 0] += r * k
            out[y, x, 1] += g * k
            out[y, x, 2] += b * k


@kernel
def halos(rows, inverse, film, air, view, ground_z, out):
    """Adds lamps to the picture: a core and a glow for each that the camera can see, and its streak on wet ground.
    `rows` float32 [G, 10] as `lights.gather` gives them; `ground_z` m is the road's height, for the mirrored lamp."""
    t3 = view.turn
    for k in range(len(rows)):
        row = rows[k]
        ox = row[0] - view.eye[0]
        oy = row[1] - view.eye[1]
        oz = row[2] - view.eye[2]
        cz = t3[0, 2] * ox + t3[1, 2] * oy + t3[2, 2] * oz
        if cz < 0.5:
            continue
        far = np.sqrt(ox * ox + oy * oy + oz * oz)
        aim = 1.0
        if row[7] > 0.0:
            aim = -(ox * row[8] + oy * row[9]) / far
            if aim < 0.05:
                continue
            aim = aim * aim
        cx = t3[0, 0] * ox + t3[1, 0] * oy + t3[2, 0] * oz
        cy = t3[0, 1] * ox + t3[1, 1] * oy + t3[2, 1] * oz
        u = cx / cz * view.fx + view.cx
        v = cy / cz * view.fy + view.cy
        iu = np.int64(np.floor(u + 0.5))
        iv = np.int64(np.floor(v + 0.5))
        seen = 0.0
        for b in range(-1, 2):
            for a in range(-1, 2):
                if 0 <= iu + a < view.width and 0 <= iv + b < view.height:
                    if inverse[iv + b, iu + a] * (cz - 0.35 - 0.01 * cz) < 1.0:
                        seen += 1.0 / 9.0
        size = max(row[6] / cz * view.fx, 0.45)  # px
        energy = min(1.0, (row[6] / cz * view.fx / size) ** 2 * 6.0) * aim * np.exp(-air[DENSITY] * far)
        r = row[3] * energy
        g = row[4] * energy
        b_ = row[5] * energy
        if seen > 0.0:
            core = seen * min(1.0, 2.5 / (size * size))  # a lamp of several pixels shines by its own surface
            _splat(view, film, u, v, 0.8 * size, 0.8 * size, r * core, g * core, b_ * core, False, out)
            wide = 0.012 * view.fx + 0.9 * size
            mist = (0.009 + 0.6 * min(air[DENSITY] * 12.0, 0.12)) * seen
            _splat(view, film, u, v, wide, wide, r * mist, g * mist, b_ * mist, False, out)
        if air[WET] > 0.3:
            oz = 2.0 * ground_z - row[2] - view.eye[2]
            cz = t3[0, 2] * ox + t3[1, 2] * oy + t3[2, 2] * oz
            if cz > 0.5:
                u = (t3[0, 0] * ox + t3[1, 0] * oy + t3[2, 0] * oz) / cz * view.fx + view.cx
                v = (t3[0, 1] * ox + t3[1, 1] * oy + t3[2, 1] * oz) / cz * view.fy + view.cy
                w = 0.07 * air[WET] * max(seen, 0.25)
                sx = 1.2 * size + 0.004 * view.fx
                sy = 0.045 * view.fy + 2.5 * size
                _splat(view, film, u, v, sx, sy, r * w, g * w, b_ * w, True, out)
