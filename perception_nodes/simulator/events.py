"""Driving events from the true motion of all road users, each with its time span.

Every event is defined by the actual motion of the road users, not by the script. Positions are in
*path coordinates*: `u` metres ahead of the middle of the ego vehicle along the path that it drives, `w` metres left of
that path.

- ego_braking: mean ego acceleration over the 0.6 s around the moment is below -1.2 m/s^2.
- ego_turning_left / _right: the ego heading changes by more than 0.6 rad (35 degrees) to that side over the 3 s around
  the moment.
- lead_vehicle_braking: of the nearest vehicle ahead in the ego's path (0 < u < 45, |w| < 1.3, heading within 45
  degrees, faster than 1 m/s) the mean acceleration over the 0.6 s around the moment is below -1.2 m/s^2.
- cut_in_from_left / _right: a vehicle 2 to 40 m ahead (u of its middle), of the ego's heading, has come from |w| > 1.9
  on that side to the path; the span is the 3 s around the moment when |w| falls below 0.5.
- cut_out: a vehicle 2 to 45 m ahead leaves the path to either side; the 3 s around the moment when |w| exceeds 1.0, if
  it was within 0.5 before and goes on beyond 1.9 with its heading within 25 degrees of the path (not by turning off).
- person_crossing_left_to_right / _right_to_left: a person on foot crosses the ego's path 1 to 35 m ahead at more than
  0.5 m/s; the 3 s around the moment when w changes sign.
- oncoming_vehicle_passing: a vehicle of opposite heading (more than 135 degrees) is passed at |w| < 8; the 3 s around
  the moment when u changes from + to -. being_overtaken: a vehicle of the ego's heading passes at 1.5 < |w| < 6; the
  3 s around the moment when u changes from - to +.

Mirrored pairs are spans centred on a moment that looks the same for both: the person on the ego's path, the other
vehicle abreast, the vehicle that cuts in arrived at the lane's centre with its heading along the lane. Scripts draw
the side at random and use the same bodies, speeds and distances for both, and lane changes are not indicated. A single
frame then shows only the direction that a body faces and, in the first half of a cut-in, its side.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import EVENTS

HALF_WINDOW = 1.5  # s
_ACC_HALF = 0.3  # s
_BRAKING = -1.2  # m/s^2
_TURN = 0.6  # rad
MEMORY = 20.0  # s for which ended spans are kept


@dataclass(frozen=True)
class Span:
    """One event; `track_id` 0 for the ego vehicle's own."""

    name: str
    start: float
    end: float
    track_id: int = 0


@dataclass(frozen=True)
class Other:
    """Another road user at one tick; `turn` is its heading against the path's, rad in (-pi, pi]."""

    u: float
    w: float
    turn: float
    speed: float
    acceleration: float
    person: bool


@dataclass(frozen=True)
class Moment:
    """One tick as the event finder sees it."""

    time: float
    heading: float
    speed: float
    acceleration: float
    others: dict[int, Other]

    @staticmethod
    def of(time: float, ego, flow, people) -> Moment:
        """Path coordinates of road users within 60 m; `ego` and others are `driver_model.Vehicle`s, `flow` theirs."""
        path = _ego_path(ego, flow)
        rows = [(v.track_id, v.x, v.y, v.yaw, v.v, v.a, False) for v in flow.near(ego.x, ego.y, 60.0) if not v.is_ego]
        rows += [
            (p.track_id, p.x, p.y, p.yaw, p.v, 0.0, True) for p in people if math.hypot(p.x - ego.x, p.y - ego.y) < 60.0
        ]
        return Moment(time, ego.yaw, ego.v, ego.a, _project(rows, path))


def _ego_path(ego, flow) -> NDArray[np.float64]:
    """Points float64 [K, 4] (x, y, heading, u) along the lanes behind and ahead of the ego vehicle, 2 m apart."""
    from perception_nodes.simulator.driver_model import path_point

    reach = np.arange(-40.0, 61.0, 2.0)
    return np.array([(*path_point(ego, flow.tracks, ego.s + float(u)), u) for u in reach])


def _project(rows: list[tuple], path: NDArray[np.float64]) -> dict[int, Other]:
    if not rows:
        return {}
    xy = np.array([(r[1], r[2]) for r in rows])
    gap = (xy[:, None, 0] - path[None, :, 0]) ** 2 + (xy[:, None, 1] - path[None, :, 1]) ** 2
    nearest = gap.argmin(1)
    x, y, heading, u = path[nearest].T
    c, s = np.cos(heading), np.sin(heading)
    dx, dy = xy[:, 0] - x, xy[:, 1] - y
    along, left = u + dx * c + dy * s, dy * c - dx * s
    out = {}
    for i, (track, _, _, yaw, speed, acceleration, person) in enumerate(rows):
        turn = math.remainder(yaw - float(heading[i]), 2 * math.pi)
        out[track] = Other(float(along[i]), float(left[i]), turn, speed, acceleration, person)
    return out


class EventFinder:
    """Finds spans in a stream of moments; bounded memory."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque(maxlen=200)
        self._spans: deque[Span] = deque()
        self._side: dict[int, tuple[float, float]] = {}  # track -> (last w beyond 1.9, its time)
        self._inside: dict[int, tuple[float, float]] = {}  # track -> (time within 0.5, time when it passed 1.0)

    def add(self, moment: Moment) -> None:
        """The next tick."""
        before = self._moments[-1] if self._moments else None
        self._moments.append(moment)
        self._sustained(moment.time - HALF_WINDOW)
        if before is not None:
            for track, other in moment.others.items():
                if track in before.others:
                    self._passing(track, before.others[track], other, moment.time)
        while self._spans and self._spans[0].end < moment.time - MEMORY:
            self._spans.popleft()
        for table in (self._side, self._inside):
            for track in [t for t in table if t not in moment.others]:
                del table[track]

    def at(self, time: float) -> tuple[str, ...]:
        """Names of the events under way, in the order of classes.EVENTS."""
        names = {s.name for s in self._spans if s.start - 1e-6 <= time <= s.end + 1e-6}
        return tuple(n for n in EVENTS if n in names)

    def spans(self) -> list[Span]:
        """Spans known so far, by start."""
        return sorted(self._spans, key=lambda s: (s.start, s.name))

    def _around(self, time: float, half: float) -> list[Moment]:
        return [m for m in self._moments if abs(m.time - time) <= half + 1e-6]

    def _sustained(self, time: float) -> None:
        """Events that last as long as a condition holds, judged at `time` with half a window on both sides."""
        window = self._around(time, HALF_WINDOW)
        if not window:
            return
        near = [m for m in window if abs(m.time - time) <= _ACC_HALF + 1e-6]
        if not near:
            return
        if float(np.mean([m.acceleration for m in near])) < _BRAKING:
            self._prolong("ego_braking", time, 0)
        turn = float(np.unwrap([m.heading for m in window])[[0, -1]] @ [-1.0, 1.0])
        if abs(turn) > _TURN:
            self._prolong("ego_turning_left" if turn > 0 else "ego_turning_right", time, 0)
        middle = min(near, key=lambda m: abs(m.time - time))
        lead = _leader(middle)
        if lead is not None:
            known = [m.others[lead].acceleration for m in near if lead in m.others]
            if float(np.mean(known)) < _BRAKING:
                self._prolong("lead_vehicle_braking", time, lead)

    def _prolong(self, name: str, time: float, track: int) -> None:
        """Extends the span that ended just now, or begins one; gaps up to 0.4 s are bridged."""
        for i in range(len(self._spans) - 1, -1, -1):
            span = self._spans[i]
            if span.name == name and span.end >= time - 0.4 - 1e-6:
                self._spans[i] = Span(name, span.start, time, track)
                return
        self._spans.append(Span(name, time, time, track))

    def _around_span(self, name: str, time: float, track: int) -> None:
        if any(s.name == name and s.track_id == track and s.end > time - 0.5 for s in self._spans):
            return
        self._spans.append(Span(name, time - HALF_WINDOW, time + HALF_WINDOW, track))

    def _passing(self, track: int, a: Other, b: Other, time: float) -> None:
        """Events at the moment when a road user crosses a line in path coordinates between ticks `a` and `b`."""
        if b.person:
            if (
                (a.w > 0) != (b.w > 0)
                and 1.0 < b.u < 35.0
                and abs(b.w - a.w) < 1.0
                and b.speed * abs(math.sin(b.turn)) > 0.5
            ):
                side = "left_to_right" if a.w > 0 else "right_to_left"
                self._around_span(f"person_crossing_{side}", time, track)
            return
        if abs(b.turn) > 2.36 and a.u > 0 >= b.u and 1.0 < abs(b.w) < 8.0:
            self._around_span("oncoming_vehicle_passing", time, track)
        if abs(b.turn) < 0.79 and a.u < 0 <= b.u and 1.5 < abs(b.w) < 6.0:
            self._around_span("being_overtaken", time, track)
        self._lane_change(track, a, b, time)

    def _lane_change(self, track: int, a: Other, b: Other, time: float) -> None:
        if abs(b.turn) > 0.44 or abs(b.w - a.w) > 1.0 or b.speed < 1.0:
            self._side.pop(track, None)
            self._inside.pop(track, None)
            return
        if abs(b.w) > 1.9:
            self._side[track] = (b.w, time)
            if track in self._inside and self._inside[track][1] > 0 and 2.0 < b.u < 45.0:
                self._around_span("cut_out", self._inside[track][1], track)
            self._inside.pop(track, None)
        elif abs(b.w) < 0.5:
            if track in self._side and time - self._side[track][1] < 8.0 and 2.0 < b.u < 40.0:
                side = "left" if self._side[track][0] > 0 else "right"
                self._around_span(f"cut_in_from_{side}", time, track)
            self._side.pop(track, None)
            self._inside[track] = (time, 0.0)
        if track in self._inside and abs(a.w) <= 1.0 < abs(b.w):
            self._inside[track] = (self._inside[track][0], time)


def _leader(moment: Moment) -> int | None:
    """Track of the nearest vehicle ahead in the ego's path that drives its way."""
    ahead = [
        (o.u, track)
        for track, o in moment.others.items()
        if not o.person and 0 < o.u < 45.0 and abs(o.w) < 1.3 and abs(o.turn) < 0.79 and o.speed > 1.0
    ]
    return min(ahead)[1] if ahead else None
