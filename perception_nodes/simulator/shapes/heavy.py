"""Trucks (box, flatbed, tanker, tipper, refuse), tractors with trailers, and buses.

nuScenes' means (l x w x h): truck 6.93 x 2.51 x 2.84, bus 10.5 x 2.94 x 3.47, trailer 12.3 x 2.92 x 3.87 m. Point
classes as in SemanticKITTI: a truck and the trailer that it pulls are `truck`, a bus or an uncoupled trailer
`other-vehicle`; a pulled trailer still has a box of its own, as in nuScenes.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.coachwork import (
    BLACK,
    Coach,
    axle,
    coach_body,
    lights_and_plate,
    mirrors,
    seat,
)

Size = tuple[float, float, float]
TRUCKS = ("box", "flatbed", "tanker", "tipper", "refuse", "tractor")
TRAILERS = ("box", "flatbed", "tanker", "container")
BUSES = ("city", "coach", "minibus")
_COLOURS: tuple[RGB, ...] = (
    *((230, 230, 228), (225, 226, 230), (180, 30, 30), (30, 60, 130), (236, 170, 30)),
    *((40, 90, 60), (60, 62, 66), (200, 200, 190), (90, 140, 180)),
)


def _colour(rng: np.random.Generator) -> RGB:
    r, g, b = np.clip(np.array(_COLOURS[rng.integers(len(_COLOURS))]) + rng.integers(-12, 13, 3), 0, 255)
    return int(r), int(g), int(b)


def truck(kind: str, seed: int) -> tuple[Mesh, Size]:
    """Mesh and box size of a truck of a kind in `TRUCKS`; a `tractor` pulls a trailer (`trailer`)."""
    rng = np.random.default_rng((0x7C, TRUCKS.index(kind), seed))
    b = MeshBuilder(point_class("truck"))
    small = kind in ("box", "flatbed") and rng.random() < 0.6
    half = float(rng.uniform(1.05, 1.15) if small else rng.uniform(1.22, 1.27))
    length = {"box": 6.4, "flatbed": 6.6, "tanker": 8.2, "tipper": 7.4, "refuse": 8.0, "tractor": 6.0}[kind]
    length = length * float(rng.uniform(0.9, 1.15)) * (0.93 if small else 1.12)
    radius = 0.4 if small else 0.5
    deck = 0.85 if small else 1.05
    cab_high = float(rng.uniform(2.2, 2.5) if small else rng.uniform(2.85, 3.5))
    front, rear = length / 2, -length / 2
    cab_rear = front - float(rng.uniform(1.6, 1.9) if small else rng.uniform(1.9, 2.3))
    low = 0.42 if small else 0.5
    sill = low + (0.95 if small else 1.2)
    panes = ((0.1, 0.62),)
    paint = _colour(rng)
    coach_body(b, Coach(cab_rear, front - 0.07, half, low, sill, cab_high, 0.3 if small else 0.12, panes), paint)
    for y in (0.5, -0.5):
        seat(b, front - 1.1, y, low + 0.3)
    b.box([front - 0.4, 0, sill - 0.1], [0.4, 2 * half - 0.1, 0.3], Surface.PLASTIC, BLACK)
    b.box([front - 0.08, 0, 0.48], [0.16, 2 * half, 0.3], Surface.PLASTIC, (60, 60, 62))
    b.box([front, 0, sill - 0.35], [0.06, half * 1.3, 0.35], Surface.PLASTIC, BLACK)
    lights_and_plate(b, front, half, 0.66, front=True)
    mirrors(b, front - 0.35, half, sill + 0.3)
    _frame(b, rear, cab_rear + 0.3, deck, half, radius, front - 1.05, length > 7.6, kind != "tractor")
    top = _superstructure(b, kind, rng, rear, cab_rear - 0.08, deck, half)
    lights_and_plate(b, rear, half, deck - 0.22, front=False)
    return b.mesh(), (length, 2 * half, max(cab_high, top))


def _frame(b, rear, front, deck, half, radius, steer, tandem, guards) -> None:
    for y in (0.4, -0.4):
        b.box([(rear + front) / 2, y, deck - 0.16], [front - rear, 0.1, 0.24], Surface.METAL, (44, 44, 46))
    axle(b, steer, half, radius)
    drive = rear + 1.25
    axle(b, drive, half, radius, twin=True)
    if tandem:
        axle(b, drive + 2 * radius + 0.25, half, radius, twin=True)
    b.box([rear + 0.08, 0, 0.55], [0.08, 2 * half - 0.2, 0.12], Surface.METAL, (70, 70, 72))
    b.tube([0.6, half - 0.35, 0.62], [-0.4, half - 0.35, 0.62], 0.28, Surface.METAL, (150, 150, 152), sides=8)
    if guards:
        for side in (1, -1):
            for z in (0.55, 0.8):
                b.box(
                    [(steer + drive) / 2, side * (half - 0.05), z],
                    [(steer - drive) - 2.4 * radius, 0.03, 0.1],
                    Surface.METAL,
                    (120, 122, 124),
                )


def _superstructure(b: MeshBuilder, kind: str, rng, rear: float, front: float, deck: float, half: float) -> float:
    """What stands on the frame between `rear` and `front`; returns its top."""
    mid, long = (rear + front) / 2, front - rear
    paint = _colour(rng)
    if kind == "box":
        high = float(rng.uniform(2.0, 2.6))
        b.box([mid, 0, deck + high / 2], [long, 2 * half, high], Surface.CAR_PAINT, paint)
        for x in np.linspace(rear, front, 5):  # seams stand out a little
            for side in (1, -1):
                b.box([x, side * half, deck + high / 2], [0.05, 0.03, high], Surface.METAL, (150, 150, 150))
        return deck + high
    if kind == "flatbed":
        b.box([mid, 0, deck + 0.06], [long, 2 * half, 0.12], Surface.WOOD, (120, 96, 70))
        b.box([front - 0.05, 0, deck + 0.6], [0.06, 2 * half, 1.0], Surface.METAL, (90, 90, 92))
        if rng.random() < 0.6:
            for side in (1, -1):
                b.box([mid, side * (half - 0.03), deck + 0.3], [long, 0.05, 0.42], Surface.METAL, paint)
        return _cargo(b, rng, mid, long, deck + 0.12, half)
    if kind == "tanker":
        _tank(b, rear + 0.1, front - 0.1, deck + 1.0, 0.95 * half, 0.92, paint)
        return deck + 2.0
    if kind == "tipper":
        high = float(rng.uniform(1.0, 1.5))
        _tub(b, rear, front, deck + 0.1, high, half, paint)
        soil: RGB = (110, 88, 64)
        if rng.random() < 0.6:
            b.ellipsoid([mid, 0, deck + high - 0.25], [long * 0.42, half * 0.85, 0.6], Surface.SOIL, soil, sides=8)
        return deck + high + 0.35
    if kind == "refuse":
        profile = [[rear, deck - 0.3], [front, deck], [front, deck + 2.2], [rear + 0.9, deck + 2.2], [rear, deck + 1.3]]
        b.prism(profile, -half, half, Surface.CAR_PAINT, paint)
        b.box([rear + 0.02, 0, deck + 0.35], [0.05, 1.8 * half, 0.9], Surface.METAL, BLACK)
        return deck + 2.2
    b.box([rear + 1.4, 0, deck + 0.08], [1.0, 0.9, 0.12], Surface.METAL, (60, 60, 62))  # tractor: the fifth wheel
    b.box([front - 0.2, 0.6, deck + 0.7], [0.3, 0.5, 1.4], Surface.METAL, (90, 90, 92))
    return 0.0


def _tub(b: MeshBuilder, rear: float, front: float, floor: float, high: float, half: float, paint: RGB) -> None:
    """Open tub of a tipper, with ribs."""
    mid, long = (rear + front) / 2, front - rear
    b.box([mid, 0, floor], [long, 2 * half, 0.1], Surface.METAL, (80, 80, 82))
    for side in (1, -1):
        b.box([mid, side * (half - 0.04), floor + high / 2], [long, 0.06, high], Surface.CAR_PAINT, paint)
        for x in np.linspace(rear + 0.2, front - 0.2, 6):
            b.box([x, side * half, floor + high / 2], [0.1, 0.06, high], Surface.CAR_PAINT, paint)
    for x in (rear + 0.04, front - 0.04):
        b.box([x, 0, floor + high / 2], [0.06, 2 * half, high], Surface.CAR_PAINT, paint)


def _tank(b: MeshBuilder, rear: float, front: float, z: float, ry: float, rz: float, paint: RGB) -> None:
    angle = np.linspace(0, 2 * np.pi, 17)
    knots = (
        (rear, 0.05),
        (rear + 0.05, 0.6),
        (rear + 0.25, 1.0),
        (front - 0.25, 1.0),
        (front - 0.05, 0.6),
        (front, 0.05),
    )
    sheet = np.stack(
        [np.stack([np.full(17, x), ry * r * np.cos(angle), z + rz * r * np.sin(angle)], 1) for x, r in knots]
    )
    b.grid(sheet[::-1], Surface.METAL, paint)
    b.box([(rear + front) / 2, 0, z + rz + 0.04], [(front - rear) * 0.8, 0.5, 0.06], Surface.METAL, (110, 110, 112))


def _cargo(b: MeshBuilder, rng: np.random.Generator, mid: float, long: float, z: float, half: float) -> float:
    """Crates, pipes or nothing on a flat deck; returns the top of it."""
    load = rng.integers(3)
    if load == 0:
        top = z
        for x in np.arange(mid - long / 2 + 0.8, mid + long / 2 - 0.7, 1.3):
            if rng.random() < 0.7:
                high = float(rng.uniform(0.6, 1.5))
                b.box([float(x), 0, z + high / 2], [1.1, 1.7 * half, high], Surface.WOOD, (150, 120, 84))
                top = max(top, z + high)
        return max(top, z + 1.0)
    if load == 1:
        for y in np.linspace(-0.7, 0.7, 4) * half:
            for layer in range(2):
                zz = z + 0.2 + 0.34 * layer
                b.tube(
                    [mid - long * 0.45, y, zz],
                    [mid + long * 0.45, y, zz],
                    0.17,
                    Surface.CONCRETE,
                    (160, 158, 150),
                    sides=7,
                )
        return z + 1.0
    return z + 1.0


def trailer(kind: str, seed: int, pulled: bool = True) -> tuple[Mesh, Size]:
    """Mesh and box size of a semi-trailer; its base origin is under its centre, its king-pin 1.3 m behind its front."""
    rng = np.random.default_rng((0x7A, TRAILERS.index(kind), seed))
    b = MeshBuilder(point_class("truck" if pulled else "other-vehicle"))
    length, half = float(rng.uniform(10.5, 13.6)), float(rng.uniform(1.25, 1.3))
    front, rear, deck = length / 2, -length / 2, 1.15
    paint = _colour(rng)
    for y in (0.45, -0.45):
        b.box([0, y, deck - 0.2], [length - 0.3, 0.12, 0.3], Surface.METAL, (50, 50, 52))
    for i in range(3):
        axle(b, rear + 1.2 + 1.25 * i, half, 0.5, twin=True)
    for side in (1, -1):
        b.tube(
            [front - 2.6, side * 0.8, deck - 0.2],
            [front - 2.6, side * 0.8, 0.35 if pulled else 0.0],
            0.07,
            Surface.METAL,
            BLACK,
            sides=5,
        )
        b.box([0.5, side * (half - 0.05), 0.7], [length * 0.38, 0.04, 0.35], Surface.METAL, (120, 122, 124))
    high = float(rng.uniform(2.5, 2.85))
    top = deck + high
    if kind in ("box", "container"):
        b.box([0, 0, deck + high / 2], [length, 2 * half, high], Surface.CAR_PAINT, paint)
        count = 7 if kind == "box" else 22
        for x in np.linspace(rear + 0.1, front - 0.1, count):
            for side in (1, -1):
                b.box([x, side * half, deck + high / 2], [0.08, 0.05, high - 0.1], Surface.CAR_PAINT, paint)
    elif kind == "tanker":
        _tank(b, rear, front, deck + 1.0, 0.96 * half, 1.0, paint)
        top = deck + 2.1
    else:
        b.box([0, 0, deck + 0.06], [length, 2 * half, 0.12], Surface.WOOD, (120, 96, 70))
        b.box([front - 0.05, 0, deck + 0.7], [0.06, 2 * half, 1.2], Surface.METAL, (90, 90, 92))
        top = max(_cargo(b, rng, 0.0, length, deck + 0.12, half), deck + 1.3)
    b.box([rear + 0.06, 0, 0.6], [0.08, 2 * half - 0.2, 0.12], Surface.METAL, (170, 30, 30))
    lights_and_plate(b, rear, half, 0.85, front=False)
    return b.mesh(), (length, 2 * half, top)


def bus(kind: str, seed: int) -> tuple[Mesh, Size]:
    """Mesh and box size of a bus of a kind in `BUSES`."""
    rng = np.random.default_rng((0xB5, BUSES.index(kind), seed))
    b = MeshBuilder(point_class("other-vehicle"))
    length = float(
        {"city": rng.uniform(10.5, 12.6), "coach": rng.uniform(11.5, 13.2), "minibus": rng.uniform(6.2, 7.6)}[kind]
    )
    half = 1.05 if kind == "minibus" else float(rng.uniform(1.27, 1.45))
    high = float(
        {"city": rng.uniform(2.95, 3.3), "coach": rng.uniform(3.4, 3.8), "minibus": rng.uniform(2.6, 2.9)}[kind]
    )
    low = 0.3
    sill = {"city": 1.15, "coach": 1.75, "minibus": 1.2}[kind]
    count = 4 if kind == "minibus" else 6
    edges = np.linspace(0.03, 0.97, count + 1)
    panes = tuple((float(a) + 0.006, float(e) - 0.006) for a, e in zip(edges[:-1], edges[1:]))
    front, rear = length / 2 - 0.07, -length / 2 + 0.07
    paint = _colour(rng)
    coach_body(b, Coach(rear, front, half, low, sill, high, 0.18, panes, kind != "coach", 0.38), paint)
    floor = sill - 0.75
    b.quad(
        [rear, half - 0.05, floor],
        [rear, 0.05 - half, floor],
        [front - 1, 0.05 - half, floor],
        [front - 1, half - 0.05, floor],
        Surface.PLASTIC,
        (80, 80, 84),
    )
    fabric: RGB = (40, 60, 110)
    for x in np.arange(rear + 0.9, front - 1.6, 1.6 if kind != "minibus" else 1.3):
        for side in (1, -1):
            seat(b, float(x), side * (half - 0.6), floor, 0.95, fabric)
    seat(b, front - 0.9, half - 0.6, floor)
    radius = 0.38 if kind == "minibus" else 0.48
    axle(b, front - (1.1 if kind == "minibus" else 2.6), half + 0.02, radius)
    axle(b, rear + (1.6 if kind == "minibus" else 3.2), half + 0.02, radius, twin=True)
    for x in (front, rear):
        b.box([x, 0, low + 0.12], [0.14, 2 * half, 0.34], Surface.PLASTIC, BLACK)
    lights_and_plate(b, front + 0.05, half, 0.75, front=True)
    lights_and_plate(b, rear - 0.05, half, 0.95, front=False)
    mirrors(b, front - 0.05, half - 0.05, sill + 0.7)
    b.box([front + 0.02, 0, high - 0.26], [0.08, half * 1.2, 0.24], Surface.LAMP, (240, 180, 60))
    if kind == "city":
        b.box([-1.0, 0, high + 0.1], [2.6, 1.6, 0.24], Surface.PLASTIC, (210, 210, 208))
    return b.mesh(), (length, 2 * half, high + (0.2 if kind == "city" else 0.0))
