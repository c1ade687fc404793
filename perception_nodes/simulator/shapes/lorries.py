"""Medium lorries: box bodies, flatbeds, stake beds, service bodies and walk-in delivery vans, 5.5 to 8.5 m long.

These are the trucks of city streets (classes 4 to 7 in North America): the cab stands behind a short bonnet or over the
axle, the body is separate from it, so points and boxes are `truck` (SemanticKITTI, nuScenes, PandaSet "Medium-sized
Truck" alike).
"""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.coachwork import BLACK, Coach, axle, coach_body, lights_and_plate, mirrors, seat

Size = tuple[float, float, float]
LORRIES = ("box", "stepvan", "flatbed", "service", "box", "stake")  # boxes are the commonest
_WHITE: RGB = (232, 232, 230)
_PAINTS: tuple[RGB, ...] = (
    *((200, 30, 30), (30, 70, 150), (236, 180, 40), (50, 110, 70), (90, 60, 40)),
    *((60, 62, 66), (180, 182, 186), (230, 120, 30)),
)


def _paint(rng: np.random.Generator, white: float) -> RGB:
    base = _WHITE if rng.random() < white else _PAINTS[rng.integers(len(_PAINTS))]
    r, g, b = np.clip(np.array(base) + rng.integers(-14, 15, 3), 0, 255)
    return int(r), int(g), int(b)


def lorry(form: str, seed: int) -> tuple[Mesh, Size]:
    """Mesh and box size of a lorry of a form in `LORRIES`."""
    rng = np.random.default_rng((0x10E, LORRIES.index(form), seed))
    b = MeshBuilder(point_class("truck"))
    if form == "stepvan":
        return _stepvan(b, rng)
    length, half = float(rng.uniform(5.6, 8.3)), float(rng.uniform(1.03, 1.24))
    front, rear, paint = length / 2, -length / 2, _paint(rng, 0.6)
    bonnet = float(rng.uniform(0.9, 1.5)) if rng.random() < 0.55 else 0.0
    cab_front = front - 0.07 - bonnet
    cab_rear = cab_front - float(rng.uniform(1.5, 1.8)) - (0.9 if rng.random() < 0.2 else 0.0)
    cab_half, cab_high = min(half, float(rng.uniform(0.95, 1.1))), float(rng.uniform(2.1, 2.5))
    sill = 1.42 if bonnet else 1.34
    coach_body(
        b, Coach(cab_rear, cab_front, cab_half, 0.45, sill, cab_high, 0.38 if bonnet else 0.2, ((0.1, 0.7),)), paint
    )
    _nose(b, front, cab_front, cab_half, sill, paint, bonnet > 0)
    for y in (0.45, -0.45):
        seat(b, cab_front - 0.95, y, 0.8)
    mirrors(b, cab_front - 0.3, cab_half, sill + 0.2)
    radius, deck = float(rng.uniform(0.37, 0.44)), float(rng.uniform(0.82, 1.02))
    for y in (0.4, -0.4):
        b.box([(rear + cab_front) / 2, y, deck - 0.16], [cab_front - rear, 0.1, 0.22], Surface.METAL, (44, 44, 46))
    axle(b, front - (0.8 if bonnet else 1.1), half, radius)
    axle(b, rear + float(rng.uniform(1.2, 2.0)), half, radius, twin=True)
    b.box([rear + 0.06, 0, 0.55], [0.1, 2 * half - 0.3, 0.14], Surface.METAL, (70, 70, 72))
    top = _BODIES[form](b, rng, rear, cab_rear - 0.06, deck, half)
    lights_and_plate(b, rear, half, deck - 0.22, front=False)
    return b.mesh(), (length, 2 * half, max(cab_high, top))


def _nose(b: MeshBuilder, front: float, cab: float, half: float, sill: float, paint: RGB, bonnet: bool) -> None:
    """Bonnet or flat front, grille, bumper, lamps."""
    if bonnet:
        side = half * 0.88
        profile = [[cab - 0.1, 0.5], [front - 0.06, 0.5], [front - 0.06, sill - 0.35], [front - 0.3, sill - 0.18]]
        b.prism([*profile, [cab - 0.1, sill - 0.02]], -side, side, Surface.CAR_PAINT, paint)
    b.box([cab - 0.4, 0, sill - 0.1], [0.4, 2 * half - 0.1, 0.28], Surface.PLASTIC, BLACK)
    b.box([front - 0.03, 0, sill - 0.5], [0.06, half * 1.2, 0.32], Surface.PLASTIC, BLACK)
    b.box([front - 0.08, 0, 0.5], [0.16, 2 * half, 0.26], Surface.METAL, (150, 152, 154))
    lights_and_plate(b, front - 0.02, half, 0.78, front=True)


def _box(b: MeshBuilder, rng: np.random.Generator, rear: float, front: float, deck: float, half: float) -> float:
    """A closed body, over the cab's roof on some, with a cooling unit on others."""
    high, paint = float(rng.uniform(1.9, 2.55)), _paint(rng, 0.65)
    mid, long = (rear + front) / 2, front - rear
    b.box([mid, 0, deck + high / 2], [long, 2 * half, high], Surface.CAR_PAINT, paint)
    for x in (rear, front):
        for side in (1, -1):
            b.box([x, side * (half - 0.03), deck + high / 2], [0.06, 0.08, high], Surface.METAL, (150, 150, 150))
    b.box([rear, 0, deck + high / 2], [0.03, 1.7 * half, high * 0.9], Surface.METAL, (190, 190, 188))
    if rng.random() < 0.4:  # stripe or lettering as one band
        for side in (1, -1):
            b.box(
                [mid, side * half, deck + high * 0.6], [long * 0.7, 0.02, high * 0.3], Surface.CAR_PAINT, _paint(rng, 0)
            )
    draw = rng.random()
    if draw < 0.25:
        b.box([front + 0.3, 0, deck + high - 0.4], [0.6, 1.5 * half, 0.6], Surface.PLASTIC, (200, 202, 204))
    elif draw < 0.5:
        b.box([front + 0.45, 0, deck + high - 0.25], [0.9, 2 * half, 0.5], Surface.CAR_PAINT, paint)
    return deck + high


def _flatbed(b: MeshBuilder, rng: np.random.Generator, rear: float, front: float, deck: float, half: float) -> float:
    """An open deck with a head board, low sides on some, and a load on most."""
    mid, long, paint = (rear + front) / 2, front - rear, _paint(rng, 0.2)
    b.box([mid, 0, deck + 0.06], [long, 2 * half, 0.12], Surface.WOOD, (118, 96, 72))
    b.box([front - 0.04, 0, deck + 0.6], [0.06, 2 * half - 0.1, 1.0], Surface.METAL, (80, 80, 84))
    if rng.random() < 0.6:
        for side in (1, -1):
            b.box([mid, side * (half - 0.03), deck + 0.3], [long, 0.05, 0.4], Surface.METAL, paint)
        b.box([rear + 0.03, 0, deck + 0.3], [0.05, 2 * half, 0.4], Surface.METAL, paint)
    top = deck + 1.1
    for x in np.arange(rear + 0.8, front - 0.6, 1.25):
        if rng.random() < 0.5:
            high = float(rng.uniform(0.4, 1.3))
            tone = _paint(rng, 0.3)
            b.box([float(x), 0, deck + 0.12 + high / 2], [1.05, 1.6 * half, high], Surface.WOOD, tone)
            top = max(top, deck + 0.12 + high)
    return top


def _stake(b: MeshBuilder, rng: np.random.Generator, rear: float, front: float, deck: float, half: float) -> float:
    """A deck between high fences of planks, open on top."""
    mid, long, high = (rear + front) / 2, front - rear, float(rng.uniform(1.1, 1.9))
    tone = _paint(rng, 0.1)
    b.box([mid, 0, deck + 0.06], [long, 2 * half, 0.12], Surface.WOOD, (110, 90, 70))
    for z in np.arange(0.25, high, 0.32):
        for side in (1, -1):
            b.box([mid, side * (half - 0.03), deck + z], [long, 0.04, 0.16], Surface.WOOD, tone)
        for x in (rear + 0.03, front - 0.03):
            b.box([x, 0, deck + z], [0.04, 2 * half, 0.16], Surface.WOOD, tone)
    for x in np.linspace(rear + 0.1, front - 0.1, 5):
        for side in (1, -1):
            b.box([float(x), side * (half - 0.05), deck + high / 2], [0.07, 0.05, high], Surface.METAL, (70, 70, 72))
    if rng.random() < 0.5:
        b.ellipsoid([mid, 0, deck + 0.5], [long * 0.4, half * 0.8, 0.6], Surface.SOIL, (96, 92, 64), sides=8)
    return deck + high


def _service(b: MeshBuilder, rng: np.random.Generator, rear: float, front: float, deck: float, half: float) -> float:
    """Tool lockers along both sides, a rack with ladders or pipes over them."""
    mid, long, paint = (rear + front) / 2, front - rear, _paint(rng, 0.7)
    high = float(rng.uniform(0.9, 1.2))
    b.box([mid, 0, deck - 0.05], [long, 1.2 * half, 0.12], Surface.METAL, (70, 70, 72))
    for side in (1, -1):
        b.box([mid, side * (half - 0.22), deck + high / 2 - 0.2], [long, 0.44, high], Surface.CAR_PAINT, paint)
    rack = deck + high + float(rng.uniform(0.3, 0.7))
    for x in np.linspace(rear + 0.2, front - 0.2, 3):
        for side in (1, -1):
            b.tube(
                [x, side * (half - 0.1), deck + high - 0.2],
                [x, side * (half - 0.1), rack],
                0.03,
                Surface.METAL,
                BLACK,
                sides=4,
            )
        b.tube([x, half - 0.1, rack], [x, 0.1 - half, rack], 0.03, Surface.METAL, BLACK, sides=4)
    for y in np.linspace(-0.6, 0.6, int(rng.integers(2, 5))) * half:
        b.tube(
            [rear - 0.1, y, rack + 0.07], [front + 0.3, y, rack + 0.07], 0.05, Surface.METAL, (190, 190, 188), sides=5
        )
    return rack + 0.12


def _stepvan(b: MeshBuilder, rng: np.random.Generator) -> tuple[Mesh, Size]:
    """A walk-in delivery van: one flat-sided body with a steep screen and a short nose."""
    length, half = float(rng.uniform(5.6, 7.8)), float(rng.uniform(1.02, 1.2))
    high, low, sill = float(rng.uniform(2.55, 3.05)), 0.45, 1.35
    front, rear, paint = length / 2, -length / 2, _paint(rng, 0.45)
    nose = float(rng.uniform(0.25, 0.7))
    body = Coach(rear + 0.05, front - nose, half, low, sill, high, 0.3, ((0.04, 0.18),), False, 0.35)
    coach_body(b, body, paint)
    profile = [[front - nose - 0.1, 0.5], [front - 0.05, 0.5], [front - 0.05, 1.05], [front - nose - 0.1, sill]]
    b.prism(profile, -0.9 * half, 0.9 * half, Surface.CAR_PAINT, paint)
    b.box([front - 0.04, 0, 0.85], [0.06, half, 0.25], Surface.PLASTIC, BLACK)
    for end in (front - 0.07, rear + 0.07):
        b.box([end, 0, 0.5], [0.14, 2 * half, 0.2], Surface.METAL, (60, 60, 62))
    b.box(
        [front - nose - 1.9, 0, (sill + high) / 2 - 0.3], [0.05, 1.9 * half, high - 0.9], Surface.METAL, (170, 170, 168)
    )
    seat(b, front - nose - 0.9, 0.45, 0.8)
    lights_and_plate(b, front - 0.03, half, 0.85, front=True)
    lights_and_plate(b, rear + 0.05, half, 1.1, front=False)
    mirrors(b, front - nose - 0.25, half, sill + 0.2)
    axle(b, front - 0.95, half, 0.4)
    axle(b, rear + float(rng.uniform(1.3, 1.8)), half, 0.4, twin=True)
    return b.mesh(), (length, 2 * half, high)


_BODIES = {"box": _box, "flatbed": _flatbed, "stake": _stake, "service": _service}
