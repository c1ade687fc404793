"""Small nudges that make drivers and people do what a scenario is about. Events are judged from the motion alone.

Where an event has a left and a right form, a coin decides, and both sides use the same bodies, speeds and distances.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import numpy as np

from perception_nodes.simulator.driver_model import Driver, Vehicle
from perception_nodes.simulator.flow import Flow
from perception_nodes.simulator.lane_changes import change_lane
from perception_nodes.simulator.pedestrians import Pedestrians
from perception_nodes.simulator.population import Population
from perception_nodes.simulator.scenarios import Scenario


class Script(Protocol):
    """Something that acts on the drive before each tick."""

    def step(self, now: float) -> None: ...


def make_scripts(
    scenario: Scenario, flow: Flow, people: Pedestrians, population: Population, ego: Vehicle, rng: np.random.Generator
) -> list[Script]:
    """The scripts that a scenario names in `provoke`; raises KeyError for an unknown name."""
    scripts: list[Script] = []
    for name in scenario.provoke:
        if name in ("cut_in", "cut_out", "overtake"):
            scripts.append(LaneScript(name, flow, population, ego, rng))
        elif name == "lead_brakes":
            scripts.append(LeadBrakes(flow, population, ego, rng))
        elif name == "crossing":
            scripts.append(PeopleCross(flow, people, population, ego, rng))
        else:
            raise KeyError(f"scenario {scenario.name!r}: no script {name!r}; known: crossing, cut_in, cut_out, ...")
    return scripts


class LaneScript:
    """Vehicles change into the ego lane, out of it, or pass on the neighbouring lane.

    An actor is brought up on the neighbouring lane from behind (cut-in, overtaking), or in the ego lane (cut-out).
    Now and then the ego vehicle takes the other lane itself, so that both sides have their turn.
    """

    def __init__(self, what: str, flow: Flow, population: Population, ego: Vehicle, rng: np.random.Generator) -> None:
        self.what, self.flow, self.population, self.ego, self.rng = what, flow, population, ego, rng
        self._actor: Vehicle | None = None
        self._next = 0.5
        self._give_up = 0.0

    def step(self, now: float) -> None:
        """Drops an actor that is of no use any more, brings up a new one, or lets it act."""
        actor = self._actor
        if actor is not None and (actor not in self.flow.vehicles or now > self._give_up):
            self._drop(now + 1.0)
        if self._actor is not None:
            self._act(self._actor, now)
        elif now >= self._next:
            self._begin(now)

    def _drop(self, again: float) -> None:
        if self._actor is not None:
            self._actor.forced_speed = None
            self._actor.change_pause = 6.0
        self._actor, self._next = None, again

    def _sides(self) -> list[int]:
        lane = self.flow.tracks[self.ego.route[0]].lane
        return [i for i in (lane.left, lane.right) if i is not None]

    def _begin(self, now: float) -> None:
        sides, ego, flow = self._sides(), self.ego, self.flow
        self._next = now + 0.5
        ahead = flow.tracks[ego.route[0]].length - ego.s
        if not sides or ahead < 45.0 or ego.v < 2.0:
            return
        if (
            now > 4.0
            and self.rng.random() < 0.3
            and change_lane(flow, ego, sides[int(self.rng.integers(len(sides)))], 2.0)
        ):
            self._next = now + 4.0
            return
        lane = sides[int(self.rng.integers(len(sides)))]
        if self.what == "cut_out":
            self._actor = self._in_lane(ego.route[0], 7.0, 40.0) or self._bring(ego.route[0], 30.0)
        else:
            first = now < 2.0 and self.what == "cut_in"
            self._actor = self._in_lane(lane, -14.0, 16.0) or self._bring(lane, 9.0 if first else -9.0)
        self._give_up = now + 12.0
        if self._actor is not None:
            self._actor.change_pause = 99.0

    def _along(self, lane: int) -> float:
        return self.flow.tracks[lane].nearest(self.ego.x, self.ego.y)[0]

    def _in_lane(self, lane: int, low: float, high: float) -> Vehicle | None:
        """The vehicle of ordinary length on `lane` nearest to the ego within these metres ahead (negative: behind)."""
        here = self._along(lane)
        found = [
            (abs(s - here), v)
            for s, _, v in self.flow.occupants.get(lane, ())
            if low < s - here < high
            and v is not self.ego
            and v.route[0] == lane
            and v.reach < 7.0
            and not v.two_wheeled
        ]
        return min(found, key=lambda f: f[0])[1] if found else None

    def _bring(self, lane: int, ahead: float) -> Vehicle | None:
        return self.population.add_vehicle(lane, self._along(lane) + ahead, "car", speed=self.ego.v + 1.0)

    def _act(self, actor: Vehicle, now: float) -> None:
        ego, flow, lane = self.ego, self.flow, actor.route[0]
        if lane == ego.route[0]:
            self._leave(actor, now)
            return
        if lane not in self._sides():
            if actor.changing_from is None:
                self._drop(now + 0.5)
            return
        u = actor.s - self._along(lane)
        actor.driver = _eager(actor)
        if self.what == "overtake":
            actor.forced_speed = ego.v + 5.0
            if u > 25.0:
                self._drop(now + 1.5)
            return
        actor.forced_speed = max(ego.v + (6.0 if u < 7.0 else 1.5 if u < 13.0 else -1.0), 3.0)
        if 8.0 < u < 24.0 and flow.tracks[lane].length - actor.s > 25.0 + 1.5 * actor.v:
            if change_lane(flow, actor, ego.route[0], 1.0):
                actor.forced_speed = None
                self._drop(now + 6.0)

    def _leave(self, actor: Vehicle, now: float) -> None:
        """The vehicle ahead in the ego lane changes to another one, once it is near enough to be the leader."""
        u = actor.s - self.ego.s
        if self.what != "cut_out" or u < 0:
            self._drop(now + 1.0)
            return
        actor.forced_speed = None if u < 24.0 else max(0.75 * self.ego.v, 3.0)
        lane = self.flow.tracks[actor.route[0]].lane
        sides = [i for i in (lane.left, lane.right) if i is not None]
        if u < 30.0 and sides:
            self.rng.shuffle(sides)
            if any(change_lane(self.flow, actor, side, 2.0) for side in sides):
                self._drop(now + 5.0)


def _eager(actor: Vehicle) -> Driver:
    """The same driver in a hurry."""
    return replace(actor.driver, speed_factor=1.6, acceleration=2.6)


class LeadBrakes:
    """The vehicle ahead brakes hard for one to two seconds, again and again."""

    def __init__(self, flow: Flow, population: Population, ego: Vehicle, rng: np.random.Generator) -> None:
        self.flow, self.population, self.ego, self.rng = flow, population, ego, rng
        self._next, self._until = 2.5, 0.0
        self._lead: Vehicle | None = None

    def step(self, now: float) -> None:
        """Ends a braking, or starts one when there is somebody ahead."""
        if self._lead is not None:
            if now >= self._until or self._lead.v < 1.5:
                self._lead.forced_brake = None
                self._lead = None
            return
        gap, _, lead = self.flow.leader(self.ego)
        if lead is None or gap > 30.0:
            self._draw_near(now)
            return
        lead.forced_speed = None
        if now >= self._next and lead.v > 4.0 and gap > 4.0:
            self._lead, self._until = lead, now + float(self.rng.uniform(1.2, 2.0))
            lead.forced_brake = float(self.rng.uniform(3.0, 5.0))
            self._next = now + float(self.rng.uniform(5.0, 8.0))

    def _draw_near(self, now: float) -> None:
        """Puts somebody ahead at the start; later slows down the next vehicle on the route until it is near."""
        ego, flow = self.ego, self.flow
        base = 0.0
        for lane in list(ego.route)[:3]:
            for s, _, v in flow.occupants.get(lane, ()):
                if v is not ego and 0 < base + s - ego.s < 80.0 and v.route[0] == lane:
                    v.forced_speed = max(0.6 * ego.v, 3.0)
                    return
            base += flow.tracks[lane].length
        if now < 1.0 or now > self._next + 6.0:
            self.population.add_vehicle(ego.route[0], ego.s + 24.0, "car", speed=ego.v)
            self._next = now + 2.0


class PeopleCross:
    """Sends people over the crossing that the ego vehicle comes to, from a side that a coin decides."""

    def __init__(
        self, flow: Flow, people: Pedestrians, population: Population, ego: Vehicle, rng: np.random.Generator
    ) -> None:
        self.flow, self.people, self.population, self.ego, self.rng = flow, people, population, ego, rng
        self._next: dict[int, float] = {}

    def step(self, now: float) -> None:
        """Looks for a crossing ahead and sends somebody over it."""
        base, ego = 0.0, self.ego
        for lane in list(ego.route)[:4]:
            for arc, crossing in self.flow.tracks[lane].crossings:
                u = base + arc - ego.s
                if 12.0 < u < 80.0 and now >= self._next.get(crossing, 0.0):
                    self._next[crossing] = now + float(self.rng.uniform(3.0, 6.0))
                    self._send(crossing, u)
            base += self.flow.tracks[lane].length

    def _send(self, crossing: int, distance: float) -> None:
        """Sends whoever can be at the kerb before the ego vehicle must brake; else, seen from afar only, a newcomer."""
        end = int(self.rng.integers(2))
        line, ends = self.people.lines[crossing], self.people.ends[crossing, end]
        beside = {walkway for walkway, _ in ends}
        free = [p for p in self.people.people if p.crossing < 0 and p.walkway in beside]
        free.sort(key=lambda p: math.hypot(p.x - line[end][0], p.y - line[end][1]))
        reach = max(2.0, 1.2 * (distance - 15.0) / max(self.ego.v, 3.0))
        if free and math.hypot(free[0].x - line[end][0], free[0].y - line[end][1]) < reach:
            free[0].pause = 0.0
            self.people.send_over(free[0], crossing, end)
        elif ends and distance > 30.0:
            walkway, index = ends[int(self.rng.integers(len(ends)))]
            person = self.people.spawn(self.population.new_id(), walkway, index)
            self.people.send_over(person, crossing, end)
