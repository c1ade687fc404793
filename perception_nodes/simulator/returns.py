"""The LiDAR's receiver: turns ray hits into returns with range, intensity and label, or into none.

p(return) = 1 - exp(-k rho cos(theta) exp(-2 alpha r) / r^2). Randomness is a hash of (seed, ray, purpose): no state.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import IGNORE
from perception_nodes.simulator.jit import lean, maker
from perception_nodes.simulator.packets import coin
from perception_nodes.simulator.raycast import NOTHING, STATIC
from perception_nodes.simulator.render.ground import wear
from perception_nodes.simulator.render.noise import log2_near
from perception_nodes.simulator.scene import Surface

_PAINTED, _ROAD_PAINT, _ASPHALT = int(Surface.CAR_PAINT), int(Surface.LANE_PAINT), int(Surface.ASPHALT)
# brightness of the catalogue's cars, mean and 1 sigma; share of the spread of car paint's reflectivity that follows it
_CAR_SHADE, _CAR_SPREAD, _BY_COLOUR = np.float32(0.58), np.float32(0.33), np.float32(0.8)
_NO_SURFACE = 255
EGO = -3  # actor of a hit on the recording vehicle itself

# purposes of the hash, apart from the triangle numbers of the ray caster
_LOSS, _NOISE_A, _NOISE_B, _SPECKLE, _MIX, _MIX_WHERE, _BLOOM, _AIR, _AIR_WHERE, _PAINT, _PILE = range(
    1 << 40, (1 << 40) + 11
)


@lean
def _normal(seed, ray, purpose):
    """Nearly standard normal from one hash: the sum of its four 16-bit parts (at most 3.4 sigma)."""
    x = np.uint64(seed) + np.uint64(ray) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(purpose) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    part = np.uint64(0xFFFF)
    total = (x & part) + ((x >> np.uint64(16)) & part) + ((x >> np.uint64(32)) & part) + (x >> np.uint64(48))
    return (np.float32(total) - np.float32(131070.0)) * np.float32(2.6429e-05)  # sqrt(3) / 65536


@lean
def _surfaces(first, triangle, actor, static_surface, shape_surface, out):
    """Surface of every hit of columns `first` - 1 to `last` (around the turn) into `out` uint8 [last - first + 2, B];
    _NO_SURFACE where there is none."""
    columns, beams = actor.shape
    for k in range(len(out)):
        c = (first - 1 + k) % columns
        for b in range(beams):
            who = actor[c, b]
            if who == STATIC:
                out[k, b] = static_surface[triangle[c, b]]
            elif who >= 0:
                out[k, b] = shape_surface[triangle[c, b]]
            else:
                out[k, b] = _PAINTED if who == EGO else _NO_SURFACE


@lean
def _edge(c, b, r, distance, actor, footprint, seed, ray):
    """Range of a beam that an edge splits: part of it goes on to what its neighbour in the ring sees."""
    columns = distance.shape[0]
    side = 1 if coin(seed, ray, _MIX) < np.float32(0.5) else columns - 1
    n = (c + side) % columns
    if actor[n, b] == NOTHING:
        return r
    gap = distance[n, b] - r
    if gap < np.float32(0.15) or gap > np.float32(2.5):
        return r  # one surface, or two echoes that the receiver tells apart
    u = coin(seed, ray, _MIX_WHERE)
    return r + gap * u / footprint if u < footprint else r


@lean
def _bloom(c, b, row, r, distance, actor, surfaces, table, seed, ray):
    """-1 or 1: the side of the neighbour whose retro-reflector outshines this beam; 0: none does. `row` is the column's
    place in `surfaces`."""
    columns = distance.shape[0]
    for side in (1, -1):
        surface = surfaces[row + side, b]
        if surface == _NO_SURFACE or table[surface, 3] <= np.float32(0.4):
            continue
        n = (c + side) % columns
        if actor[n, b] == EGO or distance[n, b] > np.float32(45.0) or distance[n, b] > r - np.float32(0.5):
            continue
        if coin(seed, ray, _BLOOM) < np.float32(0.25):
            return side
    return 0


@lean
def _worn(c, b, r, divergence, view, textures):
    """Share of the road paint that is worn away where the beam of firing (c, b) meets it at range r."""
    origins, turns, rays, heights = view
    x, y, z = rays[c, b, 0] * r, rays[c, b, 1] * r, rays[c, b, 2] * r + heights[b]
    px = turns[c, 0, 0] * x + turns[c, 0, 1] * y + turns[c, 0, 2] * z + origins[c, 0]
    py = turns[c, 1, 0] * x + turns[c, 1, 1] * y + turns[c, 1, 2] * z + origins[c, 1]
    share, _ = wear(px, py, log2_near(max(divergence * r, np.float32(0.005))), textures[0], textures[1])
    return np.float32(share)


@lean
def _reflect(surface, shade, worn, cos, table, owner, seed):
    """(reflectivity that counts for the return, the same for intensity, chance of an echo). `worn`: share of road paint
    that is gone."""
    one = np.float32(1.0)
    rho = table[surface, 0]
    gloss, echo = table[surface, 2], table[surface, 4]
    if table[surface, 1] > np.float32(0.0):  # objects differ: paint from black to white
        z = _normal(seed, owner + 7, _PAINT + np.int64(surface) * 1000)
        if surface == _PAINTED:  # white returns more than black, pigments of one colour differ
            tone = (shade - _CAR_SHADE) / _CAR_SPREAD
            z = _BY_COLOUR * tone + np.sqrt(one - _BY_COLOUR * _BY_COLOUR) * z
        rho *= np.exp(z * table[surface, 1])
        if z < np.float32(0.0):  # dark gloss sends slanting light away: real dark cars are full of holes
            echo *= one - gloss * (one - cos) * min(-z, one)
    rho *= np.float32(0.8) + np.float32(0.5) * shade
    rho += worn * (table[_ASPHALT, 0] - rho)
    shine = cos * cos
    shine *= shine
    shine *= shine
    shine *= shine * shine  # cos^24
    rho = min(rho, np.float32(0.95)) * (np.float32(1.0) - gloss * np.float32(0.5)) + gloss * shine
    strong = rho + table[surface, 3] * np.float32(4.0)
    bright = rho + table[surface, 3] * max(cos - np.float32(0.2), np.float32(0.0)) * np.float32(0.5)
    return strong, bright, echo


@lean
def _receive(
    first, last, distance, triangle, actor, cosine, tracks, static, shapes, table, constants, response, view, textures,
    seed, object_seed, surfaces, out_range, out_intensity, out_label, out_actor,
):  # fmt: skip
    """`receive` with room for the surfaces."""
    power, nearest, farthest, noise, gain = constants[0], constants[1], constants[2], constants[3], constants[4]
    levels, footprint, alpha, clutter, scale = constants[5], constants[6], constants[7], constants[8], constants[9]
    fall, speckle, own_echo, divergence = constants[10], constants[11], constants[12], constants[13]
    one = np.float32(1.0)
    columns, beams = distance.shape
    static_label, static_shade, shape_label, shape_shade = static[1], static[2], shapes[1], shapes[2]
    _surfaces(first, triangle, actor, static[0], shapes[0], surfaces)
    for c in range(first, last):
        row = c - first + 1
        for b in range(beams):
            ray = c * beams + b
            out_range[c, b], out_intensity[c, b], out_label[c, b], out_actor[c, b] = 0.0, 0.0, IGNORE, NOTHING
            who, r, cos, side = actor[c, b], distance[c, b], cosine[c, b], 0
            if clutter > np.float32(0.0) and coin(seed, ray, _AIR) < clutter:
                air = -scale * np.log(one - coin(seed, ray, _AIR_WHERE)) + np.float32(0.8)
                if air < (r if who != NOTHING else farthest) and air > nearest:
                    out_range[c, b] = air
                    out_intensity[c, b] = np.float32(0.06) * gain * coin(seed, ray, _SPECKLE)
                    continue
            if who != EGO:
                seen = r if who != NOTHING else farthest
                side = _bloom(c, b, row, seen, distance, actor, surfaces, table, seed, ray)
            n = c
            if side != 0:
                n = (c + side) % columns
                who, r, cos = actor[n, b], distance[n, b], cosine[n, b]
            if who == NOTHING:
                continue
            surface, hit = surfaces[row + side, b], triangle[n, b]
            if who == EGO:
                label, shade = np.uint8(IGNORE), np.float32(0.5)
            elif who == STATIC:
                label, shade = static_label[hit], static_shade[hit]
            else:
                label, shade = shape_label[hit], shape_shade[hit]
            owner = np.int64(tracks[who]) if who >= 0 else np.int64(who)
            worn = np.float32(0.0)
            if surface == _ROAD_PAINT and who == STATIC:
                worn = _worn(n, b, r, divergence, view, textures)
            strong, bright, echo = _reflect(surface, shade, worn, cos, table, owner, object_seed)
            signal = power * strong * max(cos, np.float32(0.02)) * np.exp(np.float32(-2.0) * alpha * r) / (r * r)
            if who == EGO:
                echo = own_echo
            if coin(seed, ray, _LOSS) >= echo * (one - np.exp(-signal)) * np.float32(0.997):
                continue
            if side == 0 and who != EGO:
                r = _edge(c, b, r, distance, actor, footprint, seed, ray)
                r -= table[surface, 5] * coin(seed, ray, _PILE) / max(cos, np.float32(0.35))
            r += noise * _normal(seed, ray, _NOISE_A) * (one + np.float32(0.5) / (signal + np.float32(0.25)))
            if r < nearest or r > farthest:
                continue
            x = r / fall
            seen = bright * (np.float32(0.8) + np.float32(0.2) * cos) * gain / (one + x * x * x)
            seen *= np.exp(speckle * _normal(seed, ray, _SPECKLE)) * signal / (signal + np.float32(0.5))
            seen = seen * response[b, 0] - response[b, 1]
            out_range[c, b] = r
            out_intensity[c, b] = np.floor(min(max(seen, np.float32(0.0)), one) * levels + np.float32(0.5)) / levels
            out_label[c, b], out_actor[c, b] = label, who


@maker
def receive(
    first, last, distance, triangle, actor, cosine, tracks, static, shapes, table, constants, response, view, textures,
    seed, object_seed, out_range, out_intensity, out_label, out_actor,
):  # fmt: skip
    """Receiver of columns `first` to `last`.

    distance, triangle, actor, cosine [C, B] as `raycast.cast_columns` leaves them (actor EGO where the beam meets the
    own hull) · tracks uint16 [A] of the actors · static, shapes: (surface, label, shade) of the triangles · table:
    materials · constants float32: power, min_range, max_range, range_noise, gain, levels, footprint (beam width in
    columns), attenuation, clutter, clutter_scale, fall-off of the recorded intensity with range (m), its speckle,
    chance of an echo off the own hull, beam width (rad) · response float32 [B, 2]: every laser's gain and offset of
    intensity · view: (origins, rotations, rays, heights) as `raycast.cast_columns` takes them · textures: (grain,
    fractal) of `render.noise.textures`, which wear road paint in the pictures. Writes
    range (m, 0 = no return), intensity 0..1, label and actor (whom the return lies on: NOTHING for rain, fog and no
    return; the neighbour's where its reflector outshines the beam) [C, B].
    """
    surfaces = np.empty((last - first + 2, distance.shape[1]), np.uint8)
    _receive(
        first, last, distance, triangle, actor, cosine, tracks, static, shapes, table, constants, response, view,
        textures, seed, object_seed, surfaces, out_range, out_intensity, out_label, out_actor,
    )  # fmt: skip
