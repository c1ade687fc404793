"""What stands all drive long: parked vehicles, two-wheelers on racks, road works with cones, barriers and machines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.road_works import site_bodies
from perception_nodes.simulator.routes import LaneNetwork
from perception_nodes.simulator.scenarios import Scenario
from perception_nodes.simulator.scene import ActorState, ParkingSpot, World
from perception_nodes.simulator.shapes import Body, Catalogue


@dataclass(frozen=True, eq=False)
class Thing:
    """One standing object."""

    track_id: int
    body: Body
    x: float
    y: float
    yaw: float
    z: float


class Standing:
    """All standing objects of a drive; their states are made when first shown."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        catalogue: Catalogue,
        rng: np.random.Generator,
        first_id: int,
    ) -> None:
        self._world, self._catalogue, self._rng = world, catalogue, rng
        self._next = first_id
        self.things: list[Thing] = []
        self._states: dict[int, ActorState] = {}
        self._fill_spots(scenario)
        self._leave_walkways_free()
        if scenario.works:
            for site in world.works:
                self._works(site[0], site[1], site[3])
        self.xy = np.array([[t.x, t.y] for t in self.things]).reshape(-1, 2)
        self.next_id = self._next

    def _add(self, body: Body, x: float, y: float, yaw: float) -> None:
        z = float(self._world.ground_height(x, y))
        self.things.append(Thing(self._next, body, x, y, yaw, z))
        self._next += 1

    def _fill_spots(self, scenario: Scenario) -> None:
        rng, spots = self._rng, self._world.parking
        two_wheels = 0.2 if scenario.rare else 0.06
        taken = 0  # spots that a long vehicle before them covers
        for i, spot in enumerate(spots):
            if taken > 0:
                taken -= 1
                continue
            if rng.random() > scenario.parked:
                continue
            x, y, _ = spot.xyz
            if spot.kind != "yard" and rng.random() < two_wheels:
                self._rack(x, y, spot.yaw + math.pi / 2, min(spot.length, 4.5))
                continue
            body = self._catalogue.draw(parked_kind(spot.kind, scenario, rng), rng)
            count = spots_for(body, spots, i)
            if not count:
                body = self._catalogue.draw("car", rng)
                count = spots_for(body, spots, i)
            if count:
                self._park(body, spot, spots[i + count - 1])
                taken = count - 1

    def _park(self, body: Body, first: ParkingSpot, last: ParkingSpot) -> None:
        """Stands a body between the middles of two spots of a row (the same spot for an ordinary car)."""
        rng, c, s = self._rng, math.cos(first.yaw), math.sin(first.yaw)
        x, y = (first.xyz[0] + last.xyz[0]) / 2, (first.xyz[1] + last.xyz[1]) / 2
        room = math.hypot(first.xyz[0] - last.xyz[0], first.xyz[1] - last.xyz[1]) + first.length
        turn = math.pi if first.kind == "carpark" and rng.random() < 0.3 else 0.0
        slack = max(room - body.size[0] - 0.5, 0.0) / 2
        along = float(rng.uniform(-slack, slack)) if first.kind != "carpark" else min(room - body.size[0], 0.0) / 2
        self._add(body, x + along * c, y + along * s, first.yaw + turn + float(rng.normal(0, 0.02)))

    def _leave_walkways_free(self) -> None:
        """Removes what stands where people walk."""
        if not self.things or not self._world.walkways:
            return
        lines = [np.asarray(w, np.float64)[:, :2] for w in self._world.walkways]
        lines += [np.asarray(c.line, np.float64)[:, :2] for c in self._world.crossings]
        walk = np.concatenate([densified(line) for line in lines])
        x, y, yaw = (np.array([getattr(t, k) for t in self.things]) for k in ("x", "y", "yaw"))
        half = np.array([t.body.size[:2] for t in self.things]) / 2 + 0.9
        keep = []
        cells = _cells(walk, 12.0)
        for i, thing in enumerate(self.things):
            near = cells.get((int(x[i] // 12.0), int(y[i] // 12.0)), _NOTHING) - (x[i], y[i])
            c, s = math.cos(yaw[i]), math.sin(yaw[i])
            along, left = near[:, 0] * c + near[:, 1] * s, near[:, 1] * c - near[:, 0] * s
            if not np.any((np.abs(along) < half[i, 0]) & (np.abs(left) < half[i, 1])):
                keep.append(thing)
        self.things = keep

    def _rack(self, x: float, y: float, yaw: float, room: float) -> None:
        """Two-wheelers side by side across a spot (`yaw` along each of them)."""
        rng = self._rng
        kind = "bicycle" if rng.random() < 0.6 else "motorcycle"
        pitch = 0.75 if kind == "bicycle" else 1.05
        count = int(rng.integers(1, max(2, int(room / pitch)) + 1))
        for i in range(count):
            off = (i - (count - 1) / 2) * pitch
            body = self._catalogue.draw(kind, rng)
            turn = yaw + float(rng.normal(0, 0.05))
            self._add(body, x - off * math.sin(yaw), y + off * math.cos(yaw), turn)

    def _works(self, x: float, y: float, yaw: float) -> None:
        """A site: nobody parks there, and its cones, barriers and machines stand."""
        c, s = math.cos(yaw), math.sin(yaw)
        self.things = [
            t
            for t in self.things
            if abs((t.x - x) * c + (t.y - y) * s) > 19.0 or abs((t.y - y) * c - (t.x - x) * s) > 3.5
        ]
        for body, along, left, turn in site_bodies(self._catalogue, self._rng):
            self._add(body, x + along * c - left * s, y + along * s + left * c, yaw + turn)

    def near(self, x: float, y: float, radius: float) -> list[ActorState]:
        """States of the things within a radius."""
        if not len(self.xy):
            return []
        close = np.nonzero(((self.xy - (x, y)) ** 2).sum(1) < radius * radius)[0]
        return [self._state(int(i)) for i in close]

    def _state(self, i: int) -> ActorState:
        if i not in self._states:
            t = self.things[i]
            self._states[i] = ActorState(
                t.track_id, t.body.category, t.body.shape(0), (t.x, t.y, t.z), t.yaw, t.body.size
            )
        return self._states[i]

    def obstacles(self, network: LaneNetwork) -> dict[int, list[tuple[float, float, float, float]]]:
        """Things that reach into lanes: lane -> [(arc length, offset, length, width)]."""
        found: dict[int, list[tuple[float, float, float, float]]] = {}
        if not self.things:
            return found
        for i, track in network.tracks.items():
            px, py = np.array(track.x), np.array(track.y)
            low = (px.min() - 5, py.min() - 5)
            high = (px.max() + 5, py.max() + 5)
            inside = np.nonzero(np.all((self.xy > low) & (self.xy < high), axis=1))[0]
            if not len(inside):
                continue
            gap = (self.xy[inside, 0][:, None] - px) ** 2 + (self.xy[inside, 1][:, None] - py) ** 2
            reach = track.lane.width / 2 + 3.0
            for k in inside[gap.min(1) < reach * reach]:
                thing = self.things[k]
                s, d, _ = track.nearest(thing.x, thing.y)
                turn = thing.yaw - track.at(s)[2]
                long, wide = footprint(thing.body.size, turn)
                if abs(d) - wide / 2 < track.lane.width / 2 - 0.15 and 0.0 < s < track.length:
                    found.setdefault(i, []).append((s, d, long, wide))
        for row in found.values():
            row.sort()
        return found


_NOTHING = np.zeros((0, 2))
HEAVY_KERB = {
    "lorry": 0.3,
    "truck": 0.12,
    "light_trailer": 0.2,
    "parked_trailer": 0.22,
    "bus": 0.1,
    "construction_vehicle": 0.06,
}
HEAVY_YARD = {"parked_trailer": 0.42, "truck": 0.18, "lorry": 0.28, "construction_vehicle": 0.12}
KERBSIDE_HEAVY, RARE_HEAVY = 0.1, 0.2  # share of the vehicles parked at kerbs and in car parks
OVERHANG = 1.4  # m that a vehicle may stand out of a bay of a car park


def parked_kind(place: str, scenario: Scenario, rng: np.random.Generator) -> str:
    """A kind of body for a parking spot of a kind: yard | kerbside | carpark."""
    if place == "yard":
        return str(rng.choice(list(HEAVY_YARD), p=list(HEAVY_YARD.values())))
    if rng.random() < (RARE_HEAVY if scenario.rare else KERBSIDE_HEAVY):
        return str(rng.choice(list(HEAVY_KERB), p=list(HEAVY_KERB.values())))
    return "pickup" if rng.random() < scenario.pickups else "car"


def spots_for(body: Body, spots: tuple[ParkingSpot, ...], first: int) -> int:
    """How many spots of a kerbside row, from the first one on, a body needs; 0 if it does not fit."""
    spot = spots[first]
    length, width, _ = body.size
    if spot.kind == "carpark":
        return int(length <= spot.length + OVERHANG and width < 2.35)
    room = spot.length
    for count in range(1, 5):
        if length + 0.3 <= room:
            return count
        if spot.kind == "yard" or first + count >= len(spots):
            return 0
        a, b = spots[first + count - 1], spots[first + count]
        step = math.hypot(b.xyz[0] - a.xyz[0], b.xyz[1] - a.xyz[1])
        if b.kind != "kerbside" or step > spot.length + 0.8 or math.cos(b.yaw - spot.yaw) < 0.99:
            return 0
        room += step
    return 0


def _cells(points: NDArray[np.float64], size: float) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Points by square cell, each with those of its eight neighbours."""
    keys = np.floor(points / size).astype(int)
    rows: dict[tuple[int, int], list[int]] = {}
    for k, (i, j) in enumerate(keys.tolist()):
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                rows.setdefault((i + di, j + dj), []).append(k)
    return {cell: points[index] for cell, index in rows.items()}


def densified(line: NDArray[np.float64], spacing: float = 0.8) -> NDArray[np.float64]:
    """Points float64 [P, 2] along a polyline, about `spacing` metres apart."""
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    s = np.linspace(0.0, arc[-1], max(2, int(arc[-1] / spacing) + 1))
    return np.column_stack([np.interp(s, arc, line[:, 0]), np.interp(s, arc, line[:, 1])])


def footprint(size: tuple[float, float, float], turn: float) -> tuple[float, float]:
    """Length and width along and across a direction `turn` radians off the body's own."""
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    return size[0] * c + size[1] * s, size[0] * s + size[1] * c


def corners(x: float, y: float, yaw: float, length: float, width: float) -> NDArray[np.float64]:
    """Corners of a box on the ground, float64 [4, 2]."""
    c, s = math.cos(yaw), math.sin(yaw)
    offsets = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2]
    return offsets @ np.array([[c, s], [-s, c]]) + (x, y)
