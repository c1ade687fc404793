"""Moves all vehicles by one tick: the vehicle ahead, reasons to stop, swinging out and lane changes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from perception_nodes.simulator import driver_model as drive
from perception_nodes.simulator.driver_model import Occupant, Vehicle
from perception_nodes.simulator.junctions import Junctions
from perception_nodes.simulator.lane_changes import consider_lane_change, consider_passing
from perception_nodes.simulator.routes import CROSSING_HALF, LaneNetwork

HORIZON = 90.0  # m that a driver looks ahead


class Flow:
    """The moving vehicles of one drive."""

    def __init__(self, network: LaneNetwork, rng: np.random.Generator) -> None:
        self.network = network
        self.tracks = network.tracks
        self.vehicles: list[Vehicle] = []
        self.rng = rng
        self.junctions = Junctions(network, float(rng.uniform(0, 27)))
        self.occupants: dict[int, list[Occupant]] = {}
        self.obstacles: dict[int, list[tuple[float, float, float, float]]] = {}  # lane -> (s, d, length, width), fixed
        self.approaching: dict[int, list[tuple[float, int]]] = {}
        self.closed_crossings: set[int] = set()  # crossings that somebody walks or is about to

    def step(self, dt: float, time: float) -> None:
        """One tick of `dt` seconds that ends at `time`."""
        self.index()
        for vehicle in self.vehicles:
            self._decide(vehicle, time, dt)
        for vehicle in self.vehicles:
            self._advance(vehicle, dt)

    def index(self) -> None:
        """Who stands on which lane (also with its tail or its old lane), and who approaches which junction lane."""
        table: dict[int, list[Occupant]] = {}
        coming: dict[int, list[tuple[float, int]]] = {}
        for v in self.vehicles:
            lane = v.route[0]
            table.setdefault(lane, []).append((v.s, v.d, v))
            s, tail = v.s, v.tail
            for old in reversed(v.behind):
                if tail >= 0.0:
                    break
                long = self.tracks[old].length
                s, tail = s + long, tail + long
                table.setdefault(old, []).append((s, v.d, v))
            if v.changing_from is not None:
                old, shift = v.changing_from
                table.setdefault(old, []).append((v.s, v.d + shift, v))
            ahead = self.tracks[lane].length - v.s
            if ahead < v.length and len(v.route) > 1:
                table.setdefault(v.route[1], []).append((-ahead, v.d, v))
            distance = ahead - v.length / 2
            for lane in list(v.route)[1:4]:
                if self.tracks[lane].lane.junction and distance < 80.0:
                    coming.setdefault(lane, []).append((max(distance, 0.0) / max(v.v, 2.5), v.track_id))
                distance += self.tracks[lane].length
        for row in table.values():
            row.sort(key=lambda o: o[0])
        self.occupants, self.approaching = table, coming

    def extend_route(self, vehicle: Vehicle) -> None:
        """Chooses lanes until the route reaches past the horizon."""
        ahead = sum(self.tracks[i].length for i in vehicle.route) - vehicle.s
        while ahead < HORIZON + 20.0:
            last = self.tracks[vehicle.route[-1]].lane
            if not last.successors:
                break
            choice = self._choose(vehicle, last.successors)
            vehicle.route.append(choice)
            ahead += self.tracks[choice].length

    def _choose(self, vehicle: Vehicle, successors: tuple[int, ...]) -> int:
        if len(successors) == 1:
            return successors[0]
        weights = np.array([1.6 if self.tracks[i].lane.turn == "straight" else 1.0 for i in successors])
        if vehicle.turn_wish:
            weights = weights * [20.0 if self.tracks[i].lane.turn == vehicle.turn_wish else 1.0 for i in successors]
        if vehicle.likes_wide:
            weights = weights * [20.0 if self._leads_to_wide(i) else 1.0 for i in successors]
        if vehicle.trailer is not None or vehicle.length > 9:
            weights = weights * [0.15 if self.tracks[i].lane.turn == "right" else 1.0 for i in successors]
        return int(successors[int(self.rng.choice(len(successors), p=weights / weights.sum()))])

    def _leads_to_wide(self, lane: int) -> bool:
        onward = self.tracks[lane].lane.successors
        return any(self.tracks[i].lane.left is not None or self.tracks[i].lane.right is not None for i in onward)

    def leader(self, vehicle: Vehicle, margin: float = 0.35, skip: int = 0) -> tuple[float, float, Vehicle | None]:
        """(gap between bumpers, its speed, who) of the nearest one ahead in the way; (inf, 0, None) if free."""
        base = -vehicle.s
        half, limit = vehicle.length / 2, max(30.0, min(HORIZON, vehicle.v * 5.0))
        best: tuple[float, float, Vehicle | None] = (math.inf, 0.0, None)
        for lane in vehicle.route:
            if base > limit:
                break
            for s, d, other in self.occupants.get(lane, ()):
                if other is vehicle or base + s <= 0.0 or other.track_id == skip:
                    continue
                gap = base + s - (other.length / 2 + (other.reach - other.length)) - half
                if gap >= best[0]:
                    break
                way = (vehicle.width + other.width) / 2 + margin
                if min(abs(d - vehicle.d), abs(d - vehicle.d_goal)) < way:
                    best = (gap, max(other.v * math.cos(other.yaw - vehicle.yaw), 0.0), other)
            for s, d, long, wide in self.obstacles.get(lane, ()):
                gap = base + s - long / 2 - half
                if -half < gap < best[0] and abs(d - vehicle.d) < (vehicle.width + wide) / 2 + 0.25:
                    best = (gap, 0.0, None)
            base += self.tracks[lane].length
            if best[2] is not None or best[0] < math.inf:
                break
        return best

    def _decide(self, v: Vehicle, time: float, dt: float) -> None:
        """Sets acceleration and lateral goal."""
        self.extend_route(v)
        consider_passing(self, v)
        consider_lane_change(self, v, dt)
        wanted = min(v.driver.top_speed, self.tracks[v.route[0]].cap * v.driver.speed_factor)
        if v.forced_speed is not None:
            wanted = min(wanted, v.forced_speed)
        gap, speed, _ = self.leader(v)
        a = drive.follow(v.v, wanted, gap, v.v - speed, v.driver)
        a = min(a, self._bends(v), self._stops(v, gap, time, dt))
        if v.forced_brake is not None:
            a = min(a, -v.forced_brake)
        jerk = 9.0 * dt if a > -4.0 else 60.0 * dt  # hard braking sets in at once
        v.a = max(v.a - jerk, min(v.a + 5.0 * dt, a))

    def _bends(self, v: Vehicle) -> float:
        """Deceleration that slower lanes ahead ask for."""
        need, distance = math.inf, self.tracks[v.route[0]].length - v.s
        for lane in list(v.route)[1:]:
            if distance > HORIZON:
                break
            cap = self.tracks[lane].cap * max(v.driver.speed_factor, 0.8)
            if cap < v.v:
                need = min(need, (cap * cap - v.v * v.v) / (2 * max(distance, 0.5)))
            distance += self.tracks[lane].length
        if need > -1.4:
            return math.inf
        return max(need, -4.0)

    def _stops(self, v: Vehicle, gap: float, time: float, dt: float) -> float:
        """Acceleration that stop lines, lights, rights of way and people on crossings allow."""
        front = v.s + v.length / 2
        allowed, base = math.inf, 0.0
        reach = v.v * v.v / (2 * v.driver.braking) + 1.2 * v.v + 6.0
        route = list(v.route)
        for i, lane in enumerate(route):
            track = self.tracks[lane]
            held_up = False  # by people before the junction
            for arc, crossing in track.crossings:
                distance = base + arc - front - CROSSING_HALF + 0.2
                if (
                    crossing in self.closed_crossings
                    and -1.0 < distance < reach
                    and v.v * v.v < 14.0 * max(distance, 0.2)
                ):
                    allowed = min(allowed, drive.follow(v.v, 30.0, max(distance + drive.MIN_GAP, 0.3), v.v, v.driver))
                    held_up = True
            base += track.length
            if base - front > reach or i + 1 >= len(route):
                break
            following = route[i + 1]
            if not self.tracks[following].lane.junction:
                continue
            distance = base - track.length + track.entry - front
            queued = (held_up or gap < distance + 1.0) and v.v < 3.0  # somebody else goes first
            if following in v.granted:
                if queued and v.stood > 1.0:
                    self.junctions.release(v, {following})
                continue
            if queued:
                break
            if base - front < -0.5:  # inside already: nothing left to wait for
                self.junctions.holds(v, following)
                continue
            if self.junctions.ask(v, lane, following, distance, time, self.approaching, self._room(v, following)):
                v.waited = 0.0
                continue
            v.waited = v.waited + dt if v.v < 1.0 else v.waited
            allowed = min(allowed, drive.follow(v.v, 30.0, max(distance + drive.MIN_GAP - 0.6, 0.3), v.v, v.driver))
            break
        return allowed

    def _room(self, v: Vehicle, junction_lane: int) -> float:
        """Free length behind a junction lane, before the last one who stands there."""
        room = 1e9
        for lane in (junction_lane, *self.tracks[junction_lane].lane.successors):
            for s, _, other in self.occupants.get(lane, ()):
                if other is not v and other.v < 2.5 and lane != junction_lane:
                    room = min(room, s - other.length / 2 - (other.reach - other.length))
        return room

    def _advance(self, v: Vehicle, dt: float) -> None:
        """Integrates one tick and moves on to the next lane."""
        speed = max(v.v + v.a * dt, 0.0)
        v.a = (speed - v.v) / dt
        move = (v.v + speed) / 2 * dt
        v.v = speed
        v.s += move
        v.travelled += move
        v.stood = v.stood + dt if speed < 0.1 else 0.0
        drive.slide(v, dt)
        if v.changing_from is not None and abs(v.d - v.d_goal) < 0.3:
            v.changing_from = None
        while v.s > self.tracks[v.route[0]].length and len(v.route) > 1:
            left = v.route.popleft()
            v.s -= self.tracks[left].length
            v.behind.append(left)
            v.changing_from = None
        under = self._under(v)
        self.junctions.release(v, {i for i in v.granted if i not in under and i not in v.route})
        v.indicator = self._indicator(v)
        drive.place(v, self.tracks, dt)

    def _under(self, v: Vehicle) -> set[int]:
        """Lanes that the vehicle's length still covers."""
        lanes, tail = {v.route[0]}, v.tail
        for lane in reversed(v.behind):
            if tail >= 0.0:
                break
            lanes.add(lane)
            tail += self.tracks[lane].length
        return lanes

    def _indicator(self, v: Vehicle) -> int:
        """For turns only: a lane change must not be told from one picture of it (see events.py)."""
        distance = self.tracks[v.route[0]].length - v.s
        for lane in list(v.route)[:3]:
            track = self.tracks[lane]
            if track.lane.junction and track.lane.turn != "straight" and (lane == v.route[0] or distance < 35.0):
                return 1 if track.lane.turn == "left" else -1
            if lane != v.route[0]:
                distance += track.length
        return 0

    def near(self, x: float, y: float, radius: float) -> Iterable[Vehicle]:
        """Vehicles within a radius."""
        return (v for v in self.vehicles if (v.x - x) ** 2 + (v.y - y) ** 2 < radius * radius)
