"""Everything that moves in a world: the ego vehicle, other vehicles, people; and what stands on the road.

    traffic = Traffic(build_world(7, "city"), seed=7, scenario=SCENARIOS["city_rush"])
    for _ in range(100):
        snapshot = traffic.snapshot()
        traffic.step(0.1)

The drive runs on ticks of 0.1 s whatever `step` asks for; moments between ticks are interpolated, so the same seed is
the same drive at any frame rate. Events look 1.5 s into the future (events.py), so the drive runs that far ahead of
what is shown. Memory is bounded: who falls far behind the ego vehicle goes, and newcomers appear ahead.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from perception_nodes.simulator import driver_model as drive
from perception_nodes.simulator.driver_model import Driver, Vehicle
from perception_nodes.simulator.ego import EGO_LENGTH, EGO_WIDTH, WHEELBASE, EgoBody
from perception_nodes.simulator.ego_manners import EgoManners
from perception_nodes.simulator.events import HALF_WINDOW, EventFinder, Moment
from perception_nodes.simulator.flow import Flow
from perception_nodes.simulator.mirror import mirrored_moment, mirrored_paths, other_side
from perception_nodes.simulator.moments import actors_between, ego_between
from perception_nodes.simulator.pedestrians import Pedestrians
from perception_nodes.simulator.population import Population
from perception_nodes.simulator.routes import LaneNetwork
from perception_nodes.simulator.scenarios import Scenario, boosted
from perception_nodes.simulator.scene import ActorState, Conditions, EgoState, Snapshot, World
from perception_nodes.simulator.scripts import make_scripts
from perception_nodes.simulator.shapes import Body, shape_catalogue
from perception_nodes.simulator.standing import Standing
from perception_nodes.simulator.starts import choose_start, wants_lanes

TICK = 0.1  # s
VIEW = 120.0  # m around the ego vehicle within which actors are reported
CATALOGUES = 4  # different sets of shapes over all seeds


@dataclass(frozen=True)
class _Frame:
    time: float
    ego: EgoState
    moving: tuple[ActorState, ...]
    standing: tuple[ActorState, ...]


class Traffic:
    """One drive. Same world, seed, scenario and arguments: the same drive.

    `conditions` is what the scenario says unless given. In a left-hand world the drive is the mirror image of one on
    the right (`mirror`). `rare` raises the share of two-wheelers, people, trucks, buses and machines, for training.
    `foresight` 0 saves the run ahead (about 15 ticks) and leaves events empty.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        scenario: Scenario,
        conditions: Conditions | None = None,
        *,
        rare: bool = False,
        foresight: bool = True,
    ) -> None:
        if not any(not lane.junction for lane in world.lanes.values()):
            raise ValueError("the world has no lane to drive on; expected at least one lane outside a junction")
        self.world, self.seed = world, seed
        self._mirrored = world.left_hand
        if self._mirrored:
            world = mirrored_paths(world)  # drivers keep to the right here
        self._driven = world
        self.scenario = boosted(scenario) if rare else scenario
        if self._mirrored:
            self.scenario = replace(self.scenario, turns=other_side(self.scenario.turns))
        self.conditions = conditions or scenario.conditions
        self._ticks = 0
        self._rng = np.random.default_rng((0x7AF, seed))
        catalogue = shape_catalogue(seed % CATALOGUES)
        network = LaneNetwork.of(world)
        self._standing = Standing(world, self.scenario, catalogue, self._rng, first_id=2)
        self._flow = Flow(network, self._rng)
        self._flow.obstacles = self._standing.obstacles(network)
        self._people = Pedestrians(world, network, catalogue, self._rng)
        self._people.is_green = lambda lane: self._flow.junctions.is_green(lane, self._ticks * TICK)
        self._population = Population(
            self._flow, self._people, self.scenario, catalogue, self._rng, self._standing.next_id
        )
        self._ego = self._place_ego()
        self._body = EgoBody(self._rng)
        self._scripts = [
            EgoManners(self._flow, self._ego, self._rng, not wants_lanes(self.scenario)),
            *make_scripts(self.scenario, self._flow, self._people, self._population, self._ego, self._rng),
        ]
        self._population.fill(self._ego.x, self._ego.y, at_start=True)
        self._foresight = HALF_WINDOW if foresight else 0.0
        self._events = EventFinder()
        self._time = 0.0
        self._frames: deque[_Frame] = deque()
        self._record()
        self._run_until(self._foresight)

    @property
    def time(self) -> float:
        """Seconds since the start of the drive."""
        return self._time

    def snapshot(self) -> Snapshot:
        """The moment that the drive has reached."""
        moment = self._moment()
        return mirrored_moment(moment) if self._mirrored else moment

    def _moment(self) -> Snapshot:
        first = self._frames[0]
        share = (self._time - first.time) / TICK
        events = self._events.at(self._time) if self._foresight else ()
        if share < 1e-6 or len(self._frames) < 2:
            return Snapshot(self._time, first.ego, first.moving + first.standing, events)
        second = self._frames[1]
        moving = actors_between(first.moving, second.moving, share)
        ego = ego_between(first.ego, second.ego, share)
        return Snapshot(self._time, ego, moving + first.standing, events)

    def step(self, dt: float) -> None:
        """Goes on by `dt` seconds; raises ValueError if it is not positive."""
        if not dt > 0:
            raise ValueError(f"a step of {dt} s; expected a positive number of seconds")
        self._time = round(self._time + dt, 9)
        self._run_until(self._time + self._foresight)
        while len(self._frames) > 1 and self._frames[1].time <= self._time + 1e-9:
            self._frames.popleft()

    def spans(self) -> list:
        """Driving events known so far that have not ended long ago: `events.Span`s, oldest first."""
        spans = self._events.spans()
        return [replace(span, name=other_side(span.name)) for span in spans] if self._mirrored else spans

    def _run_until(self, time: float) -> None:
        while self._frames[-1].time < time + TICK - 1e-6:
            self._tick()

    def _tick(self) -> None:
        self._ticks += 1
        now = self._ticks * TICK
        ego = self._ego
        for script in self._scripts:
            script.step(now)
        self._flow.closed_crossings = self._people.step(TICK, self._flow.vehicles)
        self._flow.step(TICK, now)
        if self._ticks % 4 == 0:
            self._population.fill(ego.x, ego.y, at_start=False)
        self._body.step(ego.a, ego.v * ego.yaw_rate, ego.v, TICK)
        self._record()

    def _place_ego(self) -> Vehicle:
        """The ego vehicle where the scenario finds soon what it wants to provoke."""
        flow, rng = self._flow, self._rng
        lane, s = choose_start(flow.network, self.scenario, rng, self._driven.works)
        vehicle = self._population.make_vehicle("car", lane, s)
        vehicle.track_id, vehicle.is_ego = 1, True
        vehicle.driver = Driver(self.scenario.speed, 1.5, 1.7, 2.3)
        vehicle.d = vehicle.d_goal = 0.0
        vehicle.length, vehicle.width, vehicle.wheelbase = EGO_LENGTH, EGO_WIDTH, WHEELBASE
        vehicle.turn_wish, vehicle.likes_wide = self.scenario.turns, wants_lanes(self.scenario)
        track = flow.tracks[lane]
        vehicle.v = min(0.8 * track.cap * vehicle.driver.speed_factor, (2.0 * (track.length - s)) ** 0.5)
        drive.place(vehicle, flow.tracks, 0.0)
        flow.vehicles.append(vehicle)
        flow.extend_route(vehicle)
        flow.index()
        return vehicle

    def _record(self) -> None:
        """Keeps this tick as a frame and shows it to the event finder."""
        now, ego = round(self._ticks * TICK, 9), self._ego
        pose = self._body.pose(self._driven, ego.x, ego.y, ego.yaw)
        state = EgoState(pose, ego.v, ego.a, ego.yaw_rate)
        standing = tuple(self._standing.near(ego.x, ego.y, VIEW))
        self._frames.append(_Frame(now, state, tuple(self._moving(ego)), standing))
        if self._foresight:
            self._events.add(Moment.of(now, ego, self._flow, self._people.people))

    def _moving(self, ego: Vehicle) -> list[ActorState]:
        rows: list[tuple] = []
        for v in self._flow.near(ego.x, ego.y, VIEW):
            if v.is_ego:
                continue
            shape = v.body.shape_after(v.travelled)
            velocity = (v.vx, v.vy)
            rows.append((v.track_id, v.body, shape, v.x, v.y, v.yaw, velocity, v.yaw_rate, v.a < -1.0, v.indicator))
            if v.trailer is not None:
                x, y, yaw = v.trailer_pose()
                shape, velocity = v.trailer.shape(0), (v.trailer_vx, v.trailer_vy)
                rate = v.trailer_yaw_rate
                rows.append((v.trailer_id, v.trailer, shape, x, y, yaw, velocity, rate, v.a < -1.0, v.indicator))
        for p in self._people.people:
            if math.hypot(p.x - ego.x, p.y - ego.y) < VIEW:
                shape = p.body.shape_after(p.travelled, p.v > 0.15)
                rows.append((p.track_id, p.body, shape, p.x, p.y, p.yaw, (p.vx, p.vy), 0.0, False, 0))
        if not rows:
            return []
        z = self._heights(rows)
        return [
            ActorState(
                track, body.category, shape, (x, y, float(height)), yaw, body.size, velocity, rate, braking, light
            )
            for (track, body, shape, x, y, yaw, velocity, rate, braking, light), height in zip(rows, z)
        ]

    def _heights(self, rows: list[tuple]) -> np.ndarray:
        """Ground under each actor: the mean under its two ends, so that long vehicles stand well on slopes."""
        x, y, yaw = (np.array([r[i] for r in rows]) for i in (3, 4, 5))
        bodies: list[Body] = [r[1] for r in rows]
        reach = np.array([0.35 * b.size[0] for b in bodies])
        dx, dy = reach * np.cos(yaw), reach * np.sin(yaw)
        z = self._driven.ground_height(np.stack([x + dx, x - dx]), np.stack([y + dy, y - dy]))
        return z.mean(0)
