"""What the ground is made of: asphalt, road paint, slabs, kerbs, grass, soil, gravel.

Each function takes a point (m; map or object frame), the pixel's footprint there (m) and the base colour, and returns
the filtered diffuse colour, linear RGB.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.jit import helper
from perception_nodes.simulator.render.noise import floor_int, hash3, smooth, tap


@helper
def line(x, pitch, width, foot):
    """Filtered cover 0..1 of lines `width` wide at every multiple of `pitch` (all m), seen with footprint `foot`."""
    t = x / pitch
    d = abs(t - np.floor(t + 0.5)) * pitch
    far = smooth(0.25 * pitch, 0.8 * pitch, foot)
    if far >= 1.0:
        return width / pitch
    w = max(width, foot)
    near = (1.0 - smooth(0.5 * w - 0.5 * min(foot, w), 0.5 * w + 0.5 * foot + 1e-4, d)) * (width / w)
    return near * (1.0 - far) + far * width / pitch


@helper
def asphalt(x, y, foot, lod, r, g, b, grain, fractal, wet):
    """Aggregate, stains, patches, sealed cracks and manhole covers."""
    fine = tap(grain, x * 90.0, y * 90.0, lod + 6.5)
    coarse = tap(grain, x * 23.0, y * 23.0, lod + 4.5)
    stain = tap(fractal, x * 9.0, y * 9.0, lod + 3.2)
    wide = tap(fractal, x * 0.9 + 71.0, y * 0.9, lod - 0.15)
    k = 1.0 + 0.17 * fine + 0.07 * coarse + 0.06 * stain + 0.10 * wide
    ci = floor_int(x / 7.0)
    cj = floor_int(y / 7.0)
    if hash3(ci, cj, 11) < 0.07:  # a dug-up and refilled patch
        px = x / 7.0 - ci
        py = y / 7.0 - cj
        w = 0.25 + 0.2 * hash3(ci, cj, 12)
        h = 0.12 + 0.25 * hash3(ci, cj, 13)
        inside = (1.0 - smooth(w, w + 0.01 + foot / 7, abs(px - 0.5))) * (
            1.0 - smooth(h, h + 0.01 + foot / 7, abs(py - 0.5))
        )
        k *= 1.0 - 0.22 * inside
    if foot < 0.25:
        crack = tap(fractal, x * 5.1 + 33.0, y * 5.1, lod + 2.4) + 0.35 * tap(fractal, x * 31.0, y * 31.0, lod + 5)
        where = smooth(0.1, 0.9, tap(fractal, x * 1.3, y * 1.3 + 50.0, 0.0))
        k *= 1.0 - 0.42 * where * (1.0 - smooth(0.02, 0.05 + 0.4 * foot, abs(crack))) * (1.0 - 4.0 * foot)
    mi = floor_int(x / 17.0)
    mj = floor_int(y / 17.0)
    mx = x - (mi + 0.2 + 0.6 * hash3(mi, mj, 5)) * 17.0
    my = y - (mj + 0.2 + 0.6 * hash3(mi, mj, 6)) * 17.0
    d = np.sqrt(mx * mx + my * my)
    if d < 0.5 and hash3(mi, mj, 7) < 0.7:
        cover = 1.0 - smooth(0.30, 0.32 + foot, d)
        ring = 1.0 - smooth(0.015, 0.03 + foot, abs(d - 0.34))
        ribs = 0.75 + 0.5 * line(mx + 0.5 * np.floor(my / 0.08) * 0.05, 0.1, 0.05, foot)
        k = k * (1.0 - cover) + 0.62 * ribs * cover
        k *= 1.0 - 0.5 * ring
    k *= 1.0 - 0.45 * wet
    k = max(k, 0.15)
    return r * k, g * k, b * k * (1.0 + 0.02 * stain)


@helper
def wear(x, y, lod, grain, fractal):
    """(share of road paint that is worn through to the asphalt at a map point, how old the paint is about there). The
    LiDAR's receiver asks for it too, so that what is pale in the picture returns more light."""
    worn = tap(fractal, x * 38.0, y * 38.0, lod + 5.2) + 0.8 * tap(grain, x * 70.0, y * 70.0, lod + 6.1)
    local = tap(fractal, x * 1.1, y * 1.1 + 9.0, lod)
    return 0.75 * smooth(0.75, 1.7, worn + 0.55 * local), local


@helper
def paint(x, y, foot, lod, r, g, b, grain, fractal, wet):
    """Road paint, worn through to the asphalt in spots."""
    w, local = wear(x, y, lod, grain, fractal)
    dirt = (1.0 - 0.10 * max(local, -1.0)) * 0.88
    k = (1.0 - 0.25 * wet) * dirt
    a = 0.075 * (1.0 - 0.4 * wet)
    return r * k * (1 - w) + a * w, g * k * (1 - w) + a * w, b * k * (1 - w) + a * w


@helper
def slabs(x, y, foot, lod, r, g, b, grain, fractal, wet):
    """Concrete slabs 0.6 m by 0.4 m in running bond, each of its own shade."""
    row = floor_int(y / 0.4)
    xs = x + 0.3 * (row & 1)
    tone = hash3(floor_int(xs / 0.6), row, 3)
    joint = max(line(xs, 0.6, 0.012, foot), line(y, 0.4, 0.012, foot))
    fade = 1.0 - smooth(0.15, 0.6, foot)
    k = 1.0 + 0.16 * (tone - 0.5) * fade
    k += 0.05 * tap(grain, x * 60.0, y * 60.0, lod + 5.9) + 0.09 * tap(fractal, x * 6.0, y * 6.0, lod + 2.6)
    k *= (1.0 - 0.45 * joint) * (1.0 - 0.35 * wet)
    return r * k, g * k, b * k


@helper
def kerb(u, v, foot, lod, r, g, b, grain, fractal, wet):
    """Kerb stones a metre long."""
    k = 1.0 - 0.5 * line(u, 1.0, 0.015, foot)
    k += 0.07 * tap(grain, u * 50.0, v * 50.0, lod + 5.6) + 0.08 * tap(fractal, u * 5.0, v * 5.0, lod + 2.3)
    k *= 0.95 + 0.1 * hash3(floor_int(u), 5, 9)
    k *= 1.0 - 0.35 * wet
    return r * k, g * k, b * k


@helper
def grass(x, y, foot, lod, r, g, b, grain, fractal, wet):
    """Blades, tufts and dry patches."""
    blade = tap(grain, x * 55.0, y * 55.0, lod + 5.8)
    tuft = tap(grain, x * 9.0, y * 9.0, lod + 3.2)
    patch = tap(fractal, x * 3.0, y * 3.0, lod + 1.6)
    dry = smooth(0.3, 2.0, tap(fractal, x * 0.7, y * 0.7 + 40.0, lod - 0.5) + 0.3 * patch)
    k = max(0.25, 1.0 + 0.26 * blade + 0.14 * tuft + 0.15 * patch) * (1.0 - 0.25 * wet)
    grey = 0.2 * g
    return (0.85 * r + grey) * (1 + 0.5 * dry) * k, 0.9 * g * (1 + 0.1 * dry) * k, (0.85 * b + 0.6 * grey) * k


@helper
def loose(x, y, foot, lod, r, g, b, grain, fractal, wet, size):
    """Soil and gravel: lumps of about `size` m."""
    s = 1.0 / size
    lump = tap(grain, x * s, y * s, lod + np.log2(s))
    fine = tap(grain, x * s * 3.7, y * s * 3.7, lod + np.log2(s * 3.7))
    patch = tap(fractal, x * 3.0, y * 3.0, lod + 1.6)
    k = max(0.3, 1.0 + 0.2 * lump + 0.12 * fine + 0.12 * patch) * (1.0 - 0.4 * wet)
    return r * k, g * k, b * k * (1 - 0.03 * patch)
