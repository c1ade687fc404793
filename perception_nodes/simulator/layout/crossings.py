"""Pedestrian crossings at junction arms, and the polylines that people walk along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.lanes import LaneGraph
from perception_nodes.simulator.layout.plan import PlanCrossing, StreetPlan
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Crossing

Array = NDArray[np.float64]


def place_crossings(rng: np.random.Generator, plan: StreetPlan) -> list[PlanCrossing]:
    """Crossings behind the corners of most junctions, and sometimes between junctions."""
    found = []
    chance = {"rural": 0.1, "arterial": 0.6, "industrial": 0.35, "city": 0.8}.get(plan.style.name, 0.55)
    kinds = ["zebra", "zebra", "lines", "plain"]
    for node in plan.nodes:
        if node.bend:
            continue
        for road_id, t, sign in node.arms:
            if rng.random() < (max(chance, 0.9) if node.signals else chance):
                road = plan.roads[road_id]
                width = float(rng.uniform(2.4, 4.0))
                place = t + sign * (plan.trim(node, road, sign) + width / 2 + 0.8)
                found.append(PlanCrossing(road, place, width, str(rng.choice(kinds)), node, sign))
    for road in plan.roads:
        for (ta, _), (tb, _) in zip(road.nodes[:-1], road.nodes[1:]):
            if tb - ta > 110 and rng.random() < 0.5 * chance and road.median == 0:
                place = float(rng.uniform(ta + 0.4 * (tb - ta), tb - 0.4 * (tb - ta)))
                found.append(PlanCrossing(road, place, float(rng.uniform(2.4, 4.0)), "zebra"))
    return found


def make_crossing(item: PlanCrossing, graph: LaneGraph, warp: Warp, ground: GroundHeight) -> Crossing:
    """The crossing in the map with the arc lengths at which it cuts its road's lanes."""
    road = item.road
    ends = road.at(np.array([item.t, item.t]), np.array([-road.half(-1) - 0.3, road.half(1) + 0.3]))
    line = ground.on(warp.map_from_plan(ends))
    lanes = {}
    for number, (road_id, _, _, _) in graph.where.items():
        if road_id == road.id:
            arc = graph.arc_at(number, item.t)
            if arc is not None:
                lanes[number] = arc
    return Crossing(line, item.width, lanes)
