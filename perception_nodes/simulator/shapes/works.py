"""What stands on road works: diggers, rollers, dumpers, wheel loaders, cones and barriers.

Construction vehicles are `other-vehicle` points and `construction_vehicle` boxes (nuScenes' mean 6.4 x 2.8 x 3.2 m);
cones (.41 x .41 x 1.07 m) and barriers (.5 x 2.53 x .98 m) have no SemanticKITTI class: their points have the label
IGNORE, and their track id as instance.
"""

from __future__ import annotations

import math

import numpy as np

from perception_nodes.classes import IGNORE, point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.coachwork import BLACK, Coach, coach_body, seat

Size = tuple[float, float, float]
MACHINES = ("digger", "roller", "dumper", "loader")
BARRIERS = ("concrete", "plastic", "fence")
_YELLOW: tuple[RGB, ...] = ((232, 176, 32), (224, 148, 30), (236, 196, 60), (200, 80, 30))


def machine(kind: str, seed: int) -> tuple[Mesh, Size]:
    """Mesh and box size of a construction vehicle of a kind in `MACHINES`."""
    rng = np.random.default_rng((0x3C, MACHINES.index(kind), seed))
    b = MeshBuilder(point_class("other-vehicle"))
    paint = _YELLOW[rng.integers(len(_YELLOW))]
    _MAKERS[kind](b, rng, paint)
    mesh = b.mesh()
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    centre = (low + high) / 2
    mesh = mesh.moved((-float(centre[0]), -float(centre[1]), 0.0))
    return mesh, (float(high[0] - low[0]), float(high[1] - low[1]), float(high[2]))


def _digger(b: MeshBuilder, rng: np.random.Generator, paint: RGB) -> None:
    s = float(rng.uniform(0.75, 1.1))
    for side in (1, -1):
        track = [[-1.7, 0.25], [-1.4, 0], [1.4, 0], [1.7, 0.25], [1.7, 0.5], [1.4, 0.8], [-1.4, 0.8], [-1.7, 0.5]]
        y0 = side * 0.95 - 0.28
        b.prism(np.array(track) * s, y0 * s, (y0 + 0.56) * s, Surface.RUBBER, (40, 38, 36))
    b.box([0, 0, 0.65 * s], [1.6 * s, 1.3 * s, 0.5 * s], Surface.METAL, BLACK)
    swing = float(rng.uniform(-0.5, 0.5))
    upper = MeshBuilder(b.label)
    upper.box([-0.75 * s, 0, 1.45 * s], [2.2 * s, 2.4 * s, 0.95 * s], Surface.CAR_PAINT, paint)
    upper.box([-1.7 * s, 0, 1.35 * s], [0.5 * s, 2.3 * s, 0.9 * s], Surface.METAL, (60, 60, 60))
    cab = Coach(-0.3 * s, 1.1 * s, 0.48 * s, 1.0 * s, 1.6 * s, 2.75 * s, 0.15, ((0.06, 0.9),), True, 0.12)
    cab_builder = MeshBuilder(b.label)
    coach_body(cab_builder, cab, paint)
    seat(cab_builder, 0.3 * s, 0.0, 1.1 * s)
    upper.extend(cab_builder.mesh().moved((0.0, 0.68 * s, 0.0)))
    lift, fold = float(rng.uniform(0.5, 0.95)), float(rng.uniform(1.5, 2.1))
    foot = np.array([0.5, -0.3, 1.5]) * s
    elbow = foot + 2.9 * s * np.array([math.cos(lift), 0, math.sin(lift)])
    tip = elbow + 1.9 * s * np.array([math.cos(lift - fold), 0, math.sin(lift - fold)])
    tip[2] = max(tip[2], 0.75 * s)
    _beam(upper, foot, elbow, 0.36 * s, paint)
    _beam(upper, elbow, tip, 0.28 * s, paint)
    upper.tube(foot + [0.6 * s, 0, -0.1], (foot + elbow) / 2, 0.07 * s, Surface.METAL, (170, 170, 172))
    bucket = np.array([[-0.35, -0.45], [0.3, -0.6], [0.5, -0.1], [0.2, 0.15], [-0.2, 0.15]]) * s + tip[[0, 2]]
    upper.prism(bucket, tip[1] - 0.5 * s, tip[1] + 0.5 * s, Surface.METAL, (70, 66, 60))
    b.extend(upper.mesh().moved(yaw=swing))


def _beam(b: MeshBuilder, start, end, depth: float, paint: RGB) -> None:
    d = end - start
    long = float(np.hypot(d[0], d[2]))
    pitch = math.atan2(d[2], d[0])
    b.box((start + end) / 2, [long, 0.3, depth], Surface.CAR_PAINT, paint, pitch=pitch)


def _roller(b: MeshBuilder, rng: np.random.Generator, paint: RGB) -> None:
    for x in (1.3, -1.3):
        b.wheel([x, 0, 0.62], 0.62, 1.7, (120, 118, 112), sides=18)
        for side in (1, -1):
            b.box([x, side * 0.92, 0.75], [0.9, 0.1, 0.3], Surface.CAR_PAINT, paint)
    b.box([0, 0, 0.95], [1.9, 1.5, 0.7], Surface.CAR_PAINT, paint)
    b.box([1.3, 0, 1.3], [1.1, 1.6, 0.25], Surface.CAR_PAINT, paint)
    seat(b, -0.2, 0.0, 1.25)
    for x in (0.6, -0.7):
        for y in (0.65, -0.65):
            b.tube([x, y, 1.3], [x, y, 2.7], 0.035, Surface.METAL, BLACK, sides=5)
    b.box([-0.05, 0, 2.74], [1.7, 1.6, 0.08], Surface.CAR_PAINT, paint)


def _dumper(b: MeshBuilder, rng: np.random.Generator, paint: RGB) -> None:
    for x in (1.6, -1.4):
        for side in (1, -1):
            b.wheel([x, side * 0.95, 0.6], 0.6, 0.5, (200, 170, 60))
    b.box([-0.1, 0, 0.85], [3.6, 0.9, 0.4], Surface.METAL, (60, 58, 54))
    tub = [[0.3, 1.0], [2.0, 1.0], [2.7, 1.9], [0.0, 2.0]]
    b.prism(tub, -1.1, 1.1, Surface.CAR_PAINT, paint)
    b.ellipsoid([1.3, 0, 1.85], [1.1, 0.9, 0.45], Surface.SOIL, (112, 90, 66), sides=8)
    b.box([-1.6, 0, 1.3], [1.3, 1.5, 0.6], Surface.CAR_PAINT, paint)
    seat(b, -0.6, 0.0, 1.15)
    for y in (0.55, -0.55):
        b.tube([-1.0, y, 1.4], [-1.0, y, 2.7], 0.04, Surface.METAL, BLACK, sides=5)
    b.tube([-1.0, 0.55, 2.7], [-1.0, -0.55, 2.7], 0.04, Surface.METAL, BLACK, sides=5)


def _loader(b: MeshBuilder, rng: np.random.Generator, paint: RGB) -> None:
    for x in (1.4, -1.4):
        for side in (1, -1):
            b.wheel([x, side * 1.0, 0.7], 0.7, 0.5, (220, 190, 70), sides=14)
    b.box([-1.3, 0, 1.4], [2.0, 1.7, 0.9], Surface.CAR_PAINT, paint)
    b.box([0.9, 0, 1.0], [1.8, 1.0, 0.6], Surface.CAR_PAINT, paint)
    coach_body(b, Coach(-0.6, 0.8, 0.7, 1.2, 1.85, 3.1, 0.2, ((0.06, 0.92),), True, 0.12), paint)
    seat(b, 0.0, 0.0, 1.25)
    high = float(rng.uniform(0.4, 1.6))
    for y in (0.55, -0.55):
        _beam(b, np.array([0.9, y, 1.5]), np.array([2.9, y, high + 0.2]), 0.24, paint)
    scoop = np.array([[2.7, high - 0.3], [3.7, high - 0.35], [3.2, high + 0.2], [2.8, high + 0.5]])
    b.prism(scoop, -1.3, 1.3, Surface.METAL, (80, 76, 70))


_MAKERS = {"digger": _digger, "roller": _roller, "dumper": _dumper, "loader": _loader}


def cone(seed: int) -> tuple[Mesh, Size]:
    """Traffic cone or, now and then, a taller channelling post."""
    rng = np.random.default_rng((0xC0, seed))
    b = MeshBuilder(IGNORE)
    high = float(rng.uniform(0.6, 1.4))
    orange: RGB = (228, 84, 24)
    foot = float(rng.uniform(0.15, 0.26))
    b.box([0, 0, 0.02], [2 * foot, 2 * foot, 0.04], Surface.RUBBER, (40, 38, 38))
    r0, r1 = 0.75 * foot, 0.035
    cuts = [0.0, 0.4, 0.6, 0.7, 0.85, 1.0]
    for i, (a, c) in enumerate(zip(cuts[:-1], cuts[1:])):
        white = i in (1, 3)
        b.tube(
            [0, 0, 0.04 + a * (high - 0.05)],
            [0, 0, 0.04 + c * (high - 0.05)],
            r0 + (r1 - r0) * a,
            Surface.SIGN if white else Surface.PLASTIC,
            (240, 240, 240) if white else orange,
            r0 + (r1 - r0) * c,
            sides=8,
            caps=i == 4,
        )
    return b.mesh(), (2 * foot, 2 * foot, high)


def barrier(kind: str, seed: int) -> tuple[Mesh, Size]:
    """Barrier of a kind in `BARRIERS`; it is thin along x and wide along y, as nuScenes' boxes are."""
    rng = np.random.default_rng((0xBA, BARRIERS.index(kind), seed))
    b = MeshBuilder(IGNORE)
    wide = float(rng.uniform(2.0, 3.0)) if kind != "plastic" else float(rng.uniform(1.4, 2.2))
    high = float(rng.uniform(0.85, 1.1))
    red: RGB = (200, 40, 36)
    if kind == "fence":
        for y in (wide / 2 - 0.05, 0.05 - wide / 2):
            b.tube([0, y, 0.0], [0, y, high], 0.03, Surface.METAL, (150, 150, 152), sides=5)
            b.box([0, y, 0.05], [0.5, 0.16, 0.1], Surface.RUBBER, (40, 40, 42))
        for z in (0.95, 0.55):
            for i, y in enumerate(np.arange(-wide / 2 + 0.2, wide / 2 - 0.1, 0.4)):
                tone = red if i % 2 else (240, 240, 240)
                b.box([0, float(y), z * high - 0.08], [0.03, 0.4, 0.18], Surface.SIGN, tone)
        return b.mesh(), (0.5, wide, high)
    foot, waist, top = (0.3, 0.14, 0.08) if kind == "concrete" else (0.25, 0.2, 0.12)
    profile = [
        [-foot, 0],
        [foot, 0],
        [foot, 0.12],
        [waist, 0.35],
        [top, high],
        [-top, high],
        [-waist, 0.35],
        [-foot, 0.12],
    ]
    if kind == "concrete":
        b.prism(profile, -wide / 2, wide / 2, Surface.CONCRETE, (168, 166, 160))
    else:
        b.prism(profile, -wide / 2, wide / 2, Surface.PLASTIC, red if rng.random() < 0.6 else (236, 236, 236))
    return b.mesh(), (2 * foot, wide, high)
