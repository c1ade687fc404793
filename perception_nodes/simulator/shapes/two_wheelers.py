"""Bicycles and motorcycles with thin frames, parked or ridden.

A parked two-wheeler is `bicycle` or `motorcycle`. Once ridden, machine and rider together are `bicyclist` or
`motorcyclist`, SemanticKITTI's rule ("bicycle" there is one without a person); the box, as in nuScenes, is of category
bicycle or motorcycle and holds both. nuScenes' means: bicycle 1.7 x .6 x 1.28, motorcycle 2.1 x .77 x 1.47 m.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.people import (
    FOREARM,
    SHIN,
    THIGH,
    UPPER_ARM,
    Figure,
    draw_arm,
    draw_figure,
    draw_leg,
    draw_trunk,
)

PEDAL_PHASES = 4
Size = tuple[float, float, float]


def bicycle(seed: int, ridden: bool, phase: int = 0) -> tuple[Mesh, Size]:
    """Mesh and box size of a bicycle; `phase` 0 to 3 turns the pedals by quarters."""
    rng = np.random.default_rng((0xB1C, seed))
    b = MeshBuilder(point_class("bicyclist" if ridden else "bicycle"))
    figure = replace(draw_figure(rng), carries="", skirt=False, coat=False)
    paint: RGB = tuple(int(c) for c in rng.integers(20, 220, 3))  # type: ignore[assignment]
    radius, base = float(rng.uniform(0.32, 0.36)), float(rng.uniform(1.0, 1.1))
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    crank = np.array([-0.08, 0, 0.29])
    saddle_height = 0.93 * figure.height / 1.75
    saddle = np.array([-0.25, 0, saddle_height])
    head = np.array([0.33, 0, 0.84])
    upright = bool(rng.random() < 0.6)
    grip = float(rng.uniform(0.26, 0.36) if upright else rng.uniform(0.2, 0.25))  # half the handlebar's width
    bar = np.array([0.33 if upright else 0.45, 0, 1.08 if upright else 0.95])
    for hub in (rear, front):
        _thin_wheel(b, hub, radius)
    for start, end in (
        (crank, saddle),
        (crank, head),
        (rear, crank),
        (head, saddle * 0.85 + crank * 0.15),
        (front, head),
    ):
        b.tube(start, end, 0.019, Surface.METAL, paint, sides=5, caps=False)
    b.tube(rear, saddle * 0.8 + crank * 0.2, 0.012, Surface.METAL, paint, sides=4, caps=False)
    b.tube(head, bar, 0.016, Surface.METAL, (40, 40, 42), sides=4)
    b.tube(bar + [0, grip, 0], bar - [0, grip, 0], 0.015, Surface.METAL, (40, 40, 42), sides=5)
    b.box(saddle + [0, 0, 0.03], [0.27, 0.15, 0.06], Surface.RUBBER, (28, 26, 26))
    b.box([rear[0] - radius + 0.03, 0, 0.62], [0.03, 0.05, 0.05], Surface.TAILLIGHT, (180, 16, 16))
    b.box([head[0] + 0.1, 0, 0.9], [0.06, 0.07, 0.07], Surface.HEADLIGHT, (230, 230, 230))
    if rng.random() < 0.5:
        b.box([-0.5, 0, 2 * radius + 0.07], [0.35, 0.14, 0.03], Surface.METAL, (60, 60, 62))
        if rng.random() < 0.5:
            b.box([-0.5, 0, 2 * radius - 0.1], [0.32, 0.34, 0.3], Surface.CLOTH, (60, 70, 80))
    if rng.random() < 0.3:
        b.box([0.55, 0, 0.98], [0.3, 0.36, 0.24], Surface.RAILING, (80, 70, 60), porosity=0.6)
    turn = 2 * math.pi * phase / PEDAL_PHASES
    pedals = []
    for side, angle in ((1, turn), (-1, turn + math.pi)):
        pedal = crank + np.array([0.17 * math.cos(angle), side * 0.11, -0.17 * math.sin(angle)])
        b.tube(crank + [0, side * 0.06, 0], pedal, 0.012, Surface.METAL, (90, 90, 92), sides=3)
        b.box(pedal, [0.1, 0.09, 0.025], Surface.PLASTIC, (30, 30, 32))
        pedals.append(pedal)
    height = float(bar[2]) + 0.05
    if ridden:
        helmet: RGB | None = (200, 40, 40) if rng.random() < 0.5 else None
        grips = [bar + [-0.02, s * (grip - 0.02), 0.03] for s in (1, -1)]
        height = _rider(b, figure, saddle + [0.02, 0, 0.11], pedals, grips, 0.25 if upright else 0.7, helmet)
    return b.mesh(), (base + 2 * radius, 2 * max(grip + 0.03, 0.3 if ridden else 0.0), height)


def motorcycle(seed: int, ridden: bool) -> tuple[Mesh, Size]:
    """Mesh and box size of a motorcycle or a scooter."""
    rng = np.random.default_rng((0x307, seed))
    b = MeshBuilder(point_class("motorcyclist" if ridden else "motorcycle"))
    figure = replace(draw_figure(rng), carries="", skirt=False, coat=False, hat=False)
    paint: RGB = tuple(int(c) for c in rng.integers(15, 230, 3))  # type: ignore[assignment]
    scooter = bool(rng.random() < 0.4)
    radius = 0.24 if scooter else 0.31
    base = float(rng.uniform(1.25, 1.35)) if scooter else float(rng.uniform(1.4, 1.55))
    dark: RGB = (36, 36, 38)
    grip = float(rng.uniform(0.3, 0.36) if scooter else rng.uniform(0.33, 0.44))  # half the handlebar's width
    for x in (base / 2, -base / 2):
        b.wheel([x, 0, radius], radius, 0.12 if x > 0 else 0.15, (90, 90, 92), sides=14)
    bar = np.array([base / 2 - 0.32, 0, float(rng.uniform(0.97, 1.17))])
    for y in (0.09, -0.09):
        b.tube([base / 2, y, radius], [bar[0], y, 0.96], 0.026, Surface.METAL, (140, 140, 142), sides=5)
    b.tube(bar + [0, grip, 0], bar - [0, grip, 0], 0.018, Surface.METAL, dark, sides=5)
    b.ellipsoid([base / 2 - 0.22, 0, 0.9], [0.12, 0.12, 0.13], Surface.CAR_PAINT, paint)
    b.ellipsoid([base / 2 - 0.12, 0, 0.9], [0.06, 0.09, 0.09], Surface.HEADLIGHT, (235, 236, 240))
    b.box([base / 2, 0, 2 * radius + 0.04], [0.4, 0.13, 0.03], Surface.CAR_PAINT, paint)
    if scooter:
        b.box([0.12, 0, 0.3], [0.55, 0.36, 0.1], Surface.PLASTIC, dark)
        b.box([0.4, 0, 0.6], [0.06, 0.44, 0.62], Surface.CAR_PAINT, paint, pitch=0.3)
        b.ellipsoid([-0.42, 0, 0.52], [0.45, 0.2, 0.24], Surface.CAR_PAINT, paint, sides=8)
    else:
        b.box([0.02, 0, 0.45], [0.5, 0.3, 0.4], Surface.METAL, (80, 80, 82))
        b.ellipsoid([0.1, 0, 0.8], [0.32, 0.17, 0.15], Surface.CAR_PAINT, paint, sides=8)
        b.tube([0.1, -0.2, 0.3], [-0.75, -0.2, 0.38], 0.05, Surface.METAL, (150, 150, 150), 0.06)
        b.tube([-base / 2, 0.1, radius], [0.0, 0.1, 0.4], 0.03, Surface.METAL, dark, sides=4)
    seat = np.array([-0.3, 0, float(rng.uniform(0.7, 0.86))])
    b.box(seat, [0.7, 0.26, 0.1], Surface.RUBBER, (24, 24, 25))
    b.box([-base / 2 - 0.12, 0, 0.75], [0.3, 0.18, 0.1], Surface.CAR_PAINT, paint, pitch=-0.3)
    b.box([-base / 2 - 0.27, 0, 0.74], [0.05, 0.16, 0.08], Surface.TAILLIGHT, (170, 14, 16))
    b.box([-base / 2 - 0.28, 0, 0.58], [0.02, 0.2, 0.16], Surface.LICENCE_PLATE, (240, 240, 236))
    if rng.random() < 0.35:
        b.box([-base / 2 - 0.1, 0, 1.0], [0.38, 0.4, 0.32], Surface.PLASTIC, dark)
    for s in (1, -1):
        b.tube(
            bar + [0, s * (grip - 0.11), 0], bar + [0.02, s * (grip - 0.03), 0.17], 0.01, Surface.METAL, dark, sides=3
        )
        b.box(bar + [0.02, s * (grip - 0.01), 0.2], [0.02, 0.14, 0.08], Surface.PLASTIC, dark)
    height = float(bar[2]) + 0.25
    if ridden:
        grips = [bar + [-0.03, s * (grip - 0.05), 0.04] for s in (1, -1)]
        rest = [np.array([0.2 if scooter else -0.05, s * 0.19, 0.38 if scooter else 0.32]) for s in (1, -1)]
        tint = int(rng.integers(20, 235))
        height = _rider(b, figure, seat + [0.0, 0, 0.14], rest, grips, 0.1 if scooter else 0.35, (tint, tint, tint))
    return b.mesh(), (base + 2 * radius + 0.12, 2 * (grip + 0.03), height)


def _thin_wheel(b: MeshBuilder, hub: NDArray[np.float64], radius: float, sides: int = 14) -> None:
    """Tyre of 4 cm, and the spokes as one disc that nine beams in ten pass."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack([np.cos(angle), np.zeros(sides + 1), np.sin(angle)], 1)
    rings = np.stack(
        [circle * (radius - 0.04), circle * (radius - 0.02) + [0, -0.02, 0], circle * radius]
        + [circle * (radius - 0.02) + [0, 0.02, 0], circle * (radius - 0.04)]
    )
    b.grid(rings + hub, Surface.RUBBER, (24, 24, 26))
    index = np.arange(sides, dtype=np.int32)
    fan = np.stack([np.full(sides, sides + 1, np.int32), index, index + 1], 1)
    disc = np.concatenate([circle * (radius - 0.03), [[0.0, 0.0, 0.0]]]) + hub
    b.add(disc, fan, Surface.METAL, (150, 150, 152), porosity=0.9)


def _joint(start, end, first: float, second: float, forward: float) -> NDArray[np.float64]:
    """Knee or elbow of a two-link limb from `start` to `end`; `forward` says which way (x) it points."""
    a, c = np.asarray(start, np.float64), np.asarray(end, np.float64)
    d = c - a
    length = min(float(np.linalg.norm(d)), (first + second) * 0.999)
    along = (first**2 - second**2 + length**2) / (2 * length)
    off = math.sqrt(max(first**2 - along**2, 0.0))
    unit = d / np.linalg.norm(d)
    normal = np.array([-unit[2], 0.0, unit[0]])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    if normal[0] * forward < 0:
        normal = -normal
    return a + unit * along + normal * off


def _rider(b: MeshBuilder, f: Figure, pelvis, feet, grips, lean: float, helmet: RGB | None) -> float:
    """Seated figure with feet and hands where they belong; returns the height of the head."""
    h = f.height
    for side, foot in zip((1, -1), feet):
        hip = pelvis + np.array([0, side * 0.055 * h * f.girth, 0])
        ankle = np.asarray(foot) + [-0.04, 0, 0.06]
        draw_leg(b, f, hip, _joint(hip, ankle, THIGH * h, SHIN * h, 1.0), ankle)
    shoulders, _ = draw_trunk(b, f, pelvis, lean, helmet)
    for shoulder, grip in zip(shoulders, grips):
        draw_arm(b, f, shoulder, _joint(shoulder, grip, UPPER_ARM * h, FOREARM * h * 1.1, -1.0), grip)
    return float(pelvis[2] + math.cos(lean) * 0.3 * h + 0.185 * h)
