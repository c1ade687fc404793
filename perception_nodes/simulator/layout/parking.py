"""Where vehicles may stand: along the kerb in parking strips and in the bays of car parks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.plan import PlanCrossing, Road, StreetPlan
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import ParkingSpot

Array = NDArray[np.float64]


def kerbside_spots(
    rng: np.random.Generator,
    plan: StreetPlan,
    warp: Warp,
    ground: GroundHeight,
    crossings: list[PlanCrossing],
    keep_clear: list[tuple[int, int, float, float]],
) -> list[ParkingSpot]:
    """Spots in every parking strip, clear of junctions, crossings and entrances (road, side, t, half width)."""
    spots = []
    for road in plan.roads:
        for side in (-1, 1):
            if road.park[(side + 1) // 2] <= 0:
                continue
            o = side * (road.half(side) - road.park[(side + 1) // 2] / 2)
            pitch = float(rng.uniform(5.8, 6.8))
            for (ta, a), (tb, b) in zip(road.nodes[:-1], road.nodes[1:]):
                start = ta + plan.trim(plan.nodes[a], road, 1) + 6.0
                stop = tb - plan.trim(plan.nodes[b], road, -1) - 6.0
                for t in np.arange(start + pitch / 2, stop - pitch / 2, pitch):
                    if spot_is_free(road, side, float(t), crossings, keep_clear):
                        spots.append(kerbside_spot(road, side, float(t), o, pitch, warp, ground))
    return spots


def spot_is_free(road: Road, side: int, t: float, crossings, keep_clear) -> bool:
    """Whether a parked vehicle at t keeps its distance from crossings and from `keep_clear`."""
    for crossing in crossings:
        if crossing.road is road and abs(crossing.t - t) < crossing.width / 2 + 5.5:
            return False
    return all(r != road.id or s != side or abs(place - t) > half + 3.2 for r, s, place, half in keep_clear)


def kerbside_spot(road: Road, side: int, t: float, o: float, pitch: float, warp: Warp, ground) -> ParkingSpot:
    """A spot along the kerb, facing the way of the traffic on its side."""
    uv = road.at(t, o)
    xyz = ground.on(warp.map_from_plan(uv))
    yaw = float(warp.yaw(uv, road.heading * (1.0 if side < 0 else -1.0)))
    return ParkingSpot((float(xyz[0]), float(xyz[1]), float(xyz[2])), yaw, pitch - 0.6, "kerbside")
