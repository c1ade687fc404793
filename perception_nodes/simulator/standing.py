"""What stands all drive long: parked vehicles, two-wheelers on racks, road works with cones, barriers and machines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.routes import LaneNetwork
from perception_nodes.simulator.scenarios import Scenario
from perception_nodes.simulator.scene import ActorState, World
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
        rare: bool,
        first_id: int,
    ) -> None:
        self._world, self._catalogue, self._rng = world, catalogue, rng
        self._next = first_id
        self.things: list[Thing] = []
        self._states: dict[int, ActorState] = {}
        self._fill_spots(scenario, rare)
        self._leave_walkways_free()
        if scenario.works:
            for site in world.works:
                self._works(*site)
        self.xy = np.array([[t.x, t.y] for t in self.things]).reshape(-1, 2)
        self.next_id = self._next

    def _add(self, body: Body, x: float, y: float, yaw: float) -> None:
        z = float(self._world.ground_height(x, y))
        self.things.append(Thing(self._next, body, x, y, yaw, z))
        self._next += 1

    def _fill_spots(self, scenario: Scenario, rare: bool) -> None:
        rng, catalogue = self._rng, self._catalogue
        two_wheels = 0.2 if rare else 0.06
        for spot in self._world.parking:
            if rng.random() > scenario.parked:
                continue
            x, y, _ = spot.xyz
            turn = math.pi if spot.kind == "carpark" and rng.random() < 0.3 else 0.0
            draw = rng.random()
            if draw < two_wheels:
                self._rack(x, y, spot.yaw + math.pi / 2, min(spot.length, 4.5))
                continue
            kind = "car"
            if draw > (0.8 if rare else 0.93):
                kind = str(
                    rng.choice(["pickup", "truck", "parked_trailer", "construction_vehicle"], p=[0.4, 0.3, 0.1, 0.2])
                )
            body = catalogue.draw(kind, rng)
            if body.size[0] > spot.length - 0.3 or body.size[1] > 2.3:
                body = catalogue.draw("car", rng)
            if body.size[0] > spot.length + 0.1:
                continue
            slack = max(spot.length - body.size[0] - 0.5, 0.0) / 2
            along = float(rng.uniform(-slack, slack)) if spot.kind == "kerbside" else 0.0
            yaw = spot.yaw + turn + float(rng.normal(0, 0.02))
            self._add(body, x + along * math.cos(spot.yaw), y + along * math.sin(spot.yaw), yaw)

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

    def _works(self, x: float, y: float, z: float, yaw: float) -> None:
        """A site of about 14 x 2.4 m along the road: a taper of cones, barriers at its head, a machine inside."""
        rng, c, s = self._rng, math.cos(yaw), math.sin(yaw)
        self.things = [
            t
            for t in self.things
            if abs((t.x - x) * c + (t.y - y) * s) > 16.0 or abs((t.y - y) * c - (t.x - x) * s) > 3.5
        ]

        def put(kind: str, along: float, left: float, turn: float = 0.0) -> None:
            body = self._catalogue.draw(kind, rng)
            if kind == "construction_vehicle" and body.size[1] > 2.65:
                return  # its arm would stand in the traffic
            if kind == "construction_vehicle":
                left = 0.85 - body.size[1] / 2  # clear of the cones
            self._add(body, x + along * c - left * s, y + along * s + left * c, yaw + turn)

        half = float(rng.uniform(5.5, 8.0))
        for end in (-half - 1.0, half + 1.0):
            put("barrier", end, 0.0)
        for along in np.arange(-half, half + 0.1, float(rng.uniform(1.8, 3.0))):
            put("cone", float(along), 1.25 + float(rng.normal(0, 0.06)))
        for i in range(3):
            put("cone", -half - 2.5 - 2.2 * i, 0.9 - 0.75 * i)
        if rng.random() < 0.8:
            put("construction_vehicle", float(rng.uniform(-1.5, 1.5)), 0.0, math.pi * int(rng.integers(2)))

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
