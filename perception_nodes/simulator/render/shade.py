"""Colour of every pixel: one procedural shader over the visibility buffer, by surface, light and air.

Diffuse surfaces take the sun through two shadow maps, the sky as two ambient hemispheres under ambient occlusion, and
artificial lights; car paint, glass and metal add Fresnel reflections of the dome (C. Schlick, 1994) and the sun's
highlight (J. Blinn, 1977). Wet ground is left to `reflect.py`, which sees the finished picture.

Kernels here take plain arrays and scalars and make no views in their loops: each view would count references, which
costs more than a pixel's arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, inlined, kernel
from perception_nodes.simulator.render.lights import Lights, light_at
from perception_nodes.simulator.render.noise import Textures, log2_near, smooth, tap
from perception_nodes.simulator.render.raster import Objects
from perception_nodes.simulator.render.shadows import ShadowMap, lit
from perception_nodes.simulator.render.sky import (
    ABOVE,
    BELOW,
    DENSITY,
    GLOW,
    HORIZON,
    LAMPS,
    SUN,
    SUN_RGB,
    WET,
    mirror,
    sky,
)  # fmt: skip
from perception_nodes.simulator.render.surfaces import (
    GRAVEL,
    HEADLIGHT,
    KERB,
    LAMP,
    LANE_PAINT,
    LEAVES,
    LICENCE_PLATE,
    METAL,
    PAVING,
    RUBBER,
    SIGN,
    SKIN,
    TAILLIGHT,
    WATER,
    gloss,
    ground_colour,
    lamp,
    normal,
    panel_colour,
    solid_colour,
)  # fmt: skip


class Stage(NamedTuple):
    """What a drive's pixels share at one moment. `states` uint8 [A + 1]: lights of actor `number` (0: the world)."""

    objects: Objects
    states: NDArray[np.uint8]
    air: NDArray[np.float64]  # Air.vector()
    dome: NDArray[np.float32]
    textures: Textures
    fixed: ShadowMap
    moving: ShadowMap
    fixed_place: NDArray[np.float64]
    moving_place: NDArray[np.float64]
    lights: Lights


@helper
def _haze(air, dx, dy, dz, far, r, g, b):
    """Attenuates a colour over `far` m and adds the air's own light."""
    k = 1.0 - np.exp(-air[DENSITY] * far)
    halo = max(dx * air[SUN] + dy * air[SUN + 1] + dz * air[SUN + 2], 0.0)
    halo *= halo
    halo *= 0.45 * halo * halo
    lamp = 0.02 * air[LAMPS] * air[LAMPS] * min(1.0, air[DENSITY] * 60.0)
    r += k * (air[HORIZON] + air[GLOW] * halo + lamp - r)
    g += k * (air[HORIZON + 1] + air[GLOW + 1] * halo + 0.8 * lamp - g)
    b += k * (air[HORIZON + 2] + air[GLOW + 2] * halo + 0.6 * lamp - b)
    return r, g, b


@helper
def _puddle(x, y, wet, fractal):
    """How much of wet ground is a standing film, 0..1."""
    return smooth(1.55 - 0.6 * wet, 2.4 - 0.6 * wet, tap(fractal, x * 3.1 + 7.0, y * 3.1, 0.0)) * wet


@helper
def _background(dome, air, dx, dy, dz):
    """Sky, or the plain beyond the world, in a unit direction, under haze."""
    r, g, b = sky(dome, air, dx, dy, dz)
    if dz <= 0.0:
        return _haze(air, dx, dy, dz, min(1.7 / max(-dz, 1e-3), 900.0), r, g, b)
    if air[DENSITY] > 0.004:
        return _haze(air, dx, dy, dz, min(60.0 / max(dz, 0.05), 400.0), r, g, b)
    return r, g, b


@helper
def _sunlight(s, cosine):
    """Weight of direct sun for a cosine of incidence, and how much of it shines through (leaves)."""
    if s == LEAVES:
        through = -0.3 * cosine if cosine < 0.0 else 0.0
        return 0.12 + 0.5 * max(cosine, 0.0) + through, through
    return max(cosine, 0.0), 0.0


@helper
def _highlight(air, dx, dy, dz, nx, ny, nz, power):
    """Blinn's highlight of the sun, (n . h) ** (2 ** power)."""
    hx = air[SUN] - dx
    hy = air[SUN + 1] - dy
    hz = air[SUN + 2] - dz
    shine = (hx * nx + hy * ny + hz * nz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
    if shine < 0.7:
        return 0.0
    for _ in range(power):
        shine *= shine
    return shine * np.sqrt(float(1 << power))


@inlined
def _light(h1, l1, u1, p1, h2, l2, u2, p2, rows, cells, left, low, own_rows, air, s, ao, x, y, z, nx, ny, nz):
    """Light that falls on a map point with unit normal n: (r, g, b, the share of the sun that arrives). `h1 .. p1` and
    `h2 .. p2` are the shadow maps of the static world and of the actors."""
    up = ao * (0.5 + 0.5 * nz)
    down = ao - up
    lr = air[ABOVE] * up + air[BELOW] * down
    lg = air[ABOVE + 1] * up + air[BELOW + 1] * down
    lb = air[ABOVE + 2] * up + air[BELOW + 2] * down
    share = 0.0
    if air[SUN_RGB] + air[SUN_RGB + 1] > 1e-3:
        k, through = _sunlight(s, nx * air[SUN] + ny * air[SUN + 1] + nz * air[SUN + 2])
        if k > 0.0:
            share = lit(h1, l1, u1, p1, x, y, z, nx, ny, nz)
            if share > 0.0:
                share *= lit(h2, l2, u2, p2, x, y, z, nx, ny, nz)
            k *= share
            lr += k * air[SUN_RGB]
            lg += k * air[SUN_RGB + 1]
            lb += k * air[SUN_RGB + 2] * (1.0 - through)
    if air[LAMPS] > 0.5:
        ar, ag, ab, own = light_at(rows, cells, left, low, own_rows, x, y, z, nx, ny, nz)
        if own > 0.0 and (s == SIGN or s == LICENCE_PLATE or s == LANE_PAINT):  # sends light back
            k = 1.0 + (1.0 if s == LANE_PAINT else 4.0) * own / (ar + ag + ab)
            ar, ag, ab = ar * k, ag * k, ab * k
        lr += ar
        lg += ag
        lb += ab
    return lr, lg, lb, share


@inlined
def _reflected(dome, air, r, g, b, f0, strength, power, share, ao, facing, dx, dy, dz, nx, ny, nz):
    """A colour under its clear coat: the dome's reflection and the sun's highlight are added, what is below fades."""
    c1 = 1.0 - min(facing, 1.0)
    c2 = c1 * c1
    f = (f0 + (1.0 - f0) * c2 * c2 * c1) * strength
    mr, mg, mb = mirror(dome, air, dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz)
    shine = 0.0
    if share > 0.0:
        shine = share * strength * (f0 + 0.1) * 0.12 * _highlight(air, dx, dy, dz, nx, ny, nz, power)
    k = f * (0.35 + 0.65 * ao)
    r = r * (1 - f) + k * mr + shine * air[SUN_RGB]
    g = g * (1 - f) + k * mg + shine * air[SUN_RGB + 1]
    b = b * (1 - f) + k * mb + shine * air[SUN_RGB + 2]
    return r, g, b


@inlined
def _into_object(poses, o, x, y, z):
    """A map point in the frame of object o."""
    qx, qy, qz = x - poses[o, 0, 3], y - poses[o, 1, 3], z - poses[o, 2, 3]
    return (
        poses[o, 0, 0] * qx + poses[o, 1, 0] * qy + poses[o, 2, 0] * qz,
        poses[o, 0, 1] * qx + poses[o, 1, 1] * qy + poses[o, 2, 1] * qz,
        poses[o, 0, 2] * qx + poses[o, 1, 2] * qy + poses[o, 2, 2] * qz,
    )


@inlined
def _turned(m, o, x, y, z):
    """A direction of object o's frame in the map."""
    return (
        m[o, 0, 0] * x + m[o, 0, 1] * y + m[o, 0, 2] * z,
        m[o, 1, 0] * x + m[o, 1, 1] * y + m[o, 1, 2] * z,
        m[o, 2, 0] * x + m[o, 2, 1] * y + m[o, 2, 2] * z,
    )


@inlined
def _matter(s, corners, t, x, y, z, nx, ny, nz, foot, r, g, b, grain, fractal, state, moves, labelled, wet, lamps):
    """Colour, emission and (reflectance, strength, power) of the gloss of a surface at a point of its object."""
    lod = log2_near(foot)
    er, eg, eb = 0.0, 0.0, 0.0
    f0, strength, power = gloss(s)
    if s <= GRAVEL and s != KERB:
        r, g, b = ground_colour(s, x, y, foot, lod, r, g, b, grain, fractal, wet)
    elif s == LAMP or s == HEADLIGHT or s == TAILLIGHT:
        er, eg, eb = lamp(s, state, y, lamps)
    elif strength > 0.0 and s != METAL and s != WATER:
        r, g, b, er, eg, eb, kept = panel_colour(
            s, corners, t, x, y, z, foot, lod, r, g, b, fractal, moves, labelled, lamps
        )
        strength *= kept
    elif s != RUBBER and s != SKIN and s != WATER:
        r, g, b = solid_colour(s, x, y, z, nx, ny, nz, foot, lod, r, g, b, grain, fractal)
    return r, g, b, er, eg, eb, f0, strength, power


@kernel
def shade(drawn, ids, inverse, occlusion, geometry, stage, view, top, stop, out, film):
    """Rows [top, stop): linear RGB into `out` float32 [H, W, 3] and the mirror strength of wet ground (0: none, up to
    1: a puddle) into `film` float32 [H, W]. `occlusion` float32 [h, w] is ambient light 0..1 at half size."""
    source = drawn.source
    corners, normals, surface = geometry.corners, geometry.normals, geometry.surface
    colour, labels = geometry.colour, geometry.label
    number, poses, states = stage.objects.number, stage.objects.poses, stage.states
    air, dome, grain, fractal = stage.air, stage.dome, stage.textures.grain, stage.textures.fractal
    h1, l1, u1, p1 = stage.fixed.height, stage.fixed.low, stage.fixed.high, stage.fixed_place
    h2, l2, u2, p2 = stage.moving.height, stage.moving.low, stage.moving.high, stage.moving_place
    rows, cells, own_rows = stage.lights.rows, stage.lights.cells, stage.lights.own
    left, low = stage.lights.corner[0], stage.lights.corner[1]
    ex, ey, ez, turn = view.eye[0], view.eye[1], view.eye[2], view.turn
    pixel, wet, lamps = 1.0 / view.fx, air[WET], air[LAMPS]
    half_rows, half_columns = occlusion.shape
    for i in range(top, stop):
        cy = (i - view.cy) / view.fy
        for j in range(view.width):
            cx = (j - view.cx) / view.fx
            dx = turn[0, 0] * cx + turn[0, 1] * cy + turn[0, 2]
            dy = turn[1, 0] * cx + turn[1, 1] * cy + turn[1, 2]
            dz = turn[2, 0] * cx + turn[2, 1] * cy + turn[2, 2]
            reach = np.sqrt(dx * dx + dy * dy + dz * dz)
            dx /= reach
            dy /= reach
            dz /= reach
            film[i, j] = 0.0
            m = ids[i, j]
            if m < 0:
                r, g, b = _background(dome, air, dx, dy, dz)
                out[i, j, 0], out[i, j, 1], out[i, j, 2] = r, g, b
                continue
            depth = 1.0 / inverse[i, j]
            far = depth * reach
            x, y, z = ex + dx * far, ey + dy * far, ez + dz * far
            o, t = source[m, 0], source[m, 1]
            s = surface[t]
            r, g, b = float(colour[t, 0]), float(colour[t, 1]), float(colour[t, 2])
            lx, ly, lz = x, y, z
            actor = number[o]
            if actor > 0:
                lx, ly, lz = _into_object(poses, o, x, y, z)
            onx, ony, onz = normal(corners, normals, t, lx, ly, lz)
            nx, ny, nz = onx, ony, onz
            if actor > 0:
                nx, ny, nz = _turned(poses, o, onx, ony, onz)
            facing = -(nx * dx + ny * dy + nz * dz)
            if facing < 0.0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            foot = pixel * depth / np.sqrt(max(facing, 0.04))
            r, g, b, er, eg, eb, f0, strength, power = _matter(
                s, corners, t, lx, ly, lz, onx, ony, onz, foot, r, g, b, grain, fractal, states[actor], actor > 0,
                labels[t], wet, lamps,
            )  # fmt: skip
            if s == WATER:
                nx += 0.05 * tap(fractal, x * 20.0, y * 20.0, log2_near(foot) + 4.3)
                ny += 0.05 * tap(fractal, x * 20.0 + 90.0, y * 20.0, log2_near(foot) + 4.3)
            elif wet > 0.3 and nz > 0.7 and s <= PAVING:
                pool = _puddle(x, y, wet, fractal)
                film[i, j] = wet * (0.3 if s == PAVING else 0.45) * (1.0 - pool) + pool
            ao = float(occlusion[min(i >> 1, half_rows - 1), min(j >> 1, half_columns - 1)])
            lr, lg, lb, share = _light(
                h1, l1, u1, p1, h2, l2, u2, p2, rows, cells, left, low, own_rows, air, s, ao, x, y, z, nx, ny, nz
            )
            r, g, b = r * lr + er, g * lg + eg, b * lb + eb
            if strength > 0.0:
                r, g, b = _reflected(dome, air, r, g, b, f0, strength, power, share, ao, facing, dx, dy, dz, nx, ny, nz)
            r, g, b = _haze(air, dx, dy, dz, far, r, g, b)
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = r, g, b
