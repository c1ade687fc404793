"""Carriageways: strips between junctions, junction floors, corner fillets and bends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.plan import Block, Node, Road, StreetPlan
from perception_nodes.simulator.layout.soup import OTHER_GROUND, PARKING, ROAD, SIDEWALK, TERRAIN, Soup
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Surface

Array = NDArray[np.float64]
STEP = 3.0  # m, length of a piece of carriageway


def steps(a: float, b: float, step: float = STEP) -> Array:
    """Arc lengths from a to b, both included, at most `step` apart."""
    return np.linspace(a, b, max(2, int(np.ceil((b - a) / step)) + 1), dtype=np.float64)


def grey(value: int) -> tuple[int, int, int]:
    """Slightly warm grey."""
    return (value, value, max(0, value - 3))


def crown_height(plan: StreetPlan, road: Road, t: Array, o: Array) -> Array:
    """Height of the carriageway over its kerb line at (t, o): a crown that fades out at junctions. Bends of the ring
    have it too, so it only fades at nodes that are junctions."""
    side = np.where(o >= 0, road.half(1), road.half(-1))
    fade = np.ones_like(t)
    for node_t, node_id in road.nodes:
        node = plan.nodes[node_id]
        reach = 0.0 if node.bend else max(plan.box_reach(node, road, 1), plan.box_reach(node, road, -1))
        away = np.clip((np.abs(t - node_t) - reach) / 12.0, 0.0, 1.0)
        fade = np.minimum(fade, away * away * (3 - 2 * away))
    return road.crown * fade * np.clip(1 - np.abs(o) / side, 0.0, 1.0)


def offsets(road: Road) -> Array:
    """Offsets of a carriageway's seams, from the right kerb to the left kerb."""
    seams = {0.0, -road.half(-1), road.half(1)}
    for side in (-1, 1):
        width = road.park[(side + 1) // 2]
        if width > 0:
            seams.add(side * (road.half(side) - width))
    ordered = sorted(seams)
    full: list[float] = []
    for a, b in zip(ordered[:-1], ordered[1:]):
        full += list(np.linspace(a, b, max(1, int(np.ceil((b - a) / 4.5))) + 1)[:-1])
    return np.array([*full, ordered[-1]])


def segments(plan: StreetPlan, road: Road):
    """(node a, node b, t where the strip begins, t where it ends) between consecutive nodes."""
    for (ta, a), (tb, b) in zip(road.nodes[:-1], road.nodes[1:]):
        first, last = plan.nodes[a], plan.nodes[b]
        reach_a = plan.trim(first, road, 1) if first.bend else plan.box_reach(first, road, 1)
        reach_b = plan.trim(last, road, -1) if last.bend else plan.box_reach(last, road, -1)
        yield first, last, ta + reach_a, tb - reach_b


def build_roads(soup: Soup, plan: StreetPlan, warp: Warp, parking_label: set[tuple[int, int]]) -> None:
    """Add every carriageway; `parking_label` names the (road, side) whose parking strips are of class parking."""
    for road in plan.roads:
        for first, last, a, b in segments(plan, road):
            add_strip(soup, plan, warp, road, first, last, a, b, parking_label)
    for node in plan.nodes:
        if node.bend:
            add_bend(soup, plan, warp, node)
        else:
            add_floor(soup, plan, warp, node)
    for block in plan.blocks:
        add_fillets(soup, plan, warp, block)


def add_strip(soup: Soup, plan: StreetPlan, warp: Warp, road: Road, first, last, a, b, parking_label) -> None:
    """The carriageway between two nodes, column by column."""
    t, o = steps(a, b), offsets(road)
    tt, oo = np.meshgrid(t, o, indexing="ij")
    points = warp.lift(road.at(tt, oo), crown_height(plan, road, tt, oo))
    for i in range(len(o) - 1):
        middle = (o[i] + o[i + 1]) / 2
        side = 1 if middle > 0 else -1
        in_strip = road.park[(side + 1) // 2] > 0 and abs(middle) > road.half(side) - road.park[(side + 1) // 2]
        if in_strip and (road.id, side) in parking_label:
            near, far = plan.trim(first, road, 1), plan.trim(last, road, -1)
            inside = (t >= first_t(road, first) + near + 2) & (t <= first_t(road, last) - far - 2)
            label_rows(soup, points[:, i : i + 2], inside, road.tint)
        else:
            soup.grid(points[:, i : i + 2], Surface.ASPHALT, ROAD, grey(road.tint))


def first_t(road: Road, node: Node) -> float:
    """Arc of a node on a road."""
    return next(t for t, n in road.nodes if n == node.id)


def label_rows(soup: Soup, points: Array, inside: NDArray[np.bool_], tint: int) -> None:
    """A one-column strip whose rows between inside points are paved parking, the others road."""
    corners = np.stack([points[:-1, 0], points[1:, 0], points[1:, 1], points[:-1, 1]], 1)
    bay = inside[:-1] & inside[1:]
    soup.quads(corners[bay], Surface.PAVING, PARKING, grey(min(255, tint + 22)))
    soup.quads(corners[~bay], Surface.ASPHALT, ROAD, grey(tint))


def node_box(plan: StreetPlan, node: Node) -> tuple[float, float, float, float]:
    """Plan rectangle of a junction's floor: the overlap of its carriageways."""
    reach = {(1, 0): 0.0, (-1, 0): 0.0, (0, 1): 0.0, (0, -1): 0.0}
    for road_id, _, _ in node.arms:
        road = plan.roads[road_id]
        left = (round(-road.heading[1]), round(road.heading[0]))
        for sign in (1, -1):
            key = (left[0] * sign, left[1] * sign)
            reach[key] = max(reach[key], road.half(sign))
    u, v = node.at
    return u - reach[(-1, 0)], v - reach[(0, -1)], u + reach[(1, 0)], v + reach[(0, 1)]


def add_floor(soup: Soup, plan: StreetPlan, warp: Warp, node: Node) -> None:
    """The flat middle of a junction."""
    u0, v0, u1, v1 = node_box(plan, node)
    u, v = np.meshgrid(steps(u0, u1), steps(v0, v1), indexing="ij")
    tint = plan.roads[node.arms[0][0]].tint
    soup.grid(warp.lift(np.stack([u, v], -1)), Surface.ASPHALT, ROAD, grey(tint))


def arc(centre, radius: float, start: float, stop: float, count: int = 9) -> Array:
    """Points [count, 2] on a circle."""
    angle = np.linspace(start, stop, count)
    return np.asarray(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], -1)


def add_fillets(soup: Soup, plan: StreetPlan, warp: Warp, block: Block) -> None:
    """Asphalt between a block's rounded corners and the sharp corners of its kerb lines."""
    u0, v0, u1, v1 = block.box
    corners = ((u0, v0, 1, 1), (u1, v0, -1, 1), (u1, v1, -1, -1), (u0, v1, 1, -1))
    for i, (u, v, su, sv) in enumerate(corners):
        if block.bends[i]:
            continue
        r = block.radii[i]
        rim = arc((u + su * r, v + sv * r), r, np.pi + i * np.pi / 2, 1.5 * np.pi + i * np.pi / 2)
        points = warp.lift(np.concatenate([[[u, v]], rim]))
        k = np.arange(1, len(rim))
        triangles = np.stack([np.zeros_like(k), k + 1, k], 1)
        soup.add(points, triangles, Surface.ASPHALT, ROAD, grey(plan.roads[block.roads[i]].tint))


def add_bend(soup: Soup, plan: StreetPlan, warp: Warp, node: Node) -> None:
    """A corner of the ring road: a sector between two arcs, crown included."""
    leaving = next(plan.roads[r] for r, _, sign in node.arms if sign > 0)
    arriving = next(plan.roads[r] for r, _, sign in node.arms if sign < 0)
    left = np.array([-leaving.heading[1], leaving.heading[0]])
    reach = plan.trim(node, leaving, 1)
    centre = node.at + reach * leaving.heading + reach * left
    base = np.arctan2(*(-left)[::-1])  # from the centre to where the leaving road begins
    o = offsets(leaving)
    angle = base - np.linspace(np.pi / 2, 0.0, 13)
    radius = (node.radius + leaving.half(1)) - o
    uv = centre + np.stack([np.cos(angle)[:, None] * radius, np.sin(angle)[:, None] * radius], -1)
    start = leaving.length * 0 + reach
    height = crown_height(plan, leaving, np.full(len(o), start), o)
    points = warp.lift(uv, np.broadcast_to(height, uv.shape[:2]))
    soup.grid(points, Surface.ASPHALT, ROAD, grey(arriving.tint))


def build_islands(soup: Soup, rng: np.random.Generator, plan: StreetPlan, warp: Warp, crossings) -> None:
    """Raised islands between the directions of wide roads, open at crossings."""
    for road in plan.roads:
        if road.median <= 0:
            continue
        half, kerb = road.median / 2 - 0.05, float(rng.uniform(0.06, 0.18))
        top = (
            (Surface.GRASS, TERRAIN, (88, 108, 52)) if rng.random() < 0.6 else (Surface.PAVING, OTHER_GROUND, grey(140))
        )
        for (ta, a), (tb, b) in zip(road.nodes[:-1], road.nodes[1:]):
            start = ta + plan.trim(plan.nodes[a], road, 1) + 1.0
            stop = tb - plan.trim(plan.nodes[b], road, -1) - 1.0
            cuts = sorted((c.t - c.width / 2, c.t + c.width / 2) for c in crossings if c.road is road)
            for low, high in [*cuts, (stop, stop)]:
                if start < low <= stop and low - start > 1.5:
                    add_island(soup, plan, warp, road, start, low, half, kerb, top)
                if high > start:
                    start = max(start, high)


def add_island(
    soup: Soup, plan: StreetPlan, warp: Warp, road: Road, a: float, b: float, half: float, kerb: float, top
) -> None:
    """One island from t = a to b."""
    t = np.concatenate([[a, a + 0.04], steps(a + 0.3, b - 0.3), [b - 0.04, b]])
    o = np.array([-half, -half + 0.04, -half + 0.18, half - 0.18, half - 0.04, half])
    up = np.ones((len(t), len(o)))
    up[[0, -1]] = 0.0
    up[:, [0, -1]] = 0.0
    tt, oo = np.meshgrid(t, o, indexing="ij")
    points = warp.lift(road.at(tt, oo), crown_height(plan, road, tt, oo) + kerb * up - 0.01 * (1 - up))
    for i in range(len(o) - 1):
        if i == 2:
            soup.grid(points[:, i : i + 2], *top)
        else:
            soup.grid(points[:, i : i + 2], Surface.KERB, SIDEWALK, grey(165))
