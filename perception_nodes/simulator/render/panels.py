"""Surfaces that are drawn on the rectangle that two triangles make: windows, plates, signs, vehicle lamps."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.ground import line
from perception_nodes.simulator.render.jit import helper
from perception_nodes.simulator.render.noise import floor_int, hash3, smooth, tap


@helper
def quad(k, t, x, y, z):
    """Place of a point on the rectangle whose half is the right-angled triangle t of `k` float32 [T, 3, 3]: offsets
    from its centre along its two sides and its half lengths (m; the more horizontal side first), and an id that both
    halves share, made from the middle of the longest side (the diagonal)."""
    best = -1.0
    apex = 0
    for i in range(3):
        j = (i + 1) % 3
        m = (i + 2) % 3
        d = (k[t, j, 0] - k[t, m, 0]) ** 2 + (k[t, j, 1] - k[t, m, 1]) ** 2 + (k[t, j, 2] - k[t, m, 2]) ** 2
        if d > best:
            best = d
            apex = i
    j = (apex + 1) % 3
    m = (apex + 2) % 3
    cx = 0.5 * (k[t, j, 0] + k[t, m, 0])
    cy = 0.5 * (k[t, j, 1] + k[t, m, 1])
    cz = 0.5 * (k[t, j, 2] + k[t, m, 2])
    ax = k[t, j, 0] - k[t, apex, 0]
    ay = k[t, j, 1] - k[t, apex, 1]
    az = k[t, j, 2] - k[t, apex, 2]
    bx = k[t, m, 0] - k[t, apex, 0]
    by = k[t, m, 1] - k[t, apex, 1]
    bz = k[t, m, 2] - k[t, apex, 2]
    la = np.sqrt(ax * ax + ay * ay + az * az) + 1e-9
    lb = np.sqrt(bx * bx + by * by + bz * bz) + 1e-9
    u = ((x - cx) * ax + (y - cy) * ay + (z - cz) * az) / la
    v = ((x - cx) * bx + (y - cy) * by + (z - cz) * bz) / lb
    number = floor_int(cx * 7.0 + 0.37) * 7919 + floor_int(cy * 7.0 + 0.37) * 104729 + floor_int(cz * 7.0 + 0.37)
    if abs(az) * lb > abs(bz) * la:
        if az < 0:
            u = -u
        return v, u, 0.5 * lb, 0.5 * la, number
    if bz < 0:
        v = -v
    return u, v, 0.5 * la, 0.5 * lb, number


@helper
def window(u, v, half_u, half_v, number, foot):
    """Frame and mullions of a window: cover 0..1 of the frame, and its brightness."""
    border = 0.055
    w = max(border, 0.7 * foot)
    edge = min(half_u - abs(u), half_v - abs(v))
    frame = (1.0 - smooth(0.6 * w, w + 0.5 * foot, edge)) * min(1.0, border / w)
    style = hash3(number, 1, 61)
    if half_u > 1.6:
        frame = max(frame, line(u + half_u, 1.25, 0.05, foot))
    elif half_u > 0.45 and style < 0.75:
        frame = max(frame, line(u, 4.0 * half_u, 0.05, foot))
    if half_v > 1.7:
        frame = max(frame, line(v + half_v, 3.0, 0.06, foot))
    elif half_v > 0.6 and style > 0.35:
        frame = max(frame, line(v - 0.3 * half_v, 4.0 * half_v, 0.045, foot))
    tone = 0.72 if hash3(number >> 12, 2, 62) < 0.75 else 0.06
    return frame, tone


@helper
def room(u, v, half_u, half_v, number, lamps):
    """What is behind a window: (r, g, b by day, r, g, b of its lamp). Curtains, blinds, lit rooms after dark."""
    kind = hash3(number, 3, 63)
    open_ = 1.0
    if kind < 0.35:  # curtains at both sides
        open_ = smooth(0.05, 0.12, half_u * (0.55 + 0.3 * hash3(number, 4, 64)) - abs(u))
    elif kind < 0.55:  # a blind from above
        open_ = smooth(-0.03, 0.03, half_v * (1.6 * hash3(number, 5, 65) - 0.6) - v)
    r = 0.030 * open_ + 0.26 * (1 - open_)
    g = 0.032 * open_ + 0.25 * (1 - open_)
    b = 0.036 * open_ + 0.23 * (1 - open_)
    share = 0.42 if lamps > 0.9 else 0.3
    if lamps < 0.5 or hash3(number, 6, 66) > share:
        return r, g, b, 0.0, 0.0, 0.0
    power = (0.10 + 0.28 * hash3(number, 7, 67)) * (0.75 + 0.3 * v / half_v) * (0.55 + 0.45 * open_)
    warm = hash3(number, 8, 68)
    return r, g, b, power, power * (0.62 + 0.28 * warm), power * (0.28 + 0.5 * warm)


@helper
def plate(u, v, half_u, half_v, number, foot):
    """Brightness 0..1 of a licence plate: dark characters inside a rim."""
    if abs(u) > 0.93 * half_u or abs(v) > 0.86 * half_v:
        return 0.25
    cell = half_u / 4.5
    i = floor_int(u / cell)
    x = u / cell - i
    if foot > 0.03 or x < 0.15 or abs(v) > 0.62 * half_v:
        return 0.75 if foot <= 0.03 else 0.6
    j = floor_int((v / half_v + 0.62) / 0.25)
    return 0.08 if hash3(number + i, j * 3 + floor_int(x * 3.0), 69) < 0.55 else 0.85


@helper
def sign(u, v, half_u, half_v, number, foot, r, g, b):
    """A sign's sheet: a light rim and a symbol of a few strokes; large ones carry lines of text."""
    rim = 0.06 * min(half_u, half_v)
    bright = max(r, g, b)
    ink = 0.85 if r + g + b < 1.5 * bright + 0.25 else 0.04
    if min(half_u - abs(u), half_v - abs(v)) < rim:
        return 0.8, 0.8, 0.8
    if half_u > 0.75 and foot < 0.06:
        row = floor_int((v + half_v) / 0.32)
        y = (v + half_v) / 0.32 - row
        col = floor_int(u / 0.13)
        reach = half_u * (0.35 + 0.5 * hash3(number, row, 70))
        if 0.25 < y < 0.75 and abs(u) < reach and u / 0.13 - col > 0.25 and hash3(number + col, row, 71) < 0.85:
            return ink, ink, ink
    elif foot < 0.08:
        a = u / half_u
        c = v / half_v
        kind = hash3(number, 9, 72)
        on = (abs(a) < 0.13 and abs(c) < 0.55) or (kind < 0.5 and c > 0.1 and abs(abs(a) + c - 0.6) < 0.14)
        if kind > 0.75:
            on = abs(c) < 0.13 and abs(a) < 0.6
        if on:
            return ink, ink, ink
    return r, g, b


@helper
def grime(z, x, y, lod, fractal):
    """Dirt on a vehicle's lower body, 0..1."""
    return (1.0 - smooth(0.15, 0.75, z)) * (0.35 + 0.25 * tap(fractal, (x + y) * 30.0, z * 30.0, lod + 4.9))
