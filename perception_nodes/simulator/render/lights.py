"""Artificial light: street lamps, head, tail, brake and indicator lights; a grid says which reach a place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, kernel
from perception_nodes.simulator.render.sky import Air
from perception_nodes.simulator.scene import ActorState, Surface

CELL = 8.0  # m
CELLS = 36  # grid side: 288 m about the ego
PER_CELL = 12
OMNI, STREET, BEAM = 0.0, 1.0, 2.0
_WARM = np.array([1.0, 0.72, 0.40])
_COOL = np.array([0.95, 0.97, 1.0])
_HALOGEN = np.array([1.0, 0.88, 0.70])
_RED = np.array([1.0, 0.045, 0.02])
_AMBER = np.array([1.0, 0.42, 0.04])
_HEADLIGHTS = np.array([[3.55, 0.62, 0.68], [3.55, -0.62, 0.68]])  # of the ego, base frame


class Lights(NamedTuple):
    """`rows` float32 [L, 10]: position, direction, colour (radiant intensity), kind; `cells` int32 [S, S, PER_CELL + 1]
    (count, then indices); `corner` float64 [2] is the grid's corner in map. The first `own` rows are the ego's."""

    rows: NDArray[np.float32]
    cells: NDArray[np.int32]
    corner: NDArray[np.float64]
    own: int


@kernel
def _spread(rows, corner, cells):
    side = cells.shape[0]
    for k in range(len(rows)):
        kind = rows[k, 9]
        radius = 24.0 if kind == STREET else (22.0 if kind == BEAM else 6.0)
        ahead = 20.0 if kind == BEAM else 0.0
        x = rows[k, 0] + ahead * rows[k, 3] - corner[0]
        y = rows[k, 1] + ahead * rows[k, 4] - corner[1]
        for j in range(max(0, int((y - radius) / CELL)), min(side, int((y + radius) / CELL) + 1)):
            for i in range(max(0, int((x - radius) / CELL)), min(side, int((x + radius) / CELL) + 1)):
                ex = max(i * CELL - x, 0.0, x - (i + 1) * CELL)
                ey = max(j * CELL - y, 0.0, y - (j + 1) * CELL)
                n = cells[j, i, 0]
                if ex * ex + ey * ey < radius * radius and n < PER_CELL:
                    cells[j, i, n + 1] = k
                    cells[j, i, 0] = n + 1


@helper
def light_at(rows, cells, left, low, owned, x, y, z, nx, ny, nz):
    """Light that reaches a surface point with a unit normal: (r, g, b of all, r + g + b of the ego's own beams)."""
    r = 0.0
    g = 0.0
    b = 0.0
    own = 0.0
    i = np.int64((x - left) / CELL)
    j = np.int64((y - low) / CELL)
    side = cells.shape[0]
    if i < 0 or j < 0 or i >= side or j >= side:
        return r, g, b, own
    for n in range(1, cells[j, i, 0] + 1):
        k = cells[j, i, n]
        dx = rows[k, 0] - x
        dy = rows[k, 1] - y
        dz = rows[k, 2] - z
        d2 = dx * dx + dy * dy + dz * dz
        inv = 1.0 / np.sqrt(d2 + 1e-6)
        facing = (dx * nx + dy * ny + dz * nz) * inv
        if facing <= 0.0:
            facing = 0.06 if rows[k, 9] == STREET else 0.0
        e = facing / (d2 + 0.5)
        if rows[k, 9] == STREET:  # shielded above, wide below
            down = dz * inv
            e *= 0.0 if down < 0.05 else min(1.0, 0.15 + 1.2 * down)
        elif rows[k, 9] == BEAM:
            forward = -(dx * rows[k, 3] + dy * rows[k, 4])
            if forward < 0.3:
                continue
            side_ = (-dx * rows[k, 4] + dy * rows[k, 3]) / forward
            rise = -dz / forward + 0.012
            beam = np.exp(-side_ * side_ * 9.0)
            if rise > 0.0:  # above the cut-off only stray light
                beam *= 0.05 + 0.95 * np.exp(-rise * 60.0)
            else:
                beam *= np.exp(rise * 5.0)
            e *= beam
        r += e * rows[k, 6]
        g += e * rows[k, 7]
        b += e * rows[k, 8]
        if k < owned:
            own += e * (rows[k, 6] + rows[k, 7] + rows[k, 8])
    return r, g, b, own


def _row(p, d, colour, kind) -> list[float]:
    return [*p, *d, *colour, kind]


def _vehicle(actor: ActorState, lamps: NDArray[np.float32], air: Air, time: float, rows: list, halos: list) -> None:
    """Adds a vehicle's light sources and halos; a vehicle at rest with no brake light is parked and dark."""
    blink = actor.indicator != 0 and (time * 1.5) % 1.0 < 0.5
    awake = float(np.hypot(*actor.velocity)) > 0.3 or actor.braking or actor.indicator != 0
    if not (actor.braking or blink or (awake and air.lamps > 0.2)):
        return  # dark
    c, s = np.cos(actor.yaw), np.sin(actor.yaw)
    for x, y, z, surface in lamps.astype(np.float64):
        p = np.array([actor.xyz[0] + c * x - s * y, actor.xyz[1] + s * x + c * y, actor.xyz[2] + z])
        head = surface == Surface.HEADLIGHT
        d = np.array([c, s, 0.0]) if head else np.array([-c, -s, 0.0])
        p = p + 0.06 * d
        if awake and head and air.lamps > 0.2:
            if air.lamps > 0.5:
                rows.append(_row(p, d, 40.0 * _COOL, BEAM))
            halos.append([*p, *(9.0 * _COOL), 0.11, 1.0, *d[:2]])
        elif not head and (actor.braking or (awake and air.lamps > 0.2)):
            power = 3.2 if actor.braking else 0.6
            if air.lamps > 0.5:
                rows.append(_row(p, d, 0.12 * power * _RED, OMNI))
            halos.append([*p, *(power * _RED), 0.10, 1.0, *d[:2]])
        if blink and (y > 0) == (actor.indicator > 0):
            halos.append([*(p + np.array([0, 0, 0.02])), *(2.2 * _AMBER), 0.09, 1.0, *d[:2]])


def gather(
    actors: list[tuple[ActorState, NDArray[np.float32]]],
    lamps: NDArray[np.float32],
    map_from_base: NDArray[np.float64],
    time: float,
    air: Air,
) -> tuple[Lights, NDArray[np.float32]]:
    """Light sources and halos of a moment. `actors` come with their shapes' lamps (`Library.part`). Halos float32
    [G, 10]: position, colour, lamp radius (m), 1 if it faces one way, that way (x, y)."""
    rows: list = []
    halos: list = []
    ego = map_from_base[:3, 3]
    own = 0
    if air.lamps > 0.5:
        for p in _HEADLIGHTS @ map_from_base[:3, :3].T + ego:
            rows.append(_row(p, map_from_base[:3, 0], 46.0 * _HALOGEN, BEAM))
        own = len(rows)
    near = lamps[np.hypot(*(lamps[:, :2] - ego[:2]).T) < 150.0] if len(lamps) else lamps.reshape(0, 3)
    if air.lamps > 0.5:
        for p in near:
            rows.append(_row(p, (0, 0, -1), 13.0 * air.lamps * _WARM, STREET))
            halos.append([*p, *(7.0 * air.lamps * _WARM), 0.16, 0.0, 0.0, 0.0])
    for actor, lamp in sorted(actors, key=lambda a: (np.hypot(a[0].xyz[0] - ego[0], a[0].xyz[1] - ego[1]),
                                                    a[0].track_id)):  # fmt: skip
        if len(lamp):
            _vehicle(actor, lamp, air, time, rows, halos)
    table = np.array(rows, np.float32).reshape(-1, 10)
    cells = np.zeros((CELLS, CELLS, PER_CELL + 1), np.int32)
    corner = ego[:2] - CELL * CELLS / 2
    _spread(table, corner, cells)
    return Lights(table, cells, corner, own), np.array(halos, np.float32).reshape(-1, 10)
