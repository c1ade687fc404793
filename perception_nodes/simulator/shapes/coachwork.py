"""Bodies with flat walls: driver's cabs, buses, boxes on frames; hollow, with panes, pillars and seats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_nodes.simulator.scene import Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder, outward

TINT: RGB = (34, 40, 44)
BLACK: RGB = (30, 30, 32)


@dataclass(frozen=True)
class Coach:
    """A hollow body from x `rear` to `front`, y within +-`half`, z from `low` over the window sill to `high`."""

    rear: float
    front: float
    half: float
    low: float
    sill: float
    high: float
    rake: float = 0.1  # how far the windscreen's top leans back
    panes: tuple[tuple[float, float], ...] = ((0.08, 0.7),)  # side windows as shares of length from the front
    rear_pane: bool = False
    header: float = 0.22  # height of the wall above the windows


def coach_body(builder: MeshBuilder, c: Coach, paint: RGB) -> None:
    """Walls, panes, windscreen, roof with chamfered edges, and floor."""
    b = MeshBuilder(builder.label)
    _walls(b, c, paint)
    x, y, z = (c.rear + 0.4, c.front - 0.4), (0.3 - c.half, c.half - 0.3), (c.low + 0.4, c.high - 0.4)
    builder.extend(outward(b.mesh(), (x, y, z)))


def _walls(b: MeshBuilder, c: Coach, paint: RGB) -> None:
    edges = sorted({0.0, 1.0, *(e for span in c.panes for e in span)})
    top = c.high - c.header
    levels = ((c.low, c.sill), (c.sill, top), (top, c.high - 0.1))
    belly = 0.02 * c.half

    def x_at(share: float, z: float) -> float:
        lean = c.rake * max(0.0, (z - c.sill) / (c.high - c.sill))
        front = c.front - lean
        return front + (c.rear - front) * share

    for side in (1, -1):
        for a, e in zip(edges[:-1], edges[1:]):
            glazed = any(p0 <= a and e <= p1 for p0, p1 in c.panes)
            for i, (z0, z1) in enumerate(levels):
                pane = glazed and i == 1
                y0, y1 = side * c.half, side * (c.half - (belly if i else 0.0))
                corners = [[x_at(e, z0), y0, z0], [x_at(a, z0), y0, z0], [x_at(a, z1), y1, z1], [x_at(e, z1), y1, z1]]
                p, q, r, s = corners[::-side]
                b.quad(p, q, r, s, Surface.CAR_GLASS if pane else Surface.CAR_PAINT, TINT if pane else paint)
    across = np.linspace(c.half, -c.half, 5)
    bulge = 0.06 * (1 - (across / c.half) ** 2)
    for x, lean, sign, glass in ((c.front, c.rake, 1, True), (c.rear, 0.0, -1, c.rear_pane)):
        for i, (z0, z1) in enumerate(levels):
            rows = []
            for z in (z0, z1):
                back = lean * max(0.0, (z - c.sill) / (c.high - c.sill))
                rows.append(np.stack([x + sign * bulge - back, across, np.full(5, z)], 1))
            pane = glass and i == 1
            sheet = np.stack(rows)[::-sign]
            b.grid(sheet, Surface.CAR_GLASS if pane else Surface.CAR_PAINT, TINT if pane else paint)
    along = np.array([c.front - c.rake, c.front - c.rake - 0.12, c.rear + 0.12, c.rear])
    width = np.array([c.half, c.half - 0.14, -c.half + 0.14, -c.half])
    rise = np.outer([0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]) * 0.1
    roof = np.stack(np.broadcast_arrays(along[:, None], width[None, :], c.high - 0.1 + rise), -1)
    b.grid(roof[::-1], Surface.CAR_PAINT, paint)
    floor = c.low + 0.05
    h = c.half - 0.02
    b.quad(
        [c.rear, h, floor], [c.rear, -h, floor], [c.front, -h, floor], [c.front, h, floor], Surface.METAL, (50, 50, 52)
    )


def seat(b: MeshBuilder, x: float, y: float, floor: float, width: float = 0.5, rgb: RGB = (58, 56, 60)) -> None:
    """Seat with its back towards -x."""
    b.box([x, y, floor + 0.42], [0.46, width, 0.14], Surface.CLOTH, rgb)
    b.box([x - 0.25, y, floor + 0.82], [0.12, width, 0.75], Surface.CLOTH, rgb, pitch=0.12)


def lights_and_plate(b: MeshBuilder, x: float, half: float, z: float, front: bool) -> None:
    """Two lamps and a number plate on the end at `x`."""
    out = 0.03 if front else -0.03
    for side in (1, -1):
        b.box(
            [x + out, side * (half - 0.25), z],
            [0.05, 0.34, 0.16],
            Surface.HEADLIGHT if front else Surface.TAILLIGHT,
            (235, 238, 240) if front else (170, 16, 18),
        )
    b.box([x + out, 0, z - 0.08], [0.03, 0.5, 0.12], Surface.LICENCE_PLATE, (240, 240, 236))


def mirrors(b: MeshBuilder, x: float, half: float, z: float) -> None:
    """Large mirrors on arms."""
    for side in (1, -1):
        b.tube(
            [x, side * half, z + 0.25], [x + 0.12, side * (half + 0.22), z + 0.2], 0.018, Surface.METAL, BLACK, sides=4
        )
        b.box([x + 0.12, side * (half + 0.2), z], [0.08, 0.2, 0.42], Surface.PLASTIC, BLACK)


def axle(b: MeshBuilder, x: float, half: float, radius: float, twin: bool = False) -> None:
    """Wheels on both sides and the beam between them."""
    width = 0.5 if twin else 0.28
    for side in (1, -1):
        b.wheel([x, side * (half - width / 2 - 0.02), radius], radius, width, (120, 122, 124))
    b.tube([x, half - 0.2, radius], [x, 0.2 - half, radius], 0.08, Surface.METAL, BLACK, sides=4)
