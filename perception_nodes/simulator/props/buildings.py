"""Buildings in their own frame: the front stands on y = 0 and faces -y, x runs along the front, z = 0 is the ground
floor. All of class building."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.soup import BUILDING, Soup, box_quads, tube
from perception_nodes.simulator.props.facades import Look, Wall, facade
from perception_nodes.simulator.props.plants import cards, leaf_rgb
from perception_nodes.simulator.scene import Mesh, Surface

Array = NDArray[np.float64]
FOOT = -2.0  # walls reach below the ground, so that slopes leave no gap
PLASTERS = ((232, 224, 206), (214, 198, 168), (236, 232, 226), (222, 186, 150), (196, 206, 190), (204, 176, 166))
BRICKS = ((150, 84, 66), (168, 104, 78), (122, 76, 64), (178, 140, 110))
CONCRETES = ((168, 166, 160), (188, 186, 182), (140, 142, 144))
ROOFS = ((128, 66, 50), (96, 60, 52), (70, 70, 74), (104, 92, 84), (150, 84, 62))


def draw_look(rng: np.random.Generator, shop: float = 0.0) -> Look:
    """Materials and window measures."""
    kind = int(rng.choice(4, p=[0.55, 0.25, 0.14, 0.06]))
    wall = (Surface.PLASTER, Surface.BRICK, Surface.CONCRETE, Surface.WOOD)[kind]
    table = (PLASTERS, BRICKS, CONCRETES, ((140, 110, 80), (110, 60, 50), (90, 100, 110)))[kind]
    rgb = np.array(table[int(rng.integers(len(table)))]) * rng.uniform(0.85, 1.08)
    r, g, b = (int(c) for c in np.clip(rgb, 0, 255))
    width = float(rng.uniform(0.9, 1.8))
    trim = int(rng.integers(120, 240))
    return Look(
        wall,
        (r, g, b),
        (int(rng.integers(40, 80)), int(rng.integers(55, 95)), int(rng.integers(70, 115))),
        (trim, trim, trim),
        (width, float(rng.uniform(1.1, 1.7))),
        float(rng.uniform(0.75, 1.0)),
        float(rng.uniform(0.08, 0.28)),
        width + float(rng.uniform(0.8, 2.0)),
        bool(rng.random() < shop),
        float(rng.uniform(0.005, 0.05)),
        bool(shop == 0 and rng.random() < 0.25),
    )


def walls(width: float, depth: float, x0: float = 0.0, y0: float = 0.0) -> list[Wall]:
    """Front, right, back and left wall of a box whose front's middle is (x0, y0)."""
    a, b = x0 - width / 2, x0 + width / 2
    ex, ey = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    return [
        Wall(np.array([a, y0, 0]), ex, ey, width),
        Wall(np.array([b, y0, 0]), ey, -ex, depth),
        Wall(np.array([b, y0 + depth, 0]), -ex, -ey, width),
        Wall(np.array([a, y0 + depth, 0]), -ey, ex, depth),
    ]


def gable_roof(soup: Soup, look: Look, width: float, depth: float, eaves: float, rise: float, over: float, rgb, across):
    """A pitched roof with overhang; the ridge runs along x, or along y if `across`. Gable walls included."""
    a, b, c, d = -width / 2, width / 2, 0.0, depth
    if across:
        ridge = np.array([[0, c - over, eaves + rise], [0, d + over, eaves + rise]])
        drop = rise * over / (width / 2)
        faces = [
            [(b + over, c - over, eaves - drop), (b + over, d + over, eaves - drop), ridge[1], ridge[0]],
            [(a - over, d + over, eaves - drop), (a - over, c - over, eaves - drop), ridge[0], ridge[1]],
        ]
        gables = [
            [(a, c, eaves), (b, c, eaves), (0, c, eaves + rise)],
            [(b, d, eaves), (a, d, eaves), (0, d, eaves + rise)],
        ]
    else:
        m = (c + d) / 2
        ridge = np.array([[a - over, m, eaves + rise], [b + over, m, eaves + rise]])
        drop = rise * over / (depth / 2)
        faces = [
            [(a - over, c - over, eaves - drop), (b + over, c - over, eaves - drop), ridge[1], ridge[0]],
            [(b + over, d + over, eaves - drop), (a - over, d + over, eaves - drop), ridge[0], ridge[1]],
        ]
        gables = [
            [(b, c, eaves), (b, d, eaves), (b, m, eaves + rise)],
            [(a, d, eaves), (a, c, eaves), (a, m, eaves + rise)],
        ]
    slopes = np.array(faces, float)
    soup.quads(slopes, Surface.ROOF, BUILDING, rgb)
    soup.quads(slopes[:, ::-1] - [0, 0, 0.12], Surface.WOOD, BUILDING, look.trim)
    soup.add(np.array(gables, float).reshape(-1, 3), np.arange(6).reshape(2, 3), look.wall, BUILDING, look.rgb)


def hip_roof(soup: Soup, look: Look, width: float, depth: float, eaves: float, rise: float, over: float, rgb) -> None:
    """Four slopes to a short ridge along the longer side."""
    a, b, c, d = -width / 2 - over, width / 2 + over, -over, depth + over
    half = min(b - a, d - c) / 2
    if b - a >= d - c:
        r0, r1 = (a + half, (c + d) / 2, eaves + rise), (b - half, (c + d) / 2, eaves + rise)
        quads = [[(a, c, eaves), (b, c, eaves), r1, r0], [(b, d, eaves), (a, d, eaves), r0, r1]]
        ends = [[(b, c, eaves), (b, d, eaves), r1], [(a, d, eaves), (a, c, eaves), r0]]
    else:
        r0, r1 = (0.0, c + half, eaves + rise), (0.0, d - half, eaves + rise)
        quads = [[(b, c, eaves), (b, d, eaves), r1, r0], [(a, d, eaves), (a, c, eaves), r0, r1]]
        ends = [[(a, c, eaves), (b, c, eaves), r0], [(b, d, eaves), (a, d, eaves), r1]]
    soup.quads(np.array(quads, float), Surface.ROOF, BUILDING, rgb)
    soup.add(np.array(ends, float).reshape(-1, 3), np.arange(6).reshape(2, 3), Surface.ROOF, BUILDING, rgb)
    soup.quads([[(a, d, eaves), (b, d, eaves), (b, c, eaves), (a, c, eaves)]], Surface.WOOD, BUILDING, look.trim)


def flat_roof(soup: Soup, rng, look: Look, width: float, depth: float, top: float) -> None:
    """A flat roof behind a parapet, with boxes on it."""
    a, b, rise = -width / 2, width / 2, float(rng.uniform(0.2, 1.0))
    rim = box_quads((a, 0, top), (b, depth, top + rise))
    soup.quads(rim[:4], look.wall, BUILDING, look.rgb)
    roof = (int(rng.integers(70, 130)),) * 3
    soup.quads(rim[4:], Surface.ROOF, BUILDING, roof)
    if rng.random() < 0.5 and width > 8 and depth > 8:
        x, y = float(rng.uniform(a + 2, b - 4)), float(rng.uniform(2, depth - 4))
        low, high = (x, y, top + rise), (x + 2.5, y + 2.5, top + rise + rng.uniform(1, 2.6))
        soup.quads(box_quads(low, high), Surface.METAL, BUILDING, (150, 152, 150))


def trimmings(soup: Soup, rng, look: Look, width: float, storeys: int, storey: float, balconies: bool) -> None:
    """Plinth, steps, canopy, balconies and down-pipes on the front."""
    if rng.random() < 0.5:
        h = float(rng.uniform(0.25, 0.7))
        plinth = box_quads((-width / 2 - 0.04, -0.05, FOOT), (width / 2 + 0.04, 0.02, h))
        soup.quads(plinth, Surface.CONCRETE, BUILDING, (130, 126, 120))
    if rng.random() < 0.4:
        x = float(rng.uniform(-width / 3, width / 3))
        soup.quads(
            box_quads((x - 0.8, -1.1, FOOT), (x + 0.8, -0.05, 0.02)), Surface.CONCRETE, BUILDING, (150, 146, 140)
        )
        if rng.random() < 0.6:
            soup.quads(box_quads((x - 1.0, -1.2, 2.45), (x + 1.0, 0, 2.6), True), look.wall, BUILDING, look.trim)
    if rng.random() < 0.6:
        x = float(rng.choice([-1, 1])) * (width / 2 - 0.25)
        v, t = tube([(x, -0.09, FOOT), (x, -0.09, storeys * storey)], [0.05, 0.05], 4)
        soup.add(v, t, Surface.METAL, BUILDING, (120, 116, 110))
    if rng.random() < 0.3 and width > 7:
        porch(soup, rng, look, width, storey)
    if balconies:
        for level in range(1, min(storeys, 4)):
            for x in np.arange(-width / 2 + 2.2, width / 2 - 2.2, 2 * look.bay + 2.0):
                z = level * storey
                soup.quads(
                    box_quads((x - 1.5, -1.3, z - 0.16), (x + 1.5, 0, z), True), Surface.CONCRETE, BUILDING, look.trim
                )
                rail = box_quads((x - 1.5, -1.3, z), (x + 1.5, 0, z + 1.0))[[0, 1, 3]]
                soup.quads(rail, Surface.RAILING, BUILDING, (90, 94, 98), float(rng.choice([0.0, 0.45])))


def porch(soup: Soup, rng: np.random.Generator, look: Look, width: float, storey: float) -> None:
    """A bay window, porch or winter garden on the front, and now and then ivy beside it."""
    wide, deep = float(rng.uniform(1.6, 3.4)), float(rng.uniform(0.5, 1.6))
    x = float(rng.uniform(-width / 2 + wide / 2, width / 2 - wide / 2))
    height = storey * float(rng.uniform(0.85, 1.0))
    soup.quads(box_quads((x - wide / 2, -deep, FOOT), (x + wide / 2, 0, height)), look.wall, BUILDING, look.rgb)
    a, b = x - 0.35 * wide, x + 0.35 * wide
    pane = [(a, -deep - 0.02, 0.8), (b, -deep - 0.02, 0.8), (b, -deep - 0.02, 2.1), (a, -deep - 0.02, 2.1)]
    soup.quads([pane], Surface.GLASS, BUILDING, look.glass)
    if rng.random() < 0.4:
        n = int(rng.integers(30, 70))
        side = float(rng.choice([-1, 1])) * (wide / 2 + 0.8)
        spots = np.stack([x + side + rng.normal(0, 0.5, n), rng.normal(-0.12, 0.06, n), rng.uniform(0.1, 2.8, n)], -1)
        cards(soup, rng, spots, 0.4, leaf_rgb(rng), 0.1)


def building(
    rng: np.random.Generator, width: float, depth: float, storeys: int, pitched: bool, shop: float, front_only: bool
) -> Mesh:
    """A house or block of the given footprint. `front_only`: openings lie back only in the front (row houses and
    large blocks), elsewhere windows are flush."""
    soup = Soup()
    look = draw_look(rng, shop)
    storey = float(rng.uniform(2.6, 3.3))
    top = storeys * storey
    deep_front = min(storeys, 3)
    for i, wall in enumerate(walls(width, depth)):
        deep = deep_front if i == 0 else (int(not front_only) if i % 2 == 1 else 0)
        if front_only and i == 2:  # turned away from every street
            soup.quads(wall.rectangles(0, wall.length, FOOT, top), look.wall, BUILDING, look.rgb)
            continue
        facade(soup, rng, wall, FOOT, storeys, storey, look, deep)
    rgb = tuple(
        int(c) for c in np.clip(np.array(ROOFS[int(rng.integers(len(ROOFS)))]) * rng.uniform(0.8, 1.15), 0, 255)
    )
    if pitched:
        across = rng.random() < 0.35
        rise = (width if across else depth) / 2 * float(rng.uniform(0.35, 0.95))
        over = float(rng.uniform(0.1, 0.7))
        if not across and rng.random() < 0.25:
            hip_roof(soup, look, width, depth, top, min(width, depth) / 2 * 0.6, over, rgb)
        else:
            gable_roof(soup, look, width, depth, top, rise, 0.1 if front_only else over, rgb, across)
        if rng.random() < 0.6:
            x = float(rng.uniform(-width / 3, width / 3))
            ridge = (x - 0.3, depth / 2 - 0.9, top), (x + 0.3, depth / 2 - 0.3, top + rise + 0.4)
            soup.quads(box_quads(*ridge), Surface.BRICK, BUILDING, (120, 70, 56))
    else:
        flat_roof(soup, rng, look, width, depth, top)
    trimmings(soup, rng, look, width, storeys, storey, storeys > 1 and rng.random() < 0.35)
    return soup.mesh()


def garage(rng: np.random.Generator) -> Mesh:
    """A garage, shed or carport-sized box with a door."""
    soup = Soup()
    look = draw_look(rng)
    w, d, h = rng.uniform(2.8, 3.4), rng.uniform(5.2, 6.5), rng.uniform(2.3, 2.8)
    soup.quads(box_quads((-w / 2, 0, -1.0), (w / 2, d, h)), look.wall, BUILDING, look.rgb)
    door = [[(-1.2, -0.01, 0), (1.2, -0.01, 0), (1.2, -0.01, 2.05), (-1.2, -0.01, 2.05)]]
    soup.quads(door, Surface.METAL, BUILDING, look.trim)
    return soup.mesh()


def hall(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """An industrial hall or supermarket: metal or concrete walls with pilasters, gates and a low band of windows."""
    soup = Soup()
    h = float(rng.uniform(4.5, 10))
    surface = (Surface.METAL, Surface.CONCRETE, Surface.BRICK)[int(rng.integers(3))]
    tone = rng.integers(90, 215, 3) // 2 + int(rng.integers(45, 105))
    r, g, b = (int(c) for c in np.clip(tone, 0, 255))
    rgb = (r, g, b)
    look = Look(surface, rgb, (60, 80, 95), (110, 110, 112), (2.4, 1.0), 2.4, 0.12, 4.2)
    for wall in walls(width, depth):
        facade(soup, rng, wall, FOOT, 1, h, look, 1)
        for s in np.arange(0.2, wall.length, float(rng.uniform(5, 8))):
            p = wall.points(np.array([s]), np.array([0.0]), np.array([FOOT]))[0]
            q = p + 0.35 * wall.along - 0.18 * wall.inward
            low, high = np.minimum(p, q), np.maximum(p, q)
            soup.quads(box_quads(low, (high[0], high[1], h)), surface, BUILDING, rgb)
        if wall.length > 12:
            gate = wall.rectangles([wall.length * 0.3], [wall.length * 0.3 + 3.6], [0.0], [3.8], [-0.04])
            soup.quads(gate, Surface.METAL, BUILDING, (120, 124, 130))
    flat_roof(soup, rng, look, width, depth, h)
    return soup.mesh()
