"""Swinging out for slow road users, and changes to a neighbouring lane.

Lane changes follow the idea of MOBIL (Kesting, Treiber and Helbing, "General lane-changing model MOBIL",
Transportation Research Record 1999, 2007): a driver changes when it gains speed and the one behind in the new lane need
not brake hard.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np

from perception_nodes.simulator.driver_model import Occupant, Vehicle
from perception_nodes.simulator.junctions import Junctions

SIDE_ROOM = 0.9  # m between two bodies while passing
ONCOMING_ROOM = 0.5  # m between two bodies that meet
EDGE = 0.15  # m that a body keeps from its lane's edge without asking who comes
LOOK = 26.0  # m ahead at which a slow road user is swung out for


class Flow(Protocol):
    """What a lane change needs of the traffic (flow.py has its full form)."""

    tracks: Any
    rng: np.random.Generator
    junctions: Junctions
    occupants: dict[int, list[Occupant]]
    obstacles: dict[int, list[tuple[float, float, float, float]]]

    def leader(self, v: Vehicle) -> Any: ...

    def extend_route(self, vehicle: Vehicle) -> None: ...


def consider_passing(flow: Flow, v: Vehicle) -> None:
    """Sets `d_goal`: around a cyclist or a fixed obstacle ahead when there is room beside it and nobody comes."""
    home = v.driver.offset
    if v.two_wheeled or v.changing_from is not None:
        if v.changing_from is None:
            v.d_goal = home
        return
    track = flow.tracks[v.route[0]]
    goal, passing = home, 0
    for s, d, long, wide, speed, who in _slow_ahead(flow, v):
        if abs(d - home) > (v.width + wide) / 2 + 0.5:
            continue
        side = 1.0 if d <= 0.6 else -1.0
        wish = d + side * ((v.width + wide) / 2 + SIDE_ROOM)
        over = abs(wish) + v.width / 2 - track.lane.width / 2
        if over > -EDGE and not (v.passing == who or _beside_is_free(flow, v, wish, s + long - v.s, speed)):
            continue
        if abs(wish) < 4.2:
            goal, passing = wish, who
            break
    v.d_goal, v.passing = goal, passing


def _slow_ahead(flow: Flow, v: Vehicle):
    """Cyclists and fixed obstacles from a little behind the vehicle to `LOOK` metres ahead on its route."""
    base = 0.0
    for lane in list(v.route)[:2]:
        for s, d, long, wide in flow.obstacles.get(lane, ()):
            if -0.5 * (v.length + long) - 3.0 < base + s - v.s < LOOK + 0.8 * v.v:
                yield base + s, d, long, wide, 0.0, -1
        for s, d, other in flow.occupants.get(lane, ()):
            if other.two_wheeled and other.driver.top_speed < 8.0 and other is not v:
                if -0.5 * (v.length + other.length) - 2.0 < base + s - v.s < LOOK:
                    yield base + s, d, other.length, other.width, other.v, other.track_id
        base += flow.tracks[lane].length


def _beside_is_free(flow: Flow, v: Vehicle, wish: float, distance: float, speed: float) -> bool:
    """Whether the offset `wish` stays free for as long as passing takes; `distance` and `speed` of who is passed."""
    track = flow.tracks[v.route[0]]
    lane = track.lane
    pace = max(v.v, min(track.cap, speed + 4.0))
    duration = min((distance + v.length + 8.0) / max(pace - speed, 2.5), 9.0)
    if track.length - v.s < pace * duration * 0.8:
        return False
    if wish < 0:
        return lane.right is None or _gap_is_free(flow, v, lane.right, 3.0)
    if lane.left is not None:
        return _gap_is_free(flow, v, lane.left, 6.0)
    if lane.opposite is None:
        return True
    return not _somebody_comes(flow, v, lane.opposite, wish, (pace + 12.0) * duration)


def _somebody_comes(flow: Flow, v: Vehicle, opposite: int, wish: float, need: float) -> bool:
    """Whether within `need` metres somebody comes on the opposite lane who would pass closer than `ONCOMING_ROOM`."""
    here, aside, _ = flow.tracks[opposite].nearest(v.x, v.y)
    apart = abs(aside) + v.d - wish  # from its centre line to where this vehicle would drive
    queue = [(opposite, 0.0)]
    for _ in range(3):  # the oncoming lane and those that feed it
        onward = []
        for i, back in queue:
            start = here if back == 0.0 else flow.tracks[i].length
            for s, d, other in flow.occupants.get(i, ()):
                if other is v or s > start + v.length or start - s + back > need:
                    continue
                if apart - max(d, other.d_goal) - (v.width + other.width) / 2 < ONCOMING_ROOM:
                    return True
            if start + back < need:
                onward += [(j, back + start) for j in flow.tracks[i].before]
        queue = onward
    return False


def _gap_is_free(flow: Flow, v: Vehicle, lane: int, room: float) -> bool:
    s, _, _ = flow.tracks[lane].nearest(v.x, v.y)
    for so, _, other in flow.occupants.get(lane, ()):
        if other is v:
            continue
        gap = abs(so - s) - (v.length + other.reach) / 2
        closing = max((other.v - v.v) if so < s else (v.v - other.v), 0.0)
        if gap < room + 1.6 * closing + 0.4 * v.v * (so < s):
            return False
    return True


def consider_lane_change(flow: Flow, v: Vehicle, dt: float) -> None:
    """Starts a change to a neighbouring lane when it pays."""
    v.change_pause -= dt
    track = flow.tracks[v.route[0]]
    lane = track.lane
    if v.change_pause > 0 or v.two_wheeled or v.is_ego or not may_change(flow, v):
        return
    v.change_pause = 0.5
    gap, speed, ahead = flow.leader(v)
    wanted = track.cap * v.driver.speed_factor
    if ahead is not None and gap < 3.0 * v.v + 10.0 and speed < wanted - 1.5 and lane.left is not None:
        if change_lane(flow, v, lane.left):
            return
    if lane.right is not None and (ahead is None or gap > 5 * v.v) and float(flow.rng.random()) < 0.04:
        change_lane(flow, v, lane.right)


def may_change(flow: Flow, v: Vehicle) -> bool:
    """Whether there is another lane and enough road left for a change, and no other manoeuvre is under way."""
    track = flow.tracks[v.route[0]]
    lane = track.lane
    if v.changing_from is not None or v.passing or (lane.left is None and lane.right is None) or v.v < 4.0:
        return False
    return v.tail >= 4.0 and track.length - v.s >= 30.0 + 3.0 * v.v


def change_lane(flow: Flow, v: Vehicle, target: int, room: float = 5.0) -> bool:
    """Puts the vehicle on the neighbouring lane `target`, with its offset from there; False if there is no gap."""
    if not _gap_is_free(flow, v, target, room):
        return False
    s, d, _ = flow.tracks[target].nearest(v.x, v.y)
    if abs(d) > 6.0 or s - v.length / 2 < 1.0:
        return False
    v.changing_from = (v.route[0], v.d - d)
    flow.junctions.release(v, set(v.granted))
    v.route = deque([target])
    v.behind.clear()
    v.s, v.d, v.d_goal = s, d, v.driver.offset
    v.change_pause = 4.0 + 6.0 * float(flow.rng.random())
    flow.extend_route(v)
    return True
