"""Road works sites: places of about 24 m beside the traffic where cones, barriers and machines may stand."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.plan import PlanCrossing, StreetPlan
from perception_nodes.simulator.layout.warp import Warp

REACH = 13.0  # m on both sides of a site's middle that must be free of junctions and crossings

Site = tuple[int, int, float, float]  # road, side, t, offset


def place_works(rng: np.random.Generator, plan: StreetPlan, crossings: list[PlanCrossing]) -> list[Site]:
    """Sites in parking strips, else on the walkway with their cones on the carriageway's edge."""
    found: list[Site] = []
    for _ in range(max(1, round(float(rng.uniform(*plan.style.sites))))):
        for _attempt in range(40):
            road = plan.roads[int(rng.integers(len(plan.roads)))]
            k = int(rng.integers(len(road.nodes) - 1))
            start = road.nodes[k][0] + plan.trim(plan.nodes[road.nodes[k][1]], road, 1) + REACH
            stop = road.nodes[k + 1][0] - plan.trim(plan.nodes[road.nodes[k + 1][1]], road, -1) - REACH
            if stop <= start:
                continue
            t, side = float(rng.uniform(start, stop)), int(rng.choice([-1, 1]))
            if any(c.road is road and abs(c.t - t) < REACH for c in crossings):
                continue
            if any(r == road.id and s == side and abs(at - t) < 2 * REACH for r, s, at, _ in found):
                continue
            strip = road.park[(side + 1) // 2]
            offset = side * (road.half(side) - strip / 2 if strip > 0 else road.half(side) + 0.9)
            found.append((road.id, side, t, offset))
            break
    return found


def site_pose(site: Site, plan: StreetPlan, warp: Warp, ground: GroundHeight) -> tuple[float, float, float, float]:
    """x, y, z, yaw of a site; it faces along its side's traffic, which passes on its left."""
    road = plan.roads[site[0]]
    uv = road.at(site[2], site[3])
    x, y, z = (float(c) for c in ground.on(warp.map_from_plan(uv)))
    return x, y, z, float(warp.yaw(uv, road.heading * (1.0 if site[1] < 0 else -1.0)))
