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

from perception_nodes.classes import point_class
from perception_nodes.simulator.render import built, ground, panels
from perception_nodes.simulator.render.jit import helper, kernel
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
from perception_nodes.simulator.scene import Surface

ASPHALT, LANE_PAINT, PAVING, KERB, GRASS = (
    int(Surface[n]) for n in ("ASPHALT", "LANE_PAINT", "PAVING", "KERB", "GRASS")
)
SOIL, GRAVEL, BRICK, PLASTER, CONCRETE = (int(Surface[n]) for n in ("SOIL", "GRAVEL", "BRICK", "PLASTER", "CONCRETE"))
GLASS, ROOF, BARK, LEAVES, WOOD = (int(Surface[n]) for n in ("GLASS", "ROOF", "BARK", "LEAVES", "WOOD"))
METAL, RAILING, CAR_PAINT, CAR_GLASS = (int(Surface[n]) for n in ("METAL", "RAILING", "CAR_PAINT", "CAR_GLASS"))
RUBBER, PLASTIC, SKIN, CLOTH, SIGN = (int(Surface[n]) for n in ("RUBBER", "PLASTIC", "SKIN", "CLOTH", "SIGN"))
LAMP, HEADLIGHT, TAILLIGHT = (int(Surface[n]) for n in ("LAMP", "HEADLIGHT", "TAILLIGHT"))
LICENCE_PLATE, WATER = int(Surface.LICENCE_PLATE), int(Surface.WATER)
BRAKING, BLINK_LEFT, BLINK_RIGHT, AWAKE = 1, 2, 4, 8  # bits of Stage.states
TRAFFIC_SIGN = point_class("traffic-sign")


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
def _normal(corners, normals, t, x, y, z):
    """Unit normal at a point of triangle t, from its corner normals (barycentric), object frame."""
    nx = normals[t, 0, 0]
    ny = normals[t, 0, 1]
    nz = normals[t, 0, 2]
    if nx == normals[t, 1, 0] and ny == normals[t, 1, 1] and nx == normals[t, 2, 0] and ny == normals[t, 2, 1]:
        return float(nx), float(ny), float(nz)
    ax = corners[t, 1, 0] - corners[t, 0, 0]
    ay = corners[t, 1, 1] - corners[t, 0, 1]
    az = corners[t, 1, 2] - corners[t, 0, 2]
    bx = corners[t, 2, 0] - corners[t, 0, 0]
    by = corners[t, 2, 1] - corners[t, 0, 1]
    bz = corners[t, 2, 2] - corners[t, 0, 2]
    px = x - corners[t, 0, 0]
    py = y - corners[t, 0, 1]
    pz = z - corners[t, 0, 2]
    aa = ax * ax + ay * ay + az * az
    ab = ax * bx + ay * by + az * bz
    bb = bx * bx + by * by + bz * bz
    pa = px * ax + py * ay + pz * az
    pb = px * bx + py * by + pz * bz
    det = 1.0 / (aa * bb - ab * ab + 1e-20)
    s = min(max((bb * pa - ab * pb) * det, 0.0), 1.0)
    q = min(max((aa * pb - ab * pa) * det, 0.0), 1.0)
    w = 1.0 - s - q
    mx = w * nx + s * normals[t, 1, 0] + q * normals[t, 2, 0]
    my = w * ny + s * normals[t, 1, 1] + q * normals[t, 2, 1]
    mz = w * nz + s * normals[t, 1, 2] + q * normals[t, 2, 2]
    size = 1.0 / np.sqrt(mx * mx + my * my + mz * mz + 1e-20)
    return mx * size, my * size, mz * size


@helper
def _ground_colour(s, x, y, foot, lod, r, g, b, grain, fractal, wet):
    if s == ASPHALT:
        return ground.asphalt(x, y, foot, lod, r, g, b, grain, fractal, wet)
    if s == LANE_PAINT:
        return ground.paint(x, y, foot, lod, r, g, b, grain, fractal, wet)
    if s == PAVING:
        return ground.slabs(x, y, foot, lod, r, g, b, grain, fractal, wet)
    if s == GRASS:
        return ground.grass(x, y, foot, lod, r, g, b, grain, fractal, wet)
    size = 0.03 if s == GRAVEL else 0.06
    return ground.loose(x, y, foot, lod, r, g, b, grain, fractal, wet, size)


@helper
def _solid_colour(s, x, y, z, nx, ny, nz, foot, lod, r, g, b, grain, fractal):
    flat = np.sqrt(nx * nx + ny * ny) + 1e-9
    if flat > 0.3:
        u = (-ny * x + nx * y) / flat
        v = z
    else:
        u = x
        v = y
    if s == BRICK:
        return built.brick(u, v, foot, lod, r, g, b, grain, fractal)
    if s == PLASTER:
        return built.plaster(u, v, foot, lod, r, g, b, grain, fractal)
    if s == CONCRETE:
        return built.concrete(u, v, foot, lod, r, g, b, grain, fractal)
    if s == KERB:
        return ground.kerb(u, v, foot, lod, r, g, b, grain, fractal, 0.0)
    if s == ROOF:
        return built.roof(x, y, z, nx, ny, nz, foot, lod, r, g, b, grain, fractal)
    if s == BARK:
        return built.bark(x, y, z, foot, lod, r, g, b, grain, fractal)
    if s == LEAVES:
        return built.leaves(x, y, z, foot, lod, r, g, b, grain, fractal)
    if s == WOOD:
        return built.wood(u, v, foot, lod, r, g, b, grain, fractal)
    if s == CLOTH:
        return built.cloth(x, y, z, foot, lod, r, g, b, grain, fractal)
    return built.metal(u, v, foot, lod, r, g, b, grain, fractal)


@helper
def _panel_colour(s, corners, t, x, y, z, foot, lod, r, g, b, fractal, vehicle, labelled, lamps):
    """Colour, emission and the share of reflection left of surfaces that are drawn on their own rectangle or body."""
    if s == GLASS:
        u, v, hu, hv, number = panels.quad(corners, t, x, y, z)
        frame, tone = panels.window(u, v, hu, hv, number, foot)
        r, g, b, er, eg, eb = panels.room(u, v, hu, hv, number, lamps)
        k = 1.0 - frame
        tone *= frame
        return r * k + tone, g * k + tone, b * k + tone, er * k, eg * k, eb * k, k
    if s == LICENCE_PLATE or (s == SIGN and labelled == TRAFFIC_SIGN):
        u, v, hu, hv, number = panels.quad(corners, t, x, y, z)
        if s == SIGN:
            r, g, b = panels.sign(u, v, hu, hv, number, foot, r, g, b)
        else:
            k = panels.plate(u, v, hu, hv, number, foot)
            r, g, b = k * r, k * g, k * b
    elif s == CAR_PAINT and vehicle:
        k = min(max(panels.grime(z, x, y, lod, fractal), 0.0), 0.6)
        return r * (1 - k) + 0.11 * k, g * (1 - k) + 0.10 * k, b * (1 - k) + 0.085 * k, 0.0, 0.0, 0.0, 1.0 - k
    elif s == CAR_GLASS:
        r, g, b = 0.35 * r, 0.35 * g, 0.35 * b
    return r, g, b, 0.0, 0.0, 0.0, 1.0


@helper
def _lamp(s, state, y, lamps):
    """Emission of a lamp's face, linear RGB."""
    if s == LAMP:
        k = 5.0 * smooth(0.4, 0.9, lamps)
        return k, 0.74 * k, 0.42 * k
    if s == HEADLIGHT:
        k = 7.0 if state & AWAKE and lamps > 0.2 else 0.0
        return k, k, 0.95 * k
    k = 0.0
    if state & AWAKE and lamps > 0.2:
        k = 0.5
    if state & BRAKING:
        k = 2.4
    er, eg, eb = k, 0.035 * k, 0.02 * k
    blink = BLINK_LEFT if y > 0 else BLINK_RIGHT
    if state & blink:
        er, eg, eb = er + 1.6, eg + 0.7, eb + 0.06
    return er, eg, eb


@helper
def _gloss(s):
    """(reflectance at normal incidence, strength of the reflection, log2 of the highlight's power) of a surface."""
    if s == CAR_PAINT:
        return 0.05, 1.0, 8
    if s == GLASS:
        return 0.12, 1.0, 10
    if s == CAR_GLASS:
        return 0.07, 1.0, 10
    if s == METAL:
        return 0.25, 0.4, 5
    if s == HEADLIGHT or s == TAILLIGHT:
        return 0.06, 1.0, 8
    if s == PLASTIC or s == SIGN or s == LICENCE_PLATE:
        return 0.035, 0.6, 5
    if s == WATER:
        return 0.02, 1.0, 9
    return 0.0, 0.0, 0


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
    sunny = air[SUN_RGB] + air[SUN_RGB + 1] > 1e-3
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
            # into the object's frame and back
            lx, ly, lz = x, y, z
            actor = number[o]
            if actor > 0:
                qx, qy, qz = x - poses[o, 0, 3], y - poses[o, 1, 3], z - poses[o, 2, 3]
                lx = poses[o, 0, 0] * qx + poses[o, 1, 0] * qy + poses[o, 2, 0] * qz
                ly = poses[o, 0, 1] * qx + poses[o, 1, 1] * qy + poses[o, 2, 1] * qz
                lz = poses[o, 0, 2] * qx + poses[o, 1, 2] * qy + poses[o, 2, 2] * qz
            onx, ony, onz = _normal(corners, normals, t, lx, ly, lz)
            nx, ny, nz = onx, ony, onz
            if actor > 0:
                nx = poses[o, 0, 0] * onx + poses[o, 0, 1] * ony + poses[o, 0, 2] * onz
                ny = poses[o, 1, 0] * onx + poses[o, 1, 1] * ony + poses[o, 1, 2] * onz
                nz = poses[o, 2, 0] * onx + poses[o, 2, 1] * ony + poses[o, 2, 2] * onz
            facing = -(nx * dx + ny * dy + nz * dz)
            if facing < 0.0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            # what it is made of
            foot = pixel * depth / np.sqrt(max(facing, 0.04))
            lod = log2_near(foot)
            er, eg, eb = 0.0, 0.0, 0.0
            f0, strength, power = _gloss(s)
            if s <= GRAVEL and s != KERB:
                r, g, b = _ground_colour(s, lx, ly, foot, lod, r, g, b, grain, fractal, wet)
                if wet > 0.3 and nz > 0.7 and s <= PAVING:
                    pool = _puddle(x, y, wet, fractal)
                    film[i, j] = wet * (0.3 if s == PAVING else 0.45) * (1.0 - pool) + pool
            elif s == LAMP or s == HEADLIGHT or s == TAILLIGHT:
                er, eg, eb = _lamp(s, states[actor], ly, lamps)
            elif s == WATER:
                nx += 0.05 * tap(fractal, x * 20.0, y * 20.0, lod + 4.3)
                ny += 0.05 * tap(fractal, x * 20.0 + 90.0, y * 20.0, lod + 4.3)
            elif strength > 0.0 and s != METAL:
                r, g, b, er, eg, eb, kept = _panel_colour(
                    s, corners, t, lx, ly, lz, foot, lod, r, g, b, fractal, actor > 0, labels[t], lamps
                )
                strength *= kept
            elif s != RUBBER and s != SKIN:
                r, g, b = _solid_colour(s, lx, ly, lz, onx, ony, onz, foot, lod, r, g, b, grain, fractal)
            # light from the sky, the sun, lamps
            hi, hj = min(i >> 1, half_rows - 1), min(j >> 1, half_columns - 1)
            ao = float(occlusion[hi, hj])
            up = ao * (0.5 + 0.5 * nz)
            down = ao - up
            lr = air[ABOVE] * up + air[BELOW] * down
            lg = air[ABOVE + 1] * up + air[BELOW + 1] * down
            lb = air[ABOVE + 2] * up + air[BELOW + 2] * down
            share = 0.0
            if sunny:
                k, through = _sunlight(s, nx * air[SUN] + ny * air[SUN + 1] + nz * air[SUN + 2])
                if k > 0.0:
                    share = lit(h1, l1, u1, p1, x, y, z, nx, ny, nz)
                    if share > 0.0:
                        share *= lit(h2, l2, u2, p2, x, y, z, nx, ny, nz)
                    k *= share
                    lr += k * air[SUN_RGB]
                    lg += k * air[SUN_RGB + 1]
                    lb += k * air[SUN_RGB + 2] * (1.0 - through)
            if lamps > 0.5:
                ar, ag, ab, own = light_at(rows, cells, left, low, own_rows, x, y, z, nx, ny, nz)
                if own > 0.0 and (s == SIGN or s == LICENCE_PLATE or s == LANE_PAINT):  # sends light back
                    k = 1.0 + (1.0 if s == LANE_PAINT else 4.0) * own / (ar + ag + ab)
                    ar, ag, ab = ar * k, ag * k, ab * k
                lr += ar
                lg += ag
                lb += ab
            r, g, b = r * lr + er, g * lg + eg, b * lb + eb
            if strength > 0.0:
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
            r, g, b = _haze(air, dx, dy, dz, far, r, g, b)
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = r, g, b
