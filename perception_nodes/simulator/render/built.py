"""What is built or grows: brick, plaster, concrete, roof tiles, wood, metal, bark, leaves, cloth.

Walls are textured in (u along the wall, v up; m). Each function returns the filtered diffuse colour, linear RGB.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.ground import line
from perception_nodes.simulator.render.jit import helper
from perception_nodes.simulator.render.noise import floor_int, hash3, smooth, tap


@helper
def brick(u, v, foot, lod, r, g, b, grain, fractal):
    """Courses of 75 mm, bricks of 225 mm in running bond, mortar, soot."""
    row = floor_int(v / 0.075)
    us = u + 0.1125 * (row & 1)
    tone = hash3(floor_int(us / 0.225), row, 21)
    fade = 1.0 - smooth(0.05, 0.2, foot)
    joint = max(line(us, 0.225, 0.011, foot), line(v, 0.075, 0.011, foot))
    k = 1.0 + 0.34 * (tone - 0.5) * fade + 0.06 * tap(grain, u * 80.0, v * 80.0, lod + 6.3)
    k *= 1.0 + 0.08 * tap(fractal, u * 2.2, v * 1.2, lod + 1.1)
    warm = 1.0 + 0.10 * (hash3(floor_int(us / 0.225), row, 22) - 0.5) * fade
    m = 0.34
    return (
        (r * k * warm) * (1 - joint) + m * joint,
        g * k * (1 - joint) + m * 0.96 * joint,
        (b * k * (1 - joint) + m * 0.88 * joint),
    )


@helper
def plaster(u, v, foot, lod, r, g, b, grain, fractal):
    """Render with cloudy stains and rain streaks."""
    k = 1.0 + 0.035 * tap(grain, u * 70.0, v * 70.0, lod + 6.1)
    k += 0.05 * tap(fractal, u * 2.6, v * 2.6, lod + 1.4)
    streak = tap(fractal, u * 14.0, v * 0.9 + 31.0, lod + 2.0)
    k *= 1.0 - 0.06 * smooth(0.3, 2.0, streak)
    return r * k, g * k, b * k


@helper
def concrete(u, v, foot, lod, r, g, b, grain, fractal):
    """Shuttered panels with tie holes and stains."""
    panel = hash3(floor_int(u / 2.4), floor_int(v / 1.2), 31)
    seam = max(line(u, 2.4, 0.015, foot), line(v, 1.2, 0.015, foot))
    k = 1.0 + 0.07 * (panel - 0.5) * (1.0 - smooth(0.5, 2.0, foot))
    k += 0.05 * tap(grain, u * 60.0, v * 60.0, lod + 5.9) + 0.08 * tap(fractal, u * 5.0, v * 3.0, lod + 2.1)
    k -= 0.06 * smooth(0.2, 2.0, tap(fractal, u * 12.0, v * 0.8, lod + 2.0))
    k *= 1.0 - 0.3 * seam
    return r * k, g * k, b * k


@helper
def roof(x, y, z, nx, ny, nz, foot, lod, r, g, b, grain, fractal):
    """Rows of tiles on a pitched roof, felt and gravel on a flat one."""
    flat = np.sqrt(nx * nx + ny * ny)
    if flat < 0.12:
        k = 1.0 + 0.12 * tap(grain, x * 40.0, y * 40.0, lod + 5.3) + 0.1 * tap(fractal, x * 3.0, y * 3.0, lod + 1.6)
        return r * k, g * k, b * k
    u = (-ny * x + nx * y) / flat
    v = z / flat
    row = floor_int(v / 0.32)
    us = u + 0.11 * (row & 1)
    tone = hash3(floor_int(us / 0.22), row, 41)
    fade = 1.0 - smooth(0.08, 0.3, foot)
    step = v / 0.32 - row
    wave = us / 0.22 - np.floor(us / 0.22)
    k = 1.0 + (0.2 * (tone - 0.5) + 0.22 * (step - 0.5) + 0.18 * (0.5 - abs(wave - 0.5) * 2.0)) * fade
    k *= 1.0 - 0.35 * line(v, 0.32, 0.03, foot)
    k += 0.08 * tap(fractal, u * 4.0, v * 4.0, lod + 2.0)
    return r * k, g * k, b * k


@helper
def wood(u, v, foot, lod, r, g, b, grain, fractal):
    """Upright boards with grain along them."""
    board = floor_int(u / 0.14)
    tone = hash3(board, 3, 51)
    k = 1.0 + 0.22 * (tone - 0.5) * (1.0 - smooth(0.1, 0.4, foot))
    k += 0.13 * tap(fractal, u * 90.0 + 37.0 * tone, v * 6.0, lod + 5.0)
    k *= 1.0 - 0.55 * line(u, 0.14, 0.012, foot)
    return r * k, g * k, b * k


@helper
def bark(x, y, z, foot, lod, r, g, b, grain, fractal):
    """Deep vertical furrows."""
    a = np.arctan2(y - np.floor(y) - 0.5, x - np.floor(x) - 0.5)
    k = 1.0 + 0.25 * tap(fractal, (x + y) * 60.0 + a, z * 9.0, lod + 4.5) + 0.1 * tap(grain, x * 70, z * 25, lod + 5)
    k = max(k, 0.3)
    return r * k, g * k, b * k


@helper
def leaves(x, y, z, foot, lod, r, g, b, grain, fractal):
    """Light and dark leaves over lumps of the crown."""
    tone = tap(grain, (x + 0.7 * y) * 17.0, (z - 0.4 * y) * 17.0, lod + 4.1)
    lump = tap(fractal, (x + 0.7 * y) * 14.0, (z - 0.4 * y) * 14.0, lod + 3.8)
    k = max(0.25, 1.0 + 0.22 * tone + 0.20 * lump)
    grey = 0.22 * g
    return (0.78 * r + grey) * k * (1.0 + 0.1 * tone), 0.88 * g * k, (0.8 * b + 0.5 * grey) * k


@helper
def cloth(x, y, z, foot, lod, r, g, b, grain, fractal):
    """Folds and weave."""
    k = (
        1.0
        + 0.10 * tap(fractal, (x + y) * 45.0, z * 18.0, lod + 4.8)
        + 0.05 * tap(grain, (x - y) * 120, z * 120, lod + 7)
    )
    return r * k, g * k, b * k


@helper
def metal(u, v, foot, lod, r, g, b, grain, fractal):
    """Galvanised or painted metal with grime."""
    k = 1.0 + 0.06 * tap(fractal, u * 20.0, v * 4.0, lod + 3.5) + 0.03 * tap(grain, u * 80, v * 80, lod + 6.3)
    return r * k, g * k, b * k
