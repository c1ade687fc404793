"""What stands between kerb and gardens: lamps, street trees, signs, traffic lights, utility poles, furniture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.draft import Draft
from perception_nodes.simulator.layout.frontage import Frontage
from perception_nodes.simulator.layout.soup import CLUTTER, Soup, tube
from perception_nodes.simulator.props.library import Library
from perception_nodes.simulator.props.placer import Placer
from perception_nodes.simulator.scene import Surface

Array = NDArray[np.float64]


class Kerbside:
    """One frontage's street edge: says which places are free, so that nothing stands in entrances or crossings."""

    def __init__(self, draft: Draft, front: Frontage) -> None:
        self.front = front
        self.taken: list[tuple[float, float]] = [
            (lot.driveway[0], lot.driveway[1] / 2 + 0.8) for lot in front.lots if lot.driveway is not None
        ]
        self.crossings: list[tuple[float, float]] = []
        for c in draft.crossings:
            if c.road.id == front.road:
                at = c.road.at(c.t, 0.0)
                s = float((at - front.corner) @ front.along)
                self.crossings.append((s, c.width / 2))
                self.taken.append((s, c.width / 2 + 0.4))
        radius = 9.0 if front.key >= 0 else 20.0
        self.span = (radius, front.length - radius)
        self.kerb_x = 0.55 - front.inner  # x of things beside the kerb
        self.back_x = 0.3

    def free(self, s: float, half: float) -> bool:
        """Whether s +- half is within the straight edge and clear of everything."""
        if not self.span[0] < s < self.span[1]:
            return False
        return all(abs(s - place) > room + half for place, room in self.taken)

    def take(self, s: float, half: float) -> None:
        """Mark a place as used."""
        self.taken.append((s, half))

    @property
    def facing(self) -> Array:
        """Direction of the traffic on this side; left of it lies the road."""
        return -self.front.along


def furnish(draft: Draft, placer: Placer, library: Library, front: Frontage) -> None:
    """Fill one street edge."""
    rng, style = draft.rng, draft.plan.style
    edge = Kerbside(draft, front)
    add_lamps(draft, rng, placer, library, edge)
    trees = rng.random() < style.street_trees and front.inner > 1.2
    if trees:
        add_trees(rng, placer, library, edge, style.tree_spacing)
    for _ in range(int(rng.poisson(front.length / 50.0))):
        s = float(rng.uniform(*edge.span))
        if edge.free(s, 0.4):
            edge.take(s, 0.5)
            x = edge.kerb_x if rng.random() < 0.7 else edge.back_x
            placer.put(
                library.signs[int(rng.integers(len(library.signs)))],
                front.uv(s, x),
                edge.facing * rng.choice([1, 1, -1]),
            )
    add_furniture(rng, placer, library, edge, 2.2 if style.name == "city" else 1.0)
    for s, half in edge.crossings:
        if rng.random() < 0.6:
            placer.put(library.signs[0], front.uv(s + half + 0.3, edge.kerb_x), edge.facing)


def add_lamps(draft: Draft, rng: np.random.Generator, placer: Placer, library: Library, edge: Kerbside) -> None:
    """Lamps (or utility poles with wires) at even distances."""
    front = edge.front
    if rng.random() < 0.35 and draft.plan.style.name != "city":
        if rng.random() < 0.6 and draft.plan.style.name in ("suburb", "rural", "industrial"):
            add_utility(draft, rng, placer, library, edge)
        return
    mesh, light = library.lamps[0 if rng.random() < 0.8 else 1]
    spacing = float(rng.uniform(22, 42))
    s = edge.span[0] + float(rng.uniform(1, spacing / 2))
    x = edge.kerb_x if rng.random() < 0.75 or front.inner < 0.5 else edge.back_x
    while s < edge.span[1]:
        for nudge in (0.0, 1.5, -1.5, 3.0):
            if edge.free(s + nudge, 0.3):
                uv = front.uv(s + nudge, x)
                placer.put(mesh, uv, edge.facing)
                edge.take(s + nudge, 0.5)
                head = placer.pose(uv - front.inward * light[1])
                draft.lamps.append((float(head[0]), float(head[1]), float(placer.pose(uv)[2]) + light[2]))
                break
        s += spacing


def add_utility(draft: Draft, rng: np.random.Generator, placer: Placer, library: Library, edge: Kerbside) -> None:
    """Utility poles with sagging wires between them."""
    front, places = edge.front, []
    for s in np.arange(edge.span[0] + 2, edge.span[1], float(rng.uniform(28, 42))):
        if edge.free(float(s), 0.3):
            placer.put(library.utility, front.uv(s, edge.kerb_x), edge.facing)
            edge.take(float(s), 0.5)
            places.append(placer.pose(front.uv(s, edge.kerb_x)))
    top = float(library.utility.vertices[:, 2].max()) - 0.6
    wires = Soup()
    for a, b in zip(places[:-1], places[1:]):
        share = np.linspace(0, 1, 5)[:, None]
        for side in (-0.7, 0.7):
            across = np.array([-(b - a)[1], (b - a)[0], 0]) / np.linalg.norm((b - a)[:2]) * side
            path = a + (b - a) * share + across + [0, 0, top]
            path[:, 2] -= 3.2 * (share * (1 - share))[:, 0]
            v, t = tube(path, np.full(5, 0.018), 3)
            wires.add(v, t, Surface.RUBBER, CLUTTER, (30, 30, 32))
    draft.prop_soup.parts += wires.parts


def add_trees(rng: np.random.Generator, placer: Placer, library: Library, edge: Kerbside, spacing) -> None:
    """A row of street trees, in the grass strip if there is one."""
    front = edge.front
    x = front.strip / 2 - front.inner + 0.16 if front.strip > 0.5 else edge.kerb_x + 0.25
    if front.walk > 0 and front.strip < 0.5 and rng.random() < 0.3:
        x = 0.9
    step = float(rng.uniform(*spacing))
    which = int(rng.integers(len(library.street_trees)))
    for s in np.arange(edge.span[0] + float(rng.uniform(0, 4)), edge.span[1], step):
        s = float(s + rng.normal(0, 0.3))
        if edge.free(s, 0.5) and rng.random() < 0.9:
            edge.take(s, 0.8)
            tree = library.street_trees[(which + int(rng.random() < 0.3)) % len(library.street_trees)]
            angle = rng.uniform(0, 2 * np.pi)
            placer.put(tree, front.uv(s, x), (np.cos(angle), np.sin(angle)), float(rng.uniform(0.75, 1.2)))


def add_furniture(rng: np.random.Generator, placer: Placer, library: Library, edge: Kerbside, density: float) -> None:
    """Bins, benches, cabinets, bollards, a bus shelter now and then."""
    front = edge.front
    if front.inner < 1.0:
        return
    kinds = list(library.clutter)
    for _ in range(int(rng.poisson(density * front.length / 45.0))):
        s, kind = float(rng.uniform(*edge.span)), str(rng.choice(kinds))
        if not edge.free(s, 1.0):
            continue
        edge.take(s, 1.0)
        near = kind in ("bollard", "hydrant", "rack", "stone")
        x = edge.kerb_x if near else edge.back_x - 0.55
        if kind == "bollard":
            for k in range(int(rng.integers(2, 7))):
                placer.put(library.clutter[kind], front.uv(s + 1.6 * k, x), front.along)
            edge.take(s + 4.0, 5.0)
        elif kind == "wheelie":
            for k in range(int(rng.integers(1, 4))):
                placer.put(library.clutter[kind], front.uv(s + 0.7 * k, x), front.along)
        else:
            placer.put(library.clutter[kind], front.uv(s, x), front.along)
    if front.inner > 2.4 and rng.random() < 0.12:
        s = float(rng.uniform(*edge.span))
        if edge.free(s, 3.0):
            edge.take(s, 3.5)
            placer.put(library.shelter, front.uv(s, -0.85), front.along)


def add_signals(draft: Draft, placer: Placer, library: Library) -> None:
    """Traffic lights on every arm of a signalled junction, right of the arriving lanes."""
    rng, plan = draft.rng, draft.plan
    for node in plan.nodes:
        if not node.signals:
            continue
        for road_id, t, sign in node.arms:
            road = plan.roads[road_id]
            side = -1 if sign < 0 else 1  # right of the traffic that arrives
            place = t + sign * (plan.trim(node, road, sign) + 0.4)
            uv = road.at(place, side * (road.half(side) + 0.6))
            light = library.lights[1 if road.lanes > 1 or rng.random() < 0.4 else 0]
            placer.put(light, uv, -sign * road.heading)
            if rng.random() < 0.6:
                other = road.at(place, -side * (road.half(-side) + 0.6))
                placer.put(library.lights[0], other, -sign * road.heading)
