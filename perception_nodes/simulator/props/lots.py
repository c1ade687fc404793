"""Fill lots: the building, what closes the lot towards its street and neighbours, and its garden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.frontage import Frontage, Lot
from perception_nodes.simulator.layout.soup import Soup
from perception_nodes.simulator.layout.styles import Style
from perception_nodes.simulator.props import buildings
from perception_nodes.simulator.props.library import Library
from perception_nodes.simulator.props.placer import Placer
from perception_nodes.simulator.scene import Mesh

Array = NDArray[np.float64]


def fill_lot(soup: Soup, placer: Placer, library: Library, pool: Pool, style: Style, front: Frontage, lot: Lot) -> None:
    """Everything on one lot; drawn from the lot's own seed."""
    rng = np.random.default_rng(lot.seed)
    if lot.use in ("house", "row", "block", "hall"):
        add_building(soup, placer, pool, rng, style, front, lot)
    if lot.use == "carpark":
        if lot.front:
            close_front(placer, library, rng, front, lot, 0.6)
        scatter(placer, library, rng, front, lot, int(rng.integers(0, 4)), (20.0, max(21.0, front.depth)))
        return
    if lot.front:
        close_front(placer, library, rng, front, lot, 0.35)
    if lot.use in ("house", "hall", "green") and rng.random() < 0.7:
        close_side(placer, library, rng, front, lot)
    if lot.use == "green":
        if rng.random() < style.thicket:
            thicket(placer, library, rng, front, lot, float(rng.uniform(0.6, 3.0)), float(rng.uniform(1.5, 6.0)))
    elif lot.setback > 1.6 and rng.random() < style.thicket:  # a planted bed, at the street or before the house
        width = float(rng.uniform(0.5, min(2.5, lot.setback - 1.0)))
        near = 0.55 if rng.random() < 0.7 else lot.setback - width - 0.4
        thicket(placer, library, rng, front, lot, near, width)
    plants = rng.uniform(*style.garden_plants) * (lot.s1 - lot.s0) / 18.0
    if lot.use == "green":
        scatter(placer, library, rng, front, lot, int(min(1.2 * plants + 3, 10)), (0.8, min(front.depth - 1, 18.0)))
    else:
        scatter(placer, library, rng, front, lot, int(1.1 * plants), (0.8, max(1.0, lot.setback - 0.8)), small=True)
        behind = lot.setback + lot.depth + 1.5
        if behind < front.depth - 2:
            scatter(placer, library, rng, front, lot, int(min(plants * 0.25, 2)), (behind, front.depth - 1))


class Pool:
    """Buildings of one world by use: the first few are drawn, later lots take the one that fits best and stretch it.

    A world of a hundred houses then costs a dozen, and worlds still differ from each other."""

    SIZE = {"house": 9, "row": 6, "block": 10, "hall": 4}

    def __init__(self) -> None:
        self.made: dict[str, list[tuple[Mesh, float, float]]] = {}
        self.garages: list[Mesh] = []

    def take(self, rng: np.random.Generator, style: Style, lot: Lot) -> tuple[Mesh, float, float]:
        """(mesh, scale along x, scale along y) of a building for a lot."""
        made = self.made.setdefault(lot.use, [])
        fits = [m for m in made if 0.75 < lot.width / m[1] < 1.3 and 0.7 < lot.depth / m[2] < 1.3]
        if len(made) < self.SIZE[lot.use] or (not fits and len(made) < 2 * self.SIZE[lot.use]):
            made.append((draw_building(rng, style, lot), lot.width, lot.depth))
            return made[-1][0], 1.0, 1.0
        if fits:
            mesh, width, depth = fits[int(rng.integers(len(fits)))]
        else:
            mesh, width, depth = min(made, key=lambda m: abs(np.log(lot.width / m[1])))
        return mesh, lot.width / width, lot.depth / depth

    def garage(self, rng: np.random.Generator) -> Mesh:
        """One of a few garages."""
        if len(self.garages) < 4:
            self.garages.append(buildings.garage(rng))
        return self.garages[int(rng.integers(len(self.garages)))]


def draw_building(rng: np.random.Generator, style: Style, lot: Lot) -> Mesh:
    """A new building for a lot's use and size."""
    low, high = style.storeys
    storeys = int(rng.integers(low, high + 1))
    pitched = bool(rng.random() < style.pitched)
    if lot.use == "hall":
        return buildings.hall(rng, lot.width, lot.depth)
    shop = 0.5 if lot.use == "block" and lot.setback < 2 else 0.0
    return buildings.building(rng, lot.width, lot.depth, storeys, pitched, shop, lot.use != "house")


def add_building(soup: Soup, placer: Placer, pool: Pool, rng, style: Style, front: Frontage, lot: Lot) -> None:
    """The lot's building, and a garage at the end of its driveway."""
    mesh, wide, deep = pool.take(rng, style, lot)
    stand(soup, placer, mesh, front, lot.middle, lot.setback, lot.width, lot.depth, (wide, deep, 1.0))
    if lot.use == "house" and lot.driveway is not None and rng.random() < 0.7:
        back = lot.setback + float(rng.uniform(0.5, max(0.6, lot.depth - 5)))
        stand(soup, placer, pool.garage(rng), front, lot.driveway[0], max(back, 5.6), 3.0, 6.0)
    elif lot.use == "house" and rng.random() < 0.25 and front.depth > lot.setback + lot.depth + 6:
        stand(soup, placer, pool.garage(rng), front, lot.middle, front.depth - 6.5, 3.0, 6.0)


def stand(soup: Soup, placer: Placer, mesh, front: Frontage, s: float, x: float, width, depth, scale=1.0) -> None:
    """Put a building on the ground: its floor lies a hand over the mean height of its footprint."""
    corners = front.uv(
        np.array([s - width / 2, s + width / 2, s + width / 2, s - width / 2, s]),
        np.array([x, x, x + depth, x + depth, x + depth / 2]),
    )
    z = placer.ground.on(placer.warp.map_from_plan(corners))[:, 2]
    at = front.uv(s, x)
    xy = placer.warp.map_from_plan(at)
    floor = float(np.clip(z.mean(), z[:2].max() - 0.8, z[:2].max() + 1.0)) + 0.1
    yaw = float(placer.warp.yaw(at, front.along))
    soup.copies(mesh, np.array([[xy[0], xy[1], floor]]), yaw, scale)


def gaps_of(lot: Lot) -> list[tuple[float, float]]:
    """Openings in the lot's front line: the driveway and a gate."""
    gaps = []
    if lot.driveway is not None:
        s, width = lot.driveway
        gaps.append((s - width / 2 - 0.1, s + width / 2 + 0.1))
    if lot.use in ("house", "row"):
        gaps.append((lot.middle - 0.6, lot.middle + 0.6))
    return gaps


def runs(a: float, b: float, gaps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The parts of [a, b] outside the gaps, longer than 0.5 m."""
    parts, s = [], a
    for low, high in sorted(gaps):
        if low > s:
            parts.append((s, min(low, b)))
        s = max(s, high)
    parts.append((s, b))
    return [(p, q) for p, q in parts if q - p > 0.5]


def close_front(placer: Placer, library: Library, rng, front: Frontage, lot: Lot, x: float) -> None:
    """The hedge or fence on the lot's front line."""
    height = float(rng.uniform(0.8, 2.3))
    depth = float(rng.uniform(0.8, 1.6))
    kind_index = int(rng.integers(2))
    for a, b in runs(lot.s0 + 0.05, lot.s1 - 0.05, gaps_of(lot)):
        line(placer, library, lot.front, kind_index, height, depth, front, (a, x), (b, x))
    if lot.front != "hedge" and rng.random() < 0.35 and lot.setback > 2.2:
        for a, b in runs(lot.s0 + 0.05, lot.s1 - 0.05, gaps_of(lot)):
            line(placer, library, "hedge", kind_index, height * 0.8 + 0.4, depth, front, (a, x + 0.8), (b, x + 0.8))


def close_side(placer: Placer, library: Library, rng, front: Frontage, lot: Lot) -> None:
    """A fence or hedge along the border to the next lot."""
    kind = str(rng.choice(["hedge", "hedge", "chain", "panel", "picket", "wall", "bars"]))
    start = 0.9 if rng.random() < 0.7 else lot.setback
    stop = min(lot.setback + float(rng.uniform(2.0, 9.0)), 14.0, front.depth - 0.5)
    if stop - start > 2:
        height = float(rng.uniform(1.0, 2.4))
        line(placer, library, kind, 1, height, 0.9, front, (lot.s1, start), (lot.s1, stop))


def line(placer: Placer, library: Library, kind: str, which: int, height: float, depth: float, front: Frontage, a, b):
    """Pieces of hedge or fence from (s, x) to (s, x)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    length = float(np.linalg.norm(b - a))
    unit = 3.0 if kind == "hedge" else 2.0
    count = max(1, round(length / unit))
    stretch = length / count / unit
    heading = ((b - a)[0] * front.along + (b - a)[1] * front.inward) / length
    for k in range(count):
        s, x = a + (b - a) * (k + 0.5) / count
        if kind == "hedge":
            piece, scale = library.hedges[(which + k) % len(library.hedges)], (stretch, depth, height)
        else:
            piece, scale = library.fences[kind][which], (stretch, 1.0, 1.0)
        placer.put(piece, front.uv(s, x), heading, scale)


def thicket(placer: Placer, library: Library, rng, front: Frontage, lot: Lot, near: float, deep: float) -> None:
    """A dense belt of bushes and small trees along the lot, `deep` metres from x = near: a bed or a wood's edge."""
    far = near + deep
    size = float(rng.uniform(1.3, 2.8)) if deep > 1.2 else float(rng.uniform(0.9, 1.7))
    count = int(np.clip((lot.s1 - lot.s0) * (far - near) / ((0.65 if size < 1.5 else 0.85) * size * size), 3, 24))
    for s, x in zip(rng.uniform(lot.s0, lot.s1, count), rng.uniform(near, far, count)):
        if any(a - 0.6 < s < b + 0.6 for a, b in gaps_of(lot)):
            continue
        angle = rng.uniform(0, 2 * np.pi)
        heading = (np.cos(angle), np.sin(angle))
        if rng.random() < 0.1:
            placer.put(library.trees[int(rng.integers(len(library.trees)))], front.uv(s, x), heading, 0.9)
        else:
            put_bush(placer, library, rng, front.uv(s, x), heading, size * float(rng.uniform(0.7, 1.3)))


def put_bush(placer: Placer, library: Library, rng: np.random.Generator, uv, heading, size: float) -> None:
    """A bush of about `size` metres; above 1.5 m a shrub, whose leaves are as small."""
    kinds, scale = (library.shrubs, size / 2) if size > 1.5 else (library.bushes, size)
    placer.put(
        kinds[int(rng.integers(len(kinds)))], uv, heading, (scale, scale, scale * float(rng.uniform(0.65, 1.25)))
    )


def scatter(placer: Placer, library: Library, rng, front: Frontage, lot: Lot, count: int, reach, small=False) -> None:
    """Trees, bushes and weeds between two depths of a lot, clear of its driveway."""
    for _ in range(count):
        s, x = float(rng.uniform(lot.s0 + 0.8, lot.s1 - 0.8)), float(rng.uniform(*reach))
        if lot.driveway is not None and abs(s - lot.driveway[0]) < lot.driveway[1] / 2 + 0.9:
            continue
        angle = rng.uniform(0, 2 * np.pi)
        heading = (np.cos(angle), np.sin(angle))
        kind = rng.random()
        if kind < (0.25 if small else 0.55):
            kinds = library.trees if x < 11.0 and lot.use in ("house", "green", "row") else library.far_trees
            tree = kinds[int(rng.integers(len(kinds)))]
            placer.put(tree, front.uv(s, x), heading, float(rng.uniform(0.7, 1.25)) * (0.8 if small else 1.0))
        elif kind < 0.92:
            for _ in range(int(rng.integers(1, 4)) if x < 12.0 else 1):
                at = front.uv(s + rng.normal(0, 0.5), max(x + rng.normal(0, 0.4), 0.5))
                put_bush(placer, library, rng, at, heading, float(rng.uniform(0.6, 2.2)))
        else:
            weed = library.weeds[int(rng.integers(len(library.weeds)))]
            placer.put(weed, front.uv(s, x), heading, float(rng.uniform(0.8, 2.0)))
