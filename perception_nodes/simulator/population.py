"""Keeps road users around the ego vehicle: new ones are added far away, those left far behind are removed."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from perception_nodes.simulator import driver_model as drive
from perception_nodes.simulator.driver_model import Driver, Vehicle
from perception_nodes.simulator.flow import Flow
from perception_nodes.simulator.pedestrians import Pedestrians
from perception_nodes.simulator.scenarios import Scenario
from perception_nodes.simulator.shapes import Catalogue

RADIUS = 115.0  # m around the ego vehicle where traffic lives
LEAVE = 140.0  # m beyond which it goes
NEW = 75.0  # m nearer than which nobody appears once the drive is under way
HEAVY = {"lorry": 0.21, "truck": 0.08, "bus": 0.38, "tractor": 0.29, "construction_vehicle": 0.04}  # moving
TWO_WHEELS = ("bicyclist", "motorcyclist")


class Population:
    """Spawns and removes vehicles and people."""

    def __init__(
        self, flow: Flow, people: Pedestrians, scenario: Scenario, catalogue: Catalogue, rng, first_id: int
    ) -> None:
        self.flow, self.people, self.scenario, self.catalogue, self.rng = flow, people, scenario, catalogue, rng
        self._first, self._next = first_id, first_id
        spots = []
        for i in flow.network.roads:
            track = flow.tracks[i]
            for s in np.arange(4.0, track.length - 3.0, 6.0):
                x, y, _ = track.at(float(s))
                spots.append((i, s, x, y))
        self._spots = np.array(spots).reshape(-1, 4)
        points = [(w, i, x, y) for w, walk in enumerate(people.walkways) for i, (x, y) in enumerate(walk)]
        self._walk = np.array(points).reshape(-1, 4)

    def new_id(self) -> int:
        """An id that nobody has; ids stay below 65,000 (instance maps are 16-bit), so old ones come again."""
        used = {v.track_id for v in self.flow.vehicles} | {p.track_id for p in self.people.people}
        used |= {v.trailer_id for v in self.flow.vehicles}
        while True:
            number = self._next
            self._next = number + 1 if number < 65_000 else self._first
            if number not in used:
                return number

    def fill(self, x: float, y: float, at_start: bool) -> None:
        """Removes who is far from (x, y) and adds newcomers up to the scenario's numbers."""
        flow, people = self.flow, self.people
        for v in [v for v in flow.vehicles if not v.is_ego and self._may_go(v, math.hypot(v.x - x, v.y - y))]:
            flow.junctions.release(v, set(v.granted))
            flow.vehicles.remove(v)
        people.people = [p for p in people.people if math.hypot(p.x - x, p.y - y) < LEAVE]
        near = 9.0 if at_start else NEW
        missing = self.scenario.vehicles - len(flow.vehicles) + 1
        if missing > 0:
            flow.index()
            options = self._ring(self._spots, x, y, near)
            for row in options[: missing if at_start else 2]:
                self.add_vehicle(int(row[0]), float(row[1]))
        missing = self.scenario.people - len(people.people)
        if missing > 0 and len(self._walk):
            options = self._ring(self._walk, x, y, 5.0 if at_start else 50.0)
            for row in options[: missing if at_start else 2]:
                self._add_people(int(row[0]), int(row[1]), missing)
                missing = self.scenario.people - len(people.people)
                if missing <= 0:
                    break

    @staticmethod
    def _may_go(v: Vehicle, distance: float) -> bool:
        """Out of sight, or jammed for a minute where nobody looks."""
        return distance > LEAVE or (v.stood > 60.0 and distance > 60.0)

    def _ring(self, rows: np.ndarray, x: float, y: float, near: float) -> np.ndarray:
        """Rows between `near` and `RADIUS` metres away, in random order, nearer ones first more often."""
        gap = np.hypot(rows[:, 2] - x, rows[:, 3] - y)
        inside = np.nonzero((gap > near) & (gap < RADIUS))[0]
        key = self.rng.random(len(inside)) * (gap[inside] + 25.0)
        return rows[inside[np.argsort(key)]]

    def _kind(self) -> str:
        s, draw = self.scenario, float(self.rng.random())
        if draw < s.cyclists:
            return "bicyclist"
        if draw < s.cyclists + s.motorcycles:
            return "motorcyclist"
        if draw < s.cyclists + s.motorcycles + s.heavy:
            return str(self.rng.choice(list(HEAVY), p=list(HEAVY.values())))
        return "pickup" if float(self.rng.random()) < s.pickups else "car"

    def add_vehicle(self, lane: int, s: float, kind: str | None = None, speed: float | None = None) -> Vehicle | None:
        """A vehicle on a lane, or None where there is no room."""
        vehicle = self.make_vehicle(kind or self._kind(), lane, s)
        track = self.flow.tracks[lane]
        wish = track.cap * vehicle.driver.speed_factor if speed is None else speed
        vehicle.v = min(wish * 0.9, vehicle.driver.top_speed, math.sqrt(max(2.5 * (track.length - s - 8.0), 0.0)))
        if not self._has_room(vehicle, lane):
            return None
        drive.place(vehicle, self.flow.tracks, 0.0)
        for other in self.flow.vehicles:
            if math.hypot(other.x - vehicle.x, other.y - vehicle.y) < (vehicle.reach + other.reach) / 2 + 1.0:
                if abs(math.sin(other.yaw - vehicle.yaw)) > 0.5 or math.cos(other.yaw - vehicle.yaw) > 0:
                    return None
        self.flow.vehicles.append(vehicle)
        self.flow.extend_route(vehicle)
        self.flow.occupants.setdefault(lane, []).append((s, vehicle.d, vehicle))
        self.flow.occupants[lane].sort(key=lambda o: o[0])
        return vehicle

    def make_vehicle(self, kind: str, lane: int, s: float) -> Vehicle:
        """A vehicle of a kind of `shapes.VARIANTS` with a driver's manners, not yet in the flow."""
        rng = self.rng
        body = self.catalogue.draw(kind, rng)
        width_left = self.flow.tracks[lane].lane.width - body.size[1]
        two = kind in TWO_WHEELS
        offset = float(rng.normal(0, 0.12))
        driver = Driver(float(rng.uniform(0.82, 1.12)), float(rng.uniform(1.1, 1.8)), 1.7, 2.4, offset)
        if kind == "bicyclist":
            driver = Driver(1.0, 1.2, 1.0, 2.0, -max(width_left / 2 - 0.25, 0.0), float(rng.uniform(3.6, 6.5)))
        elif kind == "motorcyclist":
            driver = Driver(float(rng.uniform(0.95, 1.2)), 1.1, 2.6, 3.0, float(rng.uniform(-0.5, 0.5)))
        elif kind == "construction_vehicle":
            driver = Driver(1.0, 1.5, 0.9, 2.0, 0.0, 8.0)
        elif kind not in ("car", "pickup"):
            driver = Driver(float(rng.uniform(0.8, 0.95)), 1.7, 0.9, 2.0, 0.0, 25.0)
        vehicle = Vehicle(
            self.new_id(), body, driver, deque([lane]), s, 0.0, body.size[0], body.size[1], 0.58 * body.size[0],
            d=driver.offset, d_goal=driver.offset, two_wheeled=two,
        )  # fmt: skip
        vehicle.travelled = float(rng.uniform(0, 5))
        if kind == "tractor":
            vehicle.trailer = self.catalogue.draw("trailer", rng)
            vehicle.trailer_id = self.new_id()
        return vehicle

    def _has_room(self, vehicle: Vehicle, lane: int) -> bool:
        s, reach = vehicle.s, vehicle.reach
        if vehicle.tail < 0.5 or s + vehicle.length / 2 > self.flow.tracks[lane].length - 1.5:
            return False
        for so, _, other in self.flow.occupants.get(lane, ()):
            gap = (
                abs(so - s)
                - (vehicle.length + other.length) / 2
                - max(reach - vehicle.length, other.reach - other.length)
            )
            behind, ahead = (other, vehicle) if so < s else (vehicle, other)
            if gap < 4.0 + 0.9 * behind.v + 2.0 * max(behind.v - ahead.v, 0.0):
                return False
        for so, d, _, wide in self.flow.obstacles.get(lane, ()):
            if abs(d - vehicle.d) < (wide + vehicle.width) / 2 + 0.4 and -vehicle.reach < so - s < 12.0 + vehicle.v * 2:
                return False
        return True

    def _add_people(self, walkway: int, index: int, missing: int) -> None:
        x, y = self.people.walkways[walkway][index]
        if any(math.hypot(p.x - x, p.y - y) < 2.2 for p in self.people.people):
            return
        draw = float(self.rng.random())
        if draw < 0.25 and missing >= 2:
            count = int(self.rng.integers(2, min(missing, 4) + 1))
            self.people.spawn_group([self.new_id() for _ in range(count)], walkway, index)
        else:
            self.people.spawn(self.new_id(), walkway, index, child=draw > 0.9)
