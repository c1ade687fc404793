"""The map of a world: areas and lines of nuScenes' six map classes as polygons and polylines in the map frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.blocks import KERB_STONE, Edge, Rim
from perception_nodes.simulator.layout.marks import Marks
from perception_nodes.simulator.layout.plan import StreetPlan
from perception_nodes.simulator.layout.roads import arc, segments, steps
from perception_nodes.simulator.layout.surfaces import BAR_PIECES
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Crossing

Array = NDArray[np.float64]


def drivable_polygons(plan: StreetPlan, warp: Warp) -> list[Array]:
    """Carriageways [P, 2] between junctions, junction floors with their fillets, and bends. Raised islands are not cut
    out."""
    found = []
    for road in plan.roads:
        for _, _, a, b in segments(plan, road):
            t = steps(a - 0.1, b + 0.1)
            right, left = road.at(t, -road.half(-1)), road.at(t[::-1], road.half(1))
            found.append(warp.map_from_plan(np.concatenate([right, left])))
    for node in plan.nodes:
        found.append(warp.map_from_plan(bend_outline(plan, node) if node.bend else floor_outline(plan, node)))
    for block in plan.blocks:
        u0, v0, u1, v1 = block.box
        corners = ((u0, v0, 1, 1), (u1, v0, -1, 1), (u1, v1, -1, -1), (u0, v1, 1, -1))
        for i, (u, v, su, sv) in enumerate(corners):
            if not block.bends[i]:
                r, start = block.radii[i], np.pi + i * np.pi / 2
                rim = arc((u + su * r, v + sv * r), r, start, start + np.pi / 2)
                found.append(warp.map_from_plan(np.concatenate([[[u - 0.1 * su, v - 0.1 * sv]], rim])))
    return found


def floor_outline(plan: StreetPlan, node) -> Array:
    """Corners of a junction's floor in the plan, a little enlarged so that areas join."""
    from perception_nodes.simulator.layout.roads import node_box

    u0, v0, u1, v1 = node_box(plan, node)
    u, v = steps(u0 - 0.1, u1 + 0.1), steps(v0 - 0.1, v1 + 0.1)
    return np.concatenate(
        [
            np.stack([u, np.full_like(u, v0 - 0.1)], -1),
            np.stack([np.full_like(v, u1 + 0.1), v], -1),
            np.stack([u[::-1], np.full_like(u, v1 + 0.1)], -1),
            np.stack([np.full_like(v, u0 - 0.1), v[::-1]], -1),
        ]
    )


def bend_outline(plan: StreetPlan, node) -> Array:
    """Outline of a ring corner in the plan."""
    leaving = next(plan.roads[r] for r, _, sign in node.arms if sign > 0)
    left = np.array([-leaving.heading[1], leaving.heading[0]])
    reach = plan.trim(node, leaving, 1)
    centre = node.at + reach * (leaving.heading + left)
    base = float(np.arctan2(-left[1], -left[0]))
    outer = arc(centre, node.radius + leaving.half(1) + leaving.half(-1), base - np.pi / 2 - 0.02, base + 0.02, 15)
    return np.concatenate([outer, arc(centre, node.radius, base + 0.02, base - np.pi / 2 - 0.02, 15)])


def walkway_polygons(plan: StreetPlan, warp: Warp, edges: dict[int, Edge], rims: dict[int, Rim]) -> list[Array]:
    """Walkways [P, 2] as quads along the rims of blocks and of the land outside."""
    found = []
    for key, edge in edges.items():
        rim = rims[key]
        near, far = (warp.map_from_plan(rim.ring(x)) for x in (KERB_STONE + edge.strip, edge.inner()))
        nxt = np.roll(np.arange(len(near)), -1)
        wide = np.linalg.norm(far - near, axis=1) + np.linalg.norm(far[nxt] - near[nxt], axis=1) > 0.5
        for i in np.flatnonzero(wide):
            found.append(np.stack([near[i], near[nxt[i]], far[nxt[i]], far[i]]))
    return found


def crossing_polygon(crossing: Crossing) -> Array:
    """The crossing's area [4, 2]."""
    a, b = crossing.line[0, :2], crossing.line[1, :2]
    along = (b - a) / np.linalg.norm(b - a)
    side = np.array([-along[1], along[0]]) * crossing.width / 2
    return np.stack([a - side, b - side, b + side, a + side])


def divider_lines(marks: Marks, warp: Warp) -> list[Array]:
    """Lane and road dividers [P, 2] as far as they are painted."""
    found = []
    for line in marks.lines:
        if line.divider:
            found += [warp.map_from_plan(line.road.at(steps(a, b), line.offset())) for a, b in line.runs()]
    return found


def stop_polygons(marks: Marks, warp: Warp) -> list[Array]:
    """Outlines [P, 2] of the painted stop lines."""
    found = []
    for bar in marks.bars:
        o = np.linspace(bar.o0, bar.o1, BAR_PIECES + 1)
        outline = [bar.road.at(bar.t0, o), bar.road.at(bar.t1, o[::-1])]
        found.append(warp.map_from_plan(np.concatenate(outline)))
    return found
