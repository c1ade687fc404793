"""What a pixel's triangle looks like before light falls on it: normal, colour, emission and gloss, by its surface."""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import point_class
from perception_nodes.simulator.render import built, ground, panels
from perception_nodes.simulator.render.jit import helper, inlined
from perception_nodes.simulator.render.noise import smooth
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
BRAKING, BLINK_LEFT, BLINK_RIGHT, AWAKE = 1, 2, 4, 8  # bits of an actor's state
TRAFFIC_SIGN = point_class("traffic-sign")


@inlined
def normal(corners, normals, t, x, y, z):
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
def ground_colour(s, x, y, foot, lod, r, g, b, grain, fractal, wet):
    """Linear RGB of a ground surface at map point (x, y); `foot`: metres a pixel covers, `lod`: its log2."""
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
def solid_colour(s, x, y, z, nx, ny, nz, foot, lod, r, g, b, grain, fractal):
    """Linear RGB of what is built or grown, at a point (x, y, z) with normal n of its object."""
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


@inlined
def panel_colour(s, corners, t, x, y, z, foot, lod, r, g, b, fractal, vehicle, labelled, lamps):
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
def lamp(s, state, y, lamps):
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
def gloss(s):
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
