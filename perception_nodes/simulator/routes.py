"""The lane graph as the drivers see it: points by arc length, who comes before, which junction lanes cross.

Lanes are resampled to one point per metre into plain Python lists, because a driver looks up single points: a list
look-up costs a tenth of a numpy one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from perception_nodes.simulator.scene import Lane, World

SPACING = 1.0  # m between samples of a lane
LATERAL = 2.3  # m/s^2, comfortable lateral acceleration in bends
CROSSING_HALF = 2.8  # m between a crossing's middle and the bumpers that wait before it
CLEAR = 2.7  # m; junction lanes nearer than this cannot be driven at the same time


@dataclass(eq=False)
class Track:
    """One lane sampled by arc length: x, y, heading (unwrapped, rad) as lists; `cap` the speed that suits it, m/s."""

    lane: Lane
    length: float
    x: list[float]
    y: list[float]
    heading: list[float]
    cap: float
    before: tuple[int, ...] = ()
    conflicts: frozenset[int] = frozenset()  # junction lanes that cross or merge with this one
    crossings: tuple[tuple[float, int], ...] = ()  # (arc length, index into world.crossings), by arc length
    entry: float = 0.0  # arc length of the front bumper when waiting to enter the junction behind this lane
    signal: int = -1  # index of the traffic light at its end, -1: none
    phase: int = 0  # in which phase of that light it has green

    def at(self, s: float) -> tuple[float, float, float]:
        """x, y, heading at arc length s; the ends are continued straight."""
        if s <= 0.0:
            h = self.heading[0]
            return self.x[0] + s * math.cos(h), self.y[0] + s * math.sin(h), h
        if s >= self.length:
            h = self.heading[-1]
            more = s - self.length
            return self.x[-1] + more * math.cos(h), self.y[-1] + more * math.sin(h), h
        f = s / self.length * (len(self.x) - 1)
        i = int(f)
        if i >= len(self.x) - 1:
            i = len(self.x) - 2
        f -= i
        x, y, turn = self.x, self.y, self.heading
        return (
            x[i] + f * (x[i + 1] - x[i]),
            y[i] + f * (y[i + 1] - y[i]),
            turn[i] + f * (turn[i + 1] - turn[i]),
        )

    def nearest(self, x: float, y: float) -> tuple[float, float, float]:
        """(arc length, signed lateral offset to the left, distance) of the point nearest to (x, y)."""
        px, py = np.asarray(self.x), np.asarray(self.y)
        i = int(np.argmin((px - x) ** 2 + (py - y) ** 2))
        step = self.length / (len(px) - 1)
        h = self.heading[i]
        dx, dy = x - self.x[i], y - self.y[i]
        along = dx * math.cos(h) + dy * math.sin(h)
        s = min(max(i * step + along, 0.0), self.length)
        return s, dy * math.cos(h) - dx * math.sin(h), math.hypot(dx, dy)


@dataclass(eq=False)
class LaneNetwork:
    """All lanes of a world."""

    tracks: dict[int, Track]
    roads: tuple[int, ...]  # ids of lanes outside junctions, for spawning
    weights: np.ndarray  # float64, chance of each, by length
    signals: int = 0  # number of traffic lights
    centres: dict[int, tuple[float, float]] = field(default_factory=dict)  # middle of each lane

    @staticmethod
    def of(world: World) -> LaneNetwork:
        """The network of a world; a few milliseconds."""
        tracks = {i: _track(lane) for i, lane in world.lanes.items()}
        before: dict[int, list[int]] = {i: [] for i in tracks}
        for i, lane in world.lanes.items():
            for j in lane.successors:
                before[j].append(i)
        for i, track in tracks.items():
            track.before = tuple(before[i])
        for index, crossing in enumerate(world.crossings):
            for i, arc in crossing.lanes.items():
                tracks[i].crossings = tuple(sorted((*tracks[i].crossings, (float(arc), index))))
        _find_conflicts(world, tracks)
        for track in tracks.values():
            _wait_before_crossing(track)
        roads = tuple(i for i, t in tracks.items() if not t.lane.junction and t.length > 8.0)
        lengths = np.array([tracks[i].length for i in roads])
        centres = {i: (t.x[len(t.x) // 2], t.y[len(t.y) // 2]) for i, t in tracks.items()}
        network = LaneNetwork(tracks, roads, lengths / lengths.sum(), 0, centres)
        network.signals = _find_signals(tracks)
        return network


def _track(lane: Lane) -> Track:
    xy = np.asarray(lane.centre, np.float64)[:, :2]
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy, axis=0), axis=1))])
    length = float(arc[-1])
    s = np.linspace(0.0, length, max(3, int(math.ceil(length / SPACING)) + 1))
    x, y = np.interp(s, arc, xy[:, 0]), np.interp(s, arc, xy[:, 1])
    heading = np.unwrap(np.arctan2(np.gradient(y), np.gradient(x)))
    bend = np.abs(np.gradient(heading, s))
    if len(bend) > 7:
        bend = np.convolve(bend, np.ones(5) / 5, "valid")  # the polyline's corners are not the road's
    cap = min(lane.speed_limit, math.sqrt(LATERAL / max(float(bend.max()), 1e-4)))
    entry = length if lane.stop_at is None else min(lane.stop_at, length)
    return Track(lane, length, x.tolist(), y.tolist(), heading.tolist(), max(cap, 2.5), entry=entry)


def _wait_before_crossing(track: Track) -> None:
    """Nobody waits at a junction with the wheels on the crossing just before it."""
    for arc, _ in track.crossings:
        if track.length - 14.0 < arc < track.entry + 2.5 and arc > 6.0:
            track.entry = min(track.entry, arc - CROSSING_HALF)


def _find_conflicts(world: World, tracks: dict[int, Track]) -> None:
    """Junction lanes from different origins whose centre lines come nearer than `CLEAR`."""
    ids = [i for i, lane in world.lanes.items() if lane.junction]
    if not ids:
        return
    points = {i: np.stack([tracks[i].x, tracks[i].y], 1) for i in ids}
    low = np.array([points[i].min(0) for i in ids]) - CLEAR
    high = np.array([points[i].max(0) for i in ids])
    found: dict[int, set[int]] = {i: set() for i in ids}
    near = np.all((low[:, None] <= high[None]) & (low[None] <= high[:, None]), axis=-1)
    for a, b in zip(*np.nonzero(np.triu(near, 1))):
        i, j = ids[a], ids[b]
        if set(tracks[i].before) & set(tracks[j].before):
            continue
        merge = set(world.lanes[i].successors) & set(world.lanes[j].successors)
        gap = ((points[i][:, None] - points[j][None]) ** 2).sum(-1).min()
        if merge or gap < CLEAR**2:
            found[i].add(j)
            found[j].add(i)
    for i in ids:
        yields = {j for j in world.lanes[i].yields_to if j in found}
        tracks[i].conflicts = frozenset(found[i] | yields)


def _find_signals(tracks: dict[int, Track]) -> int:
    """Junctions where every arriving lane has a stop line are taken to have lights; numbers them, returns how many."""
    group: dict[int, int] = {}

    def root(i: int) -> int:
        while group.get(i, i) != i:
            i = group[i]
        return i

    junction = [i for i, t in tracks.items() if t.lane.junction]
    for i in junction:
        group.setdefault(i, i)
        for j in tracks[i].conflicts:
            group.setdefault(j, j)
            group[root(j)] = root(i)
        for b in tracks[i].before:
            for j in tracks[b].lane.successors:
                group.setdefault(j, j)
                group[root(j)] = root(i)
    members: dict[int, list[int]] = {}
    for i in junction:
        members.setdefault(root(i), []).append(i)
    count = 0
    for lanes in members.values():
        arrivals = sorted({b for i in lanes for b in tracks[i].before})
        if len(arrivals) < 3 or any(tracks[b].lane.stop_at is None for b in arrivals):
            continue
        axis = tracks[arrivals[0]].heading[-1]
        for b in arrivals:
            tracks[b].signal = count
            tracks[b].phase = int(abs(math.sin(tracks[b].heading[-1] - axis)) > 0.7)
        count += 1
    return count
