"""People on walkways and crossings.

A person follows way points: along a walkway at an own offset, now and then over a crossing to the walkway on the other
side. At the kerb it waits until every approaching vehicle can stop or has stopped. Groups walk side by side at one
pace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.routes import LaneNetwork
from perception_nodes.simulator.scene import World
from perception_nodes.simulator.shapes import Body, Catalogue

BODY = 0.55  # m between two people's axes
BUSY, BREATH = 8.0, 8.0  # s: a crossing used that long without a pause is left to the drivers for a while
REST = 20.0  # s between two crossings by one person


@dataclass(eq=False)
class Person:
    """One person; `way` holds the points still to reach."""

    track_id: int
    body: Body
    speed: float
    x: float
    y: float
    walkway: int
    forward: bool
    offset: float
    index: int  # next point of the walkway
    yaw: float = 0.0
    v: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    travelled: float = 0.0
    crossing: int = -1  # crossing that it waits for or walks on
    on_road: bool = False
    way: list[tuple[float, float]] = field(default_factory=list)
    after: tuple[int, int] = (-1, 0)  # walkway and point to join behind the crossing
    waited: float = 0.0
    pause: float = 0.0
    rest: float = 0.0  # s until it crosses again
    scripted: bool = False
    sidestep: float = 0.0


class Pedestrians:
    """All people of one drive."""

    def __init__(self, world: World, network: LaneNetwork, catalogue: Catalogue, rng: np.random.Generator) -> None:
        self.is_green: Callable[[int], bool] = lambda lane: False  # whether a lane's traffic light shows green
        self.world, self.network, self.catalogue, self.rng = world, network, catalogue, rng
        self.people: list[Person] = []
        self.walkways = [np.asarray(w, np.float64)[:, :2] for w in world.walkways if len(w) >= 2]
        self.lines = [np.asarray(c.line, np.float64)[:, :2] for c in world.crossings]
        self.ends = self._join_ends()
        self._busy: dict[int, float] = {}  # crossing -> s in use
        self._free: dict[int, float] = {}  # crossing -> s empty since
        self.cross_chance = 0.25

    def _join_ends(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """For each crossing and end: the walkway points (walkway, index) from which people may start or go on."""
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for c, line in enumerate(self.lines):
            for end in (0, 1):
                spots = []
                for w, walk in enumerate(self.walkways):
                    gap = np.hypot(*(walk - line[end]).T)
                    i = int(np.argmin(gap))
                    if gap[i] < 7.0 and gap[i] < np.hypot(*(walk - line[1 - end]).T).min():
                        spots.append((w, i))
                found[c, end] = spots
        self._gates: dict[int, list[tuple[int, int, int]]] = {}
        for (c, end), spots in found.items():
            for w, i in spots:
                if found[c, 1 - end]:
                    self._gates.setdefault(w, []).append((i, c, end))
        return found

    def spawn(self, track_id: int, walkway: int, index: int, child: bool = False) -> Person:
        """A person on a walkway at one of its points."""
        rng = self.rng
        body = self.catalogue.draw("child" if child else "adult", rng)
        speed = float(rng.uniform(0.9, 1.3) if child else np.clip(rng.normal(1.35, 0.2), 0.8, 2.0))
        offset = float(rng.uniform(-0.6, 0.6))
        forward = bool(rng.random() < 0.5)
        walk = self.walkways[walkway]
        x, y = walk[index]
        person = Person(track_id, body, speed, float(x), float(y), walkway, forward, offset, index)
        person.index = self._next_index(person)
        px, py = self._target(person)
        person.yaw = math.atan2(py - person.y, px - person.x)
        person.x -= offset * math.sin(person.yaw)
        person.y += offset * math.cos(person.yaw)
        person.v = person.speed
        person.travelled = float(rng.uniform(0, 5))
        if rng.random() < 0.1:
            person.pause = float(rng.uniform(5, 40))
        self.people.append(person)
        return person

    def spawn_group(self, ids: list[int], walkway: int, index: int) -> list[Person]:
        """People side by side, of one pace and direction."""
        first = self.spawn(ids[0], walkway, index)
        group = [first]
        for n, number in enumerate(ids[1:], 1):
            other = self.spawn(number, walkway, index)
            other.forward, other.index, other.speed, other.yaw = first.forward, first.index, first.speed, first.yaw
            side = 0.7 * (1 if n % 2 else -1) * ((n + 1) // 2)
            other.offset, other.pause = first.offset + side, first.pause
            other.x = first.x - side * math.sin(first.yaw)
            other.y = first.y + side * math.cos(first.yaw)
            group.append(other)
        return group

    def send_over(self, person: Person, crossing: int, end: int) -> None:
        """Sends a person over a crossing from its end 0 or 1."""
        line = self.lines[crossing]
        aside = float(self.rng.uniform(-0.35, 0.35)) * self.world.crossings[crossing].width
        d = line[1 - end] - line[end]
        d = d / max(float(np.hypot(*d)), 1e-6)
        shift = np.array([-d[1], d[0]]) * aside
        start, stop = line[end] - 0.4 * d + shift, line[1 - end] + 0.5 * d + shift
        person.way = [(float(start[0]), float(start[1])), (float(stop[0]), float(stop[1]))]
        person.crossing, person.on_road, person.waited = crossing, False, 0.0
        options = self.ends[crossing, 1 - end]
        person.after = options[int(self.rng.integers(len(options)))] if options else (person.walkway, person.index)

    def step(self, dt: float, vehicles: list) -> set[int]:
        """Moves all pedestrians one tick; returns the crossings that vehicles must leave free."""
        closed: set[int] = set()
        sidestep = self._avoid(vehicles)
        for i, p in enumerate(self.people):
            p.sidestep = float(sidestep[i])
            self._walk(p, dt, vehicles, closed)
        self._part()
        self._take_turns(closed, dt)
        return closed

    def _take_turns(self, closed: set[int], dt: float) -> None:
        """Keeps the time for which each crossing was in use; after `BREATH` seconds of rest it starts again."""
        for c in list(self._busy):
            if c not in closed:
                self._free[c] = self._free.get(c, 0.0) + dt
                if self._free[c] >= BREATH:
                    del self._busy[c], self._free[c]
        for c in closed:
            self._busy[c] = self._busy.get(c, 0.0) + dt
            self._free[c] = 0.0

    def _part(self) -> None:
        """Moves people who stand in each other apart, a few centimetres a tick."""
        if len(self.people) < 2:
            return
        xy = np.array([(p.x, p.y) for p in self.people])
        d = xy[:, None] - xy[None]
        gap = np.sqrt((d**2).sum(-1)) + np.eye(len(xy)) * 9
        near = np.nonzero(gap < BODY)
        shift = np.zeros_like(xy)
        for i, j in zip(*near):
            shift[i] += d[i, j] / max(gap[i, j], 0.05) * min(0.05, (BODY - gap[i, j]) / 2)
        for i in set(near[0].tolist()):
            self.people[i].x += float(shift[i, 0])
            self.people[i].y += float(shift[i, 1])

    def _walk(self, p: Person, dt: float, vehicles: list, closed: set[int]) -> None:
        goal = p.way[0] if p.way else self._target(p)
        wish = p.speed
        p.rest -= dt
        if p.pause > 0.0 and not p.way:
            p.pause -= dt
            wish = 0.0
        if p.crossing >= 0:
            first = len(p.way) == 2
            to_kerb = math.hypot(goal[0] - p.x, goal[1] - p.y) if first else math.inf
            if p.on_road:
                closed.add(p.crossing)
                wish = max(p.speed, 1.1)
            elif to_kerb < 2.2:  # drivers see that it is about to cross
                p.waited += dt
                turn = self._busy.get(p.crossing, 0.0) < BUSY and not self._cars_have_green(p.crossing)
                if turn:
                    closed.add(p.crossing)
                if to_kerb < 0.6 and turn and self._may_cross(p, vehicles):
                    p.on_road = True
                    p.way.pop(0)
                    goal = p.way[0]
                elif to_kerb < 0.6:
                    wish = 0.0
        dx, dy = goal[0] - p.x, goal[1] - p.y
        distance = math.hypot(dx, dy)
        if distance < 0.45 and wish > 0:
            self._arrive(p)
        if wish > 0.0 and distance > 1e-3:
            aside = math.remainder(math.atan2(dy, dx) - p.yaw, 2 * math.pi)
            rate = max(-3.0, min(3.0, 4.0 * aside)) if p.v > 0.2 else 5.0 * aside
            p.yaw = math.remainder(p.yaw + rate * dt, 2 * math.pi)
            wish *= max(0.25, math.cos(min(abs(aside), 1.4)))
        if p.sidestep < -5.0:
            wish = 0.0
        p.v += max(-4.0 * dt, min(2.5 * dt, wish - p.v))
        side = max(-0.5, min(0.5, p.sidestep)) if p.sidestep > -5.0 and p.v > 0.3 else 0.0
        c, s = math.cos(p.yaw), math.sin(p.yaw)
        p.vx, p.vy = p.v * c - side * s, p.v * s + side * c
        p.x += p.vx * dt
        p.y += p.vy * dt
        p.travelled += p.v * dt

    def _arrive(self, p: Person) -> None:
        """A way point is reached: go on to the next one, or turn off to a crossing."""
        if p.way:
            p.way.pop(0)
            if not p.way:
                p.crossing, p.on_road = -1, False
                p.walkway, p.index = p.after
                p.forward = bool(self.rng.random() < 0.5)
                p.index = self._next_index(p)
                p.rest = REST
            return
        for i, crossing, end in self._gates.get(p.walkway, ()):
            if i == p.index and p.rest <= 0.0 and float(self.rng.random()) < self.cross_chance:
                p.index = self._next_index(p)
                self.send_over(p, crossing, end)
                return
        p.index = self._next_index(p)

    def _next_index(self, p: Person) -> int:
        """Next point of the walkway; at an open end people turn round, a closed one goes on."""
        count = len(self.walkways[p.walkway])
        i = p.index + (1 if p.forward else -1)
        if 0 <= i < count:
            return i
        walk = self.walkways[p.walkway]
        if float(np.hypot(*(walk[0] - walk[-1]))) < 3.0:
            return i % count
        p.forward = not p.forward
        return max(0, min(count - 1, p.index + (1 if p.forward else -1)))

    def _target(self, p: Person) -> tuple[float, float]:
        walk = self.walkways[p.walkway]
        i = p.index
        a, b = walk[max(i - 1, 0)], walk[min(i + 1, len(walk) - 1)]
        d = b - a if p.forward else a - b
        norm = max(math.hypot(d[0], d[1]), 1e-6)
        x, y = walk[i]
        return float(x) - p.offset * float(d[1]) / norm, float(y) + p.offset * float(d[0]) / norm

    def _may_cross(self, p: Person, vehicles: list) -> bool:
        """Whether every approaching vehicle stands, can stop, or will have passed before."""
        lanes = self.world.crossings[p.crossing].lanes
        for v in vehicles:
            base = 0.0
            for lane in list(v.route)[:3]:
                if lane in lanes:
                    front = base + lanes[lane] - v.s - v.length / 2
                    if -v.reach - 1.5 < front < 45.0:
                        braking = v.v * v.v / (2 * 2.6) + 1.0 * v.v + 4.0
                        if front < braking and (v.v > 0.4 or front < 1.0):
                            return False
                base += self.network.tracks[lane].length
        return True

    def _cars_have_green(self, crossing: int) -> bool:
        """Whether a traffic light lets the vehicles of a lane that this crossing cuts drive on."""
        tracks = self.network.tracks
        for lane, arc in self.world.crossings[crossing].lanes.items():
            track = tracks[lane]
            if track.signal >= 0 and arc > track.length - 15.0 and self.is_green(lane):
                return True
        return False

    def _avoid(self, vehicles: list) -> NDArray[np.float64]:
        """Sideways speed of each person past those ahead (m/s, left positive); -9: stand still."""
        n = len(self.people)
        out = np.zeros(n)
        if not n:
            return out
        x = np.array([p.x for p in self.people])
        y = np.array([p.y for p in self.people])
        yaw = np.array([p.yaw for p in self.people])
        c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
        dx, dy = x[None] - x[:, None], y[None] - y[:, None]
        ahead, left = dx * c + dy * s, dy * c - dx * s
        near = (ahead > 0.05) & (ahead < 2.2) & (np.abs(left) < 0.75)
        push = np.where(near, np.where(left + 1e-3 * np.sign(dx) >= 0, -1.0, 1.0) * (2.2 - ahead) / 2.2, 0.0)
        beside = (np.hypot(dx, dy) < BODY + 0.1) & (np.hypot(dx, dy) > 1e-6)
        push += np.where(beside, -np.sign(left) * 0.6, 0.0)
        out = push.sum(1)
        blocked = ((ahead > 0.0) & (ahead < BODY) & (np.abs(left) < 0.4)).any(1)
        facing = np.cos(yaw[None] - yaw[:, None])
        first = blocked & ~((ahead > 0) & (ahead < BODY) & (np.abs(left) < 0.4) & (facing < 0)).any(1)
        out[first] = -9.0
        if vehicles:
            out[_meets_vehicle(vehicles, x, y, c[:, 0], s[:, 0])] = -9.0
        return out


def _meets_vehicle(vehicles: list, x, y, c, s) -> NDArray[np.bool_]:
    """Who would walk into a vehicle's side with the next step (bool [people]): they stand still instead."""
    rows = np.array([(v.x, v.y, math.cos(v.yaw), math.sin(v.yaw), v.length / 2, v.width / 2) for v in vehicles])
    vx, vy, cv, sv, half_length, half_width = rows.T[:, :, None]
    dx, dy = x + 0.9 * c - vx, y + 0.9 * s - vy
    along, across = np.abs(dx * cv + dy * sv), np.abs(dy * cv - dx * sv)
    return ((along < half_length + 0.5) & (across < half_width + 0.4)).any(0)
