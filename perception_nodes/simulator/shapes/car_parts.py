"""Parts of a car: lofted body with wheel arches, cabin of panes and pillars, seats, wheels, lights, a pickup's bed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.scene import Surface
from perception_nodes.simulator.shapes.bed_loads import draw_load
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.car_body import CarBody


def _stations(body: CarBody) -> NDArray[np.float64]:
    arch = body.form.wheel * 1.16
    turn = np.cos(np.linspace(0.0, np.pi, 7)) * (arch - 1e-3)
    half = body.length / 2
    ends = [half, half - 0.05, half - 0.2, -half + 0.2, -half + 0.05, -half]
    cabin = [body.along(body.form.screen_foot), body.along(body.form.tail_foot), 0.0]
    axles = [a + t for a in body.axles for t in (*turn, arch, -arch)]
    return np.unique(np.round(np.array(ends + cabin + axles), 4))[::-1]  # front to rear


def draw_shell(b: MeshBuilder, body: CarBody, paint: RGB, kind: str) -> None:
    """Lofted sides with wheel arches, bonnet and boot, nose and tail, floor."""
    x = _stations(body)
    w, top, sill = body.half_width(x), body.top(x), body.sill(x)
    middle = sill + 0.5 * (top - sill)
    rows = [
        (0.84 * w, sill),
        (0.97 * w, sill + 0.04),
        (w, middle),
        (0.985 * w, top - 0.05),
        (0.91 * w, top),
    ]
    for side in (1, -1):
        sheet = np.stack([np.stack([x, side * y, z], 1) for y, z in rows], 0)  # bottom to top, front to rear
        b.grid(sheet[::side], Surface.CAR_PAINT, paint)
    foot, tail = body.along(body.form.screen_foot), body.along(body.form.tail_foot)
    for deck in (x[x >= foot - 1e-3], x[x <= tail + 1e-3]):
        if len(deck) >= 2 and not (body.form.bed and deck[0] < 0):
            across = np.array([0.91, 0.5, -0.5, -0.91])
            crown = np.array([0.0, 0.035, 0.035, 0.0])
            wd, td = body.half_width(deck), body.top(deck)
            grid = np.stack(
                [np.broadcast_to(deck[:, None], (len(deck), 4)), wd[:, None] * across, td[:, None] + crown], -1
            )
            b.grid(grid[::-1], Surface.CAR_PAINT, paint)
    for i, flip in ((0, 1), (len(x) - 1, -1)):
        face = np.array([[[x[i], y[i], z[i]], [x[i], -y[i], z[i]]] for y, z in rows])
        b.grid(face[:, ::flip][::-1], Surface.CAR_PAINT, paint)
    floor = body.form.clearance + 0.04
    inner, half = 0.84 * body.width / 2, body.length / 2 - 0.06
    b.quad(
        [-half, inner, floor],
        [half, inner, floor],
        [half, -inner, floor],
        [-half, -inner, floor],
        Surface.METAL,
        (40, 40, 42),
    )


def draw_cabin(b: MeshBuilder, body: CarBody, paint: RGB, kind: str) -> None:
    """Panes, pillars and roof between the window sill and the roof edge."""
    f, h = body.form, body.height
    foot, top_front = body.along(f.screen_foot), body.along(f.screen_top)
    top_rear, tail = body.along(f.roof_end), body.along(f.tail_foot)
    roof = h - 0.05
    half_roof = f.roof_width * body.width / 2
    tint: RGB = (34, 40, 44)

    def side_point(t: NDArray[np.float64], v: float) -> NDArray[np.float64]:
        x0, x1 = foot + (tail - foot) * t, top_front + (top_rear - top_front) * t
        low = np.stack([x0, 0.91 * body.half_width(x0), body.top(x0)], 1)
        bow = 0.03 * body.width * np.abs(2 * t - 1) ** 3
        high = np.stack([x1, half_roof - bow, np.full(len(t), roof)], 1)
        p = low + (high - low) * v
        p[:, 1] += 0.035 * np.sin(np.pi * v)
        return p

    edges = sorted({0.0, 1.0, *(e for span in f.panes for e in span)})
    for a, c in zip(edges[:-1], edges[1:]):
        glazed = any(p0 <= a and c <= p1 for p0, p1 in f.panes)
        t = np.linspace(a, c, 3 if c - a > 0.2 else 2, dtype=np.float64)
        for v0, v1 in ((0.0, 0.9), (0.9, 1.0)):
            sheet = np.stack([side_point(t, v) for v in np.linspace(v0, v1, 3 if v0 == 0 else 2)])
            pane = glazed and v0 == 0
            for side in (1, -1):
                grid = sheet * [1, side, 1]
                b.grid(grid[::side], Surface.CAR_GLASS if pane else Surface.CAR_PAINT, tint if pane else paint)
    across = np.linspace(1, -1, 5)
    bulge = 1 - across**2
    for low_x, high_x, sign, glass in (
        (foot, top_front, 1, True),
        (tail, top_rear, -1, kind != "van" or not body.cargo),
    ):
        y0 = 0.91 * float(body.half_width(np.array(low_x)))
        z0 = float(body.top(np.array(low_x)))
        rows = []
        for v in np.linspace(0, 1, 3):
            px = low_x + (high_x - low_x) * v + sign * (0.10 * (1 - v) + 0.05 * v) * bulge
            y = (y0 + (half_roof - 0.03 * body.width - y0) * v) * across
            rows.append(np.stack([px, y, np.full(5, z0 + (roof - z0) * v) + 0.02 * v * bulge], 1))
        sheet = np.stack(rows)
        b.grid(
            sheet[::-1] if sign > 0 else sheet,
            Surface.CAR_GLASS if glass else Surface.CAR_PAINT,
            tint if glass else paint,
        )
    _draw_roof(b, body, paint, across)


def _draw_roof(b: MeshBuilder, body: CarBody, paint: RGB, across: NDArray[np.floating]) -> None:
    """The roof's skin, bulging and drawn down at its edges, and its rails; across: places over its width, 1 to -1."""
    f, h = body.form, body.height
    top_front, top_rear = body.along(f.screen_top), body.along(f.roof_end)
    half_roof = f.roof_width * body.width / 2
    bulge = 1 - across**2
    t = np.linspace(0, 1, 5)
    x = top_front + (top_rear - top_front) * t
    half = half_roof - 0.03 * body.width * np.abs(2 * t - 1) ** 3
    crown = 0.05 * bulge + 0.0 * t[:, None]
    rise = np.where((t > 0) & (t < 1), 1.0, 0.4)[:, None]
    xx = x[:, None] + np.where(t == 0, 0.05, np.where(t == 1, -0.05, 0.0))[:, None] * bulge
    b.grid(np.stack([xx, half[:, None] * across, h - 0.05 + crown * rise], -1)[::-1], Surface.CAR_PAINT, paint)
    if f.rails:
        for side in (1, -1):
            y = side * (half_roof - 0.1)
            b.tube(
                [top_front - 0.2, y, h - 0.02],
                [top_rear + 0.2, y, h - 0.02],
                0.02,
                Surface.METAL,
                (120, 120, 122),
                sides=4,
            )


def draw_interior(b: MeshBuilder, body: CarBody, kind: str) -> None:
    """Dashboard and seats, met by the beams that pass a window."""
    f = body.form
    foot = body.along(f.screen_foot)
    cloth: RGB = (52, 50, 48)
    inner = body.width / 2 * 0.86
    sill = float(body.top(np.array(foot)))
    b.box([foot - 0.2, 0, sill - 0.14], [0.5, 2 * inner, 0.26], Surface.PLASTIC, (36, 36, 38))
    seat = max(0.3, body.form.clearance + 0.12)
    first = foot - 0.95
    last = body.along(f.tail_foot)
    if f.bed:
        b.quad(
            [last, inner, 0.45],
            [last, -inner, 0.45],
            [last, -inner, sill],
            [last, inner, sill],
            Surface.CAR_PAINT,
            (60, 60, 62),
        )
    for y in (0.37, -0.37):
        _seat(b, first, y * body.width / 1.9, seat, 0.5, sill, cloth)
    if kind in ("sports",) or (kind == "van" and body.cargo):
        wall = first - 0.45
        b.box(
            [wall, 0, (sill + body.height) / 2 - 0.2],
            [0.04, 2 * inner, body.height - 0.75],
            Surface.METAL,
            (150, 150, 152),
        )
        return
    row = first - 0.85
    while row > last + (0.35 if kind in ("minivan", "van") else 0.55):
        _seat(b, row, 0.0, seat, 2 * inner * 0.88, sill, cloth)
        row -= 0.9
        if kind not in ("minivan", "van"):
            break


def _seat(b: MeshBuilder, x: float, y: float, z: float, width: float, sill: float, cloth: RGB) -> None:
    back = max(sill - 0.15, z + 0.5)
    b.box([x, y, z + 0.08], [0.5, width, 0.16], Surface.CLOTH, cloth)
    b.box([x - 0.3, y, (z + back) / 2 + 0.08], [0.13, width, back - z], Surface.CLOTH, cloth, pitch=0.25)
    b.box([x - 0.4, y, back + 0.2], [0.1, min(width, 0.28), 0.18], Surface.CLOTH, cloth)


def draw_fittings(b: MeshBuilder, body: CarBody, paint: RGB, kind: str, rng: np.random.Generator) -> None:
    """Wheels, lights, plates, bumpers, mirrors; a pickup's bed."""
    f, half = body.form, body.length / 2
    rim: RGB = (150, 152, 156) if rng.random() < 0.7 else (45, 46, 48)
    for axle in body.axles:
        for side in (1, -1):
            b.wheel([axle, side * (body.width / 2 - 0.14), f.wheel], f.wheel, 0.22, rim)
    y_end = float(body.half_width(np.array(half)))
    nose, tail = float(body.top(np.array(half))), float(body.top(np.array(-half)))
    black: RGB = (30, 30, 32)
    for side in (1, -1):
        b.box(
            [half - 0.03, side * y_end * 0.78, nose - 0.09],
            [0.08, 0.36 * y_end, 0.12],
            Surface.HEADLIGHT,
            (235, 238, 240),
        )
        b.box(
            [-half + 0.03, side * y_end * 0.86, tail - 0.12],
            [0.08, 0.22 * y_end, 0.2],
            Surface.TAILLIGHT,
            (170, 16, 18),
        )
        mirror_x = body.along(f.screen_foot) - 0.38
        mirror_z = float(body.top(np.array(mirror_x))) + 0.08
        b.box([mirror_x, side * (body.width / 2 + 0.02), mirror_z], [0.14, 0.2, 0.13], Surface.CAR_PAINT, paint)
    b.box(
        [half - 0.01, 0, (nose + f.clearance) / 2 + 0.02],
        [0.05, y_end * 1.1, 0.22 * body.height * 0.6],
        Surface.PLASTIC,
        black,
    )
    for end, z in ((half, f.clearance + 0.14), (-half, f.clearance + 0.16)):
        b.box([end - 0.05 * np.sign(end), 0, z], [0.14, y_end * 1.96, 0.14], Surface.PLASTIC, black)
        b.box([end + 0.028 * np.sign(end), 0, z + 0.1], [0.02, 0.5, 0.11], Surface.LICENCE_PLATE, (240, 240, 236))
    if f.bed:
        _bed(b, body, paint)
        draw_load(b, body, paint, rng)


def _bed(b: MeshBuilder, body: CarBody, paint: RGB) -> None:
    tail = body.along(body.form.tail_foot)
    rear, y = -body.length / 2 + 0.05, 0.8 * body.width / 2
    low = 0.45 * body.height
    top = float(body.top(np.array(tail))) - 0.02
    b.quad([rear, y, low], [rear, -y, low], [tail, -y, low], [tail, y, low], Surface.METAL, (50, 50, 52))
    for side in (1, -1):
        b.box([(rear + tail) / 2, side * y, (low + top) / 2], [tail - rear, 0.06, top - low], Surface.CAR_PAINT, paint)
