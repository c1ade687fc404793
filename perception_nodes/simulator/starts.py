"""Where a drive begins: on a lane from which the ego vehicle soon meets what its scenario is about."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.routes import LaneNetwork
from perception_nodes.simulator.scenarios import Scenario

SHORT = 30.0  # m; nobody starts on a lane shorter than this if there are longer ones


def wants_lanes(scenario: Scenario) -> bool:
    """Whether the scenario needs roads with several lanes in one direction."""
    return any(name in ("cut_in", "cut_out", "overtake") for name in scenario.provoke)


def choose_start(
    network: LaneNetwork,
    scenario: Scenario,
    rng: np.random.Generator,
    works: tuple[tuple[float, float, float, float], ...] = (),
) -> tuple[int, float]:
    """(lane, arc length) of the ego vehicle's start; `works` are the world's road works sites (x, y, z, yaw)."""
    tracks = network.tracks
    roads = [i for i in network.roads if tracks[i].length > SHORT] or list(network.roads)
    if wants_lanes(scenario):
        return _wide(network, roads, rng)
    if scenario.turns:
        turning = [
            i
            for i in roads
            if any(tracks[j].lane.junction and tracks[j].lane.turn == scenario.turns for j in tracks[i].lane.successors)
        ]
        if turning:
            turning = [i for i in turning if tracks[i].signal < 0] or turning  # no red light before the turn
            lane = _draw(network, turning, rng)
            return lane, max(8.0, tracks[lane].length - float(rng.uniform(30.0, 60.0)))
    if scenario.near_works and works:
        return _before_works(network, works, rng)
    if "crossing" in scenario.provoke:
        return _before_crossing(network, roads, rng)
    lane = _draw(network, roads, rng)
    return lane, max(4.0, tracks[lane].length * float(rng.uniform(0.15, 0.45)))


def _draw(network: LaneNetwork, lanes: list[int], rng: np.random.Generator) -> int:
    """One of the lanes, by length."""
    weights = np.array([network.tracks[i].length for i in lanes])
    return int(lanes[int(rng.choice(len(lanes), p=weights / weights.sum()))])


def _wide(network: LaneNetwork, roads: list[int], rng: np.random.Generator) -> tuple[int, float]:
    """A long lane with a neighbour, left or right of it by a coin; at its beginning."""
    tracks = network.tracks
    side = "left" if rng.random() < 0.5 else "right"
    wide = [i for i in roads if getattr(tracks[i].lane, side) is not None]
    wide = wide or [i for i in roads if tracks[i].lane.left is not None or tracks[i].lane.right is not None] or roads
    longest = max(tracks[i].length for i in wide)
    lane = _draw(network, [i for i in wide if tracks[i].length > 0.7 * longest], rng)
    return lane, min(24.0, 0.3 * tracks[lane].length)


def _before_crossing(network: LaneNetwork, roads: list[int], rng: np.random.Generator) -> tuple[int, float]:
    """50 to 75 m before a crossing that no traffic light guards, if there is one."""
    tracks = network.tracks
    spots = []
    for guarded in (False, True):
        for i in roads:
            for arc, _ in tracks[i].crossings:
                if arc > 35.0 and (tracks[i].signal >= 0) == guarded:
                    spots.append((i, max(5.0, arc - float(rng.uniform(50.0, 75.0)))))
        if spots:
            return spots[int(rng.integers(len(spots)))]
    lane = _draw(network, roads, rng)
    return lane, max(4.0, tracks[lane].length * 0.2)


def _before_works(network: LaneNetwork, works, rng: np.random.Generator) -> tuple[int, float]:
    """35 to 60 m before a road works site, on the lane beside it; a site far down its lane is preferred."""
    found = []
    for x, y, _, yaw in works:
        beside = []
        for i in network.roads:
            s, _, away = network.tracks[i].nearest(x, y)
            if np.cos(network.tracks[i].at(s)[2] - yaw) > 0.8:
                beside.append((away, i, s))
        if beside:
            found.append(min(beside)[1:])
    roomy = [spot for spot in found if spot[1] > 50.0] or [max(found, key=lambda spot: spot[1])]
    lane, s = roomy[int(rng.integers(len(roomy)))]
    return lane, max(4.0, s - float(rng.uniform(35.0, 60.0)))
