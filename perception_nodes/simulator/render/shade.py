"""Colour of every pixel: one procedural shader over the visibility buffer, by surface, light and air.

Diffuse surfaces take the sun through two shadow maps, the sky as two ambient hemispheres under ambient occlusion, and
artificial lights; car paint, glass and metal add Fresnel reflections of the dome (C. Schlick, 1994) and the sun's
highlight (J. Blinn, 1977). Wet ground is left to `reflect.py`, which sees the finished picture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception_nodes.simulator.render import built, ground, panels
from perception_nodes.simulator.render.lights import Lights, light_at
from perception_nodes.simulator.render.noise import Textures, smooth, tap
from perception_nodes.simulator.render.raster import Objects
from perception_nodes.simulator.render.shadows import ShadowMap, lit
from perception_nodes.simulator.render.sky import Air, mirror, sky
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


class Stage(NamedTuple):
    """What a drive's pixels share at one moment. `states` uint8 [A + 1]: lights of actor `number` (0: the world)."""

    objects: Objects
    states: NDArray[np.uint8]
    air: Air
    dome: NDArray[np.float32]
    tex: Textures
    fixed: ShadowMap
    moving: ShadowMap
    lights: Lights


@njit(cache=True)
def _normal(corners, normals, x, y, z):
    """Unit normal at a point of a triangle, from its corner normals (barycentric), object frame."""
    n0 = normals[0]
    n1 = normals[1]
    if n0[0] == n1[0] and n0[1] == n1[1] and n0[2] == n1[2] and n0[2] == normals[2, 2] and n0[0] == normals[2, 0]:
        return n0[0], n0[1], n0[2]
    ax = corners[1, 0] - corners[0, 0]
    ay = corners[1, 1] - corners[0, 1]
    az = corners[1, 2] - corners[0, 2]
    bx = corners[2, 0] - corners[0, 0]
    by = corners[2, 1] - corners[0, 1]
    bz = corners[2, 2] - corners[0, 2]
    px = x - corners[0, 0]
    py = y - corners[0, 1]
    pz = z - corners[0, 2]
    aa = ax * ax + ay * ay + az * az
    ab = ax * bx + ay * by + az * bz
    bb = bx * bx + by * by + bz * bz
    pa = px * ax + py * ay + pz * az
    pb = px * bx + py * by + pz * bz
    det = aa * bb - ab * ab + 1e-20
    s = min(max((bb * pa - ab * pb) / det, 0.0), 1.0)
    t = min(max((aa * pb - ab * pa) / det, 0.0), 1.0)
    w = 1.0 - s - t
    nx = w * n0[0] + s * n1[0] + t * normals[2, 0]
    ny = w * n0[1] + s * n1[1] + t * normals[2, 1]
    nz = w * n0[2] + s * n1[2] + t * normals[2, 2]
    size = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    return nx * size, ny * size, nz * size


@njit(cache=True)
def _ground_colour(s, x, y, foot, lod, r, g, b, tex, wet):
    if s == ASPHALT:
        return ground.asphalt(x, y, foot, lod, r, g, b, tex, wet)
    if s == LANE_PAINT:
        return ground.paint(x, y, foot, lod, r, g, b, tex, wet)
    if s == PAVING:
        return ground.slabs(x, y, foot, lod, r, g, b, tex, wet)
    if s == GRASS:
        return ground.grass(x, y, foot, lod, r, g, b, tex, wet)
    size = 0.03 if s == GRAVEL else 0.06
    return ground.loose(x, y, foot, lod, r, g, b, tex, wet, size)


@njit(cache=True)
def _solid_colour(s, x, y, z, nx, ny, nz, foot, lod, r, g, b, tex):
    flat = np.sqrt(nx * nx + ny * ny) + 1e-9
    if flat > 0.3:
        u = (-ny * x + nx * y) / flat
        v = z
    else:
        u = x
        v = y
    if s == BRICK:
        return built.brick(u, v, foot, lod, r, g, b, tex)
    if s == PLASTER:
        return built.plaster(u, v, foot, lod, r, g, b, tex)
    if s == CONCRETE:
        return built.concrete(u, v, foot, lod, r, g, b, tex)
    if s == KERB:
        return ground.kerb(u, v, foot, lod, r, g, b, tex, 0.0)
    if s == ROOF:
        return built.roof(x, y, z, nx, ny, nz, foot, lod, r, g, b, tex)
    if s == BARK:
        return built.bark(x, y, z, foot, lod, r, g, b, tex)
    if s == LEAVES:
        return built.leaves(x, y, z, foot, lod, r, g, b, tex)
    if s == WOOD:
        return built.wood(u, v, foot, lod, r, g, b, tex)
    if s == CLOTH:
        return built.cloth(x, y, z, foot, lod, r, g, b, tex)
    return built.metal(u, v, foot, lod, r, g, b, tex)


@njit(cache=True)
def _lamp(s, state, y, r, g, b, lamps):
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


@njit(cache=True)
def _gloss(s):
    """(reflectance at normal incidence, strength of the reflection, power of the highlight) of a surface."""
    if s == CAR_PAINT:
        return 0.05, 1.0, 260.0
    if s == GLASS or s == CAR_GLASS:
        return 0.07, 1.0, 900.0
    if s == METAL:
        return 0.25, 0.4, 30.0
    if s == HEADLIGHT or s == TAILLIGHT:
        return 0.06, 1.0, 200.0
    if s == PLASTIC or s == SIGN or s == LICENCE_PLATE:
        return 0.035, 0.6, 40.0
    if s == WATER:
        return 0.02, 1.0, 600.0
    return 0.0, 0.0, 0.0


@njit(cache=True)
def _haze(air, dome, dx, dy, dz, far, r, g, b):
    """Attenuates a colour over `far` m and adds the air's own light."""
    t = np.exp(-air.density * far)
    to_sun = dx * air.sun[0] + dy * air.sun[1] + dz * air.sun[2]
    halo = max(to_sun, 0.0)
    halo = 0.45 * halo**6
    lamp = 0.02 * air.lamps * air.lamps * min(1.0, air.density * 60.0)
    k = 1.0 - t
    r = r * t + k * (air.horizon[0] + air.glow[0] * halo + lamp)
    g = g * t + k * (air.horizon[1] + air.glow[1] * halo + 0.8 * lamp)
    b = b * t + k * (air.horizon[2] + air.glow[2] * halo + 0.6 * lamp)
    return r, g, b


@njit(cache=True)
def _puddle(x, y, wet, tex):
    """How much of wet ground is a standing film, 0..1."""
    if wet <= 0.3:
        return 0.0
    return smooth(0.9 - 0.5 * wet, 1.5 - 0.5 * wet, tap(tex.fractal, x * 2.3 + 7.0, y * 2.3, 0.0)) * wet


@njit(cache=True, nogil=True)
def shade(drawn, ids, inverse, occlusion, geometry, stage, view, top, stop, out, film):
    """Rows [top, stop): linear RGB into `out` float32 [H, W, 3] and the mirror strength of wet ground (0: none, up to
    1: a puddle) into `film` float32 [H, W]. `occlusion` float32 [h, w] is ambient light 0..1 at half size."""
    air = stage.air
    pixel = 1.0 / view.fx
    wet = air.wet
    sunny = air.sun_rgb[0] + air.sun_rgb[1] > 1e-3
    lit_lamps = air.lamps > 0.5
    t3 = view.turn
    for i in range(top, stop):
        cy = (i - view.cy) / view.fy
        for j in range(view.width):
            cx = (j - view.cx) / view.fx
            dx = t3[0, 0] * cx + t3[0, 1] * cy + t3[0, 2]
            dy = t3[1, 0] * cx + t3[1, 1] * cy + t3[1, 2]
            dz = t3[2, 0] * cx + t3[2, 1] * cy + t3[2, 2]
            reach = np.sqrt(dx * dx + dy * dy + dz * dz)
            film[i, j] = 0.0
            m = ids[i, j]
            if m < 0:
                dx /= reach
                dy /= reach
                dz /= reach
                r, g, b = sky(stage.dome, air, dx, dy, dz)
                if dz <= 0.0:
                    r, g, b = _haze(air, stage.dome, dx, dy, dz, min(1.7 / max(-dz, 1e-3), 900.0), r, g, b)
                elif air.density > 0.004:
                    r, g, b = _haze(air, stage.dome, dx, dy, dz, min(60.0 / max(dz, 0.05), 400.0), r, g, b)
                out[i, j, 0] = r
                out[i, j, 1] = g
                out[i, j, 2] = b
                continue
            depth = 1.0 / inverse[i, j]
            x = view.eye[0] + dx * depth
            y = view.eye[1] + dy * depth
            z = view.eye[2] + dz * depth
            dx /= reach
            dy /= reach
            dz /= reach
            o = drawn.source[m, 0]
            t = drawn.source[m, 1]
            s = geometry.surface[t]
            r = float(geometry.colour[t, 0])
            g = float(geometry.colour[t, 1])
            b = float(geometry.colour[t, 2])
            lx, ly, lz = x, y, z
            actor = stage.objects.number[o]
            pose = stage.objects.poses[o]
            if actor > 0:
                qx = x - pose[0, 3]
                qy = y - pose[1, 3]
                qz = z - pose[2, 3]
                lx = pose[0, 0] * qx + pose[1, 0] * qy + pose[2, 0] * qz
                ly = pose[0, 1] * qx + pose[1, 1] * qy + pose[2, 1] * qz
                lz = pose[0, 2] * qx + pose[1, 2] * qy + pose[2, 2] * qz
            onx, ony, onz = _normal(geometry.corners[t], geometry.normals[t], lx, ly, lz)
            nx, ny, nz = onx, ony, onz
            if actor > 0:
                nx = pose[0, 0] * onx + pose[0, 1] * ony + pose[0, 2] * onz
                ny = pose[1, 0] * onx + pose[1, 1] * ony + pose[1, 2] * onz
                nz = pose[2, 0] * onx + pose[2, 1] * ony + pose[2, 2] * onz
            facing = -(nx * dx + ny * dy + nz * dz)
            if facing < 0.0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            far = depth * reach
            foot = pixel * depth / np.sqrt(max(facing, 0.04))
            lod = np.log2(foot)
            er = 0.0
            eg = 0.0
            eb = 0.0
            f0, strength, power = _gloss(s)
            retro = 1.0
            if s <= GRAVEL and s != KERB:
                r, g, b = _ground_colour(s, lx, ly, foot, lod, r, g, b, stage.tex, wet)
                if s == LANE_PAINT:
                    retro = 2.0
                if wet > 0.2 and nz > 0.7 and s <= PAVING:
                    pool = _puddle(x, y, wet, stage.tex)
                    film[i, j] = wet * (0.35 if s == PAVING else 0.5) * (1.0 - pool) + pool
            elif s == GLASS:
                u, v, hu, hv, number = panels.quad(geometry.corners[t], lx, ly, lz)
                frame, tone = panels.window(u, v, hu, hv, number, foot)
                r, g, b, er, eg, eb = panels.room(u, v, hu, hv, number, air.lamps)
                r = r * (1 - frame) + tone * frame
                g = g * (1 - frame) + tone * frame
                b = b * (1 - frame) + tone * frame
                er *= 1 - frame
                eg *= 1 - frame
                eb *= 1 - frame
                strength *= 1 - frame
                f0 = 0.12
            elif s == CAR_GLASS:
                r, g, b = 0.35 * r, 0.35 * g, 0.35 * b
            elif s == CAR_PAINT:
                dirt = panels.grime(lz, lx, ly, lod, stage.tex) if actor > 0 else 0.0
                dirt = min(max(dirt, 0.0), 0.6)
                r = r * (1 - dirt) + 0.11 * dirt
                g = g * (1 - dirt) + 0.10 * dirt
                b = b * (1 - dirt) + 0.085 * dirt
                strength = 1.0 - dirt
            elif s == LAMP or s == HEADLIGHT or s == TAILLIGHT:
                er, eg, eb = _lamp(s, stage.states[actor], ly, r, g, b, air.lamps)
            elif s == LICENCE_PLATE:
                u, v, hu, hv, number = panels.quad(geometry.corners[t], lx, ly, lz)
                k = panels.plate(u, v, hu, hv, number, foot)
                r, g, b = k * r, k * g, k * b
                retro = 4.0
            elif s == SIGN:
                u, v, hu, hv, number = panels.quad(geometry.corners[t], lx, ly, lz)
                r, g, b = panels.sign(u, v, hu, hv, number, foot, r, g, b)
                retro = 5.0
            elif s == WATER:
                k = 0.05
                nx += k * tap(stage.tex.fractal, x * 20.0, y * 20.0, lod + 4.3)
                ny += k * tap(stage.tex.fractal, x * 20.0 + 90.0, y * 20.0, lod + 4.3)
            elif s != RUBBER and s != PLASTIC and s != SKIN:
                r, g, b = _solid_colour(s, lx, ly, lz, onx, ony, onz, foot, lod, r, g, b, stage.tex)
            # light from the sky, under ambient occlusion
            hi = min(i >> 1, occlusion.shape[0] - 1)
            hj = min(j >> 1, occlusion.shape[1] - 1)
            ao = float(occlusion[hi, hj])
            up = 0.5 + 0.5 * nz
            lr = ao * (air.above[0] * up + air.below[0] * (1.0 - up))
            lg = ao * (air.above[1] * up + air.below[1] * (1.0 - up))
            lb = ao * (air.above[2] * up + air.below[2] * (1.0 - up))
            share = 0.0
            if sunny:
                cosine = nx * air.sun[0] + ny * air.sun[1] + nz * air.sun[2]
                through = 0.0
                if s == LEAVES:
                    through = 0.35 * abs(cosine) if cosine < 0.0 else 0.0
                    cosine = 0.25 + 0.6 * max(cosine, 0.0)
                if cosine > 0.0 or through > 0.0:
                    slope = 1.0 / max(cosine, 0.2)
                    share = lit(stage.fixed, x, y, z, slope)
                    if share > 0.0:
                        share *= lit(stage.moving, x, y, z, slope)
                    k = share * (max(cosine, 0.0) + through)
                    lr += k * air.sun_rgb[0]
                    lg += k * air.sun_rgb[1]
                    lb += k * air.sun_rgb[2] * (1.0 - 0.4 * through)
            if lit_lamps:
                ar, ag, ab, own = light_at(stage.lights, x, y, z, nx, ny, nz)
                if retro > 1.0:
                    k = (retro - 1.0) * own / (ar + ag + ab + 1e-9)
                    ar, ag, ab = ar * (1 + k), ag * (1 + k), ab * (1 + k)
                lr += ar
                lg += ag
                lb += ab
            r = r * lr + er
            g = g * lg + eg
            b = b * lb + eb
            if strength > 0.0:
                c1 = 1.0 - min(facing, 1.0)
                c2 = c1 * c1
                f = (f0 + (1.0 - f0) * c2 * c2 * c1) * strength
                rx = dx + 2.0 * facing * nx
                ry = dy + 2.0 * facing * ny
                rz = dz + 2.0 * facing * nz
                mr, mg, mb = mirror(stage.dome, air, rx, ry, rz)
                shine = 0.0
                if share > 0.0:
                    hx = air.sun[0] - dx
                    hy = air.sun[1] - dy
                    hz = air.sun[2] - dz
                    nh = (hx * nx + hy * ny + hz * nz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
                    if nh > 0.7:
                        shine = share * strength * (f0 + 0.1) * 0.12 * np.sqrt(power) * nh**power
                k = f * (0.35 + 0.65 * ao)
                r = r * (1 - f) + k * mr + shine * air.sun_rgb[0]
                g = g * (1 - f) + k * mg + shine * air.sun_rgb[1]
                b = b * (1 - f) + k * mb + shine * air.sun_rgb[2]
            r, g, b = _haze(air, stage.dome, dx, dy, dz, far, r, g, b)
            out[i, j, 0] = r
            out[i, j, 1] = g
            out[i, j, 2] = b
