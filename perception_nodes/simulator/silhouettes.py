"""Which of a sweep's returns lie in a silhouette, and which of them were stopped in front of it (numba).

Directions are compared by a pseudo-angle: a monotone function of the azimuth that costs one division, in [0, 4) with 0
at the sensor's x axis, growing counter-clockwise.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

COLUMNS = 1440


@njit(cache=True, nogil=True, error_model="numpy")
def pseudo_angle(x, y):
    """0..4 for a direction in the plane: the length of the way round the unit diamond."""
    size = abs(x) + abs(y)
    if size == 0.0:
        return 0.0
    p = x / size
    return min(1.0 - p if y >= 0.0 else 3.0 + p, 3.9999999)


@njit(cache=True, nogil=True, error_model="numpy")
def sort_by_azimuth(xyz, instance):
    """xyz float32 [N, 3] m (sensor frame), instance uint16 [N] -> (starts int64 [COLUMNS + 1], rows float32 [N, 3]:
    pseudo-angle, slope z / horizontal range, range; instance [N]), stably sorted into columns of pseudo-angle."""
    n = len(xyz)
    angle = np.empty(n, np.float32)
    starts = np.zeros(COLUMNS + 2, np.int64)
    scale = np.float32(COLUMNS / 4.0)
    for i in range(n):
        angle[i] = pseudo_angle(float(xyz[i, 0]), float(xyz[i, 1]))
        starts[min(int(angle[i] * scale), COLUMNS - 1) + 2] += 1
    for c in range(1, COLUMNS + 2):
        starts[c] += starts[c - 1]
    rows = np.empty((n, 3), np.float32)
    owner = np.empty(n, np.uint16)
    for i in range(n):
        c = min(int(angle[i] * scale), COLUMNS - 1) + 1
        k = starts[c]
        starts[c] += 1
        x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        flat = np.sqrt(x * x + y * y)
        rows[k, 0] = angle[i]
        rows[k, 1] = z / max(flat, np.float32(1e-3))
        rows[k, 2] = np.sqrt(x * x + y * y + z * z)
        owner[k] = instance[i]
    return starts[: COLUMNS + 1], rows, owner


@njit(cache=True, nogil=True, error_model="numpy")
def count_hidden(starts, rows, owner, first, last, low, high, near, track):
    """(returns in the silhouette, those of them that something else stopped nearer than `near` m).

    The silhouette spans azimuths `first` to `last` (rad, counter-clockwise, less than a turn) and slopes `low` to
    `high`; `starts`, `rows`, `owner` are `sort_by_azimuth`'s; returns of instance `track` hide nothing.
    """
    a = pseudo_angle(math.cos(first), math.sin(first))
    b = pseudo_angle(math.cos(last), math.sin(last))
    total, hidden = 0, 0
    scale = COLUMNS / 4.0
    turns = 1 if a <= b else 2  # a silhouette across the x axis is looked at in two parts
    for turn in range(turns):
        left = a if turn == 0 else 0.0
        right = b if turn == turns - 1 else 4.0
        for i in range(starts[int(left * scale)], starts[min(int(right * scale), COLUMNS - 1) + 1]):
            if left <= rows[i, 0] <= right and low < rows[i, 1] < high:
                total += 1
                if rows[i, 2] < near and owner[i] != track:
                    hidden += 1
    return total, hidden


@njit(cache=True, nogil=True, error_model="numpy")
def unhidden_shares(places, tracks, map_from_sensor, starts, rows, owner, in_front):
    """Share of the returns in each box's silhouette that nothing `in_front` m nearer stopped, float64 [B]; NaN where no
    return lies in it, 1 where the sensor is above or beside the box by less than 0.5 m.

    places float64 [B, 7]: x, y, z of the middle of the base (m, map), yaw (rad), length, width, height (m) · tracks
    int64 [B] · map_from_sensor float64 [4, 4].
    """
    out = np.empty(len(places))
    m = map_from_sensor
    for i in range(len(places)):
        c, s = math.cos(places[i, 3]), math.sin(places[i, 3])
        length, width, height = places[i, 4], places[i, 5], places[i, 6]
        close, near = np.inf, np.inf
        low, high, first, last, middle = np.inf, -np.inf, np.inf, -np.inf, 0.0
        sx, sy = 0.0, 0.0
        for turn in range(2):  # the middle of the silhouette, then its ends about it
            if turn == 1:
                middle = math.atan2(sy, sx)
            for k in range(8):
                along = 0.5 * length if k & 3 in (0, 3) else -0.5 * length
                aside = 0.5 * width if k & 3 < 2 else -0.5 * width
                dx = places[i, 0] + c * along - s * aside - m[0, 3]
                dy = places[i, 1] + s * along + c * aside - m[1, 3]
                dz = places[i, 2] + (height if k > 3 else 0.0) - m[2, 3]
                x = m[0, 0] * dx + m[1, 0] * dy + m[2, 0] * dz
                y = m[0, 1] * dx + m[1, 1] * dy + m[2, 1] * dz
                z = m[0, 2] * dx + m[1, 2] * dy + m[2, 2] * dz
                if turn == 0:
                    flat = math.hypot(x, y)
                    close, near = min(close, flat), min(near, math.sqrt(flat * flat + z * z))
                    slope = z / max(flat, 1e-9)
                    low, high = min(low, slope), max(high, slope)
                    sx, sy = sx + x, sy + y
                else:
                    angle = math.atan2(y, x) - middle
                    angle -= 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
                    first, last = min(first, angle), max(last, angle)
        if close < 0.5:
            out[i] = 1.0
            continue
        total, hidden = count_hidden(
            starts, rows, owner, middle + first, middle + last, low, high, near - in_front, tracks[i]
        )
        out[i] = 1.0 - hidden / total if total else np.nan
    return out
