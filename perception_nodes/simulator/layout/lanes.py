"""The lane graph: straight lanes of every road, junction lanes between them, rights of way and stop lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.marks import StopBar, main_axis
from perception_nodes.simulator.layout.plan import Node, Road, StreetPlan
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Lane

Array = NDArray[np.float64]
SPACING = 1.5  # m between points of a centre line


class LaneGraph:
    """Lanes by id, with the straight lanes found by (road, section, direction, index from the middle)."""

    def __init__(self, plan: StreetPlan, warp: Warp, ground: GroundHeight, bars: list[StopBar]) -> None:
        self.plan, self.warp, self.ground = plan, warp, ground
        self.bars = {(bar.node, bar.road.id, bar.heading): bar for bar in bars}
        self.lanes: dict[int, Lane] = {}
        self.uv: dict[int, Array] = {}  # centre lines in the plan
        self.where: dict[int, tuple[int, int, int, int]] = {}
        self.ids: dict[tuple[int, int, int, int], int] = {}
        self.node_of: dict[int, int] = {}  # junction lane -> node
        self.origin: dict[int, int] = {}  # junction lane -> lane that it comes from
        for road in plan.roads:
            self.add_road(road)
        for node in plan.nodes:
            self.add_node(node)
        for node in plan.nodes:
            if not node.bend:
                self.set_priorities(node)

    def add_lane(self, uv: Array, width: float, speed: float, **more) -> int:
        """Add a lane along plan points; returns its id."""
        number = len(self.lanes) + 1
        centre = self.ground.on(self.warp.map_from_plan(uv))
        self.lanes[number] = Lane(number, centre, width, speed, **more)
        self.uv[number] = uv
        return number

    def add_road(self, road: Road) -> None:
        """Straight lanes of all sections of a road, both directions."""
        plan = self.plan
        for section, ((ta, a), (tb, b)) in enumerate(zip(road.nodes[:-1], road.nodes[1:])):
            start = ta + plan.trim(plan.nodes[a], road, 1)
            stop = tb - plan.trim(plan.nodes[b], road, -1)
            t = np.linspace(start, stop, max(2, int(np.ceil((stop - start) / SPACING)) + 1))
            for direction in (1, -1):
                for k in range(road.lanes):
                    uv = road.at(t if direction > 0 else t[::-1], -direction * road.lane_offset(k))
                    number = self.add_lane(uv, road.lane_width, road.speed)
                    key = (road.id, section, direction, k)
                    self.where[number], self.ids[key] = key, number
            for direction in (1, -1):
                for k in range(road.lanes):
                    self.set_neighbours(road, section, direction, k)

    def set_neighbours(self, road: Road, section: int, direction: int, k: int) -> None:
        number = self.ids[road.id, section, direction, k]
        self.lanes[number] = replace(
            self.lanes[number],
            left=self.ids.get((road.id, section, direction, k - 1)),
            right=self.ids.get((road.id, section, direction, k + 1)),
            opposite=self.ids[road.id, section, -direction, 0],
        )

    def arm_section(self, road_id: int, t: float, sign: int) -> int:
        """Index of the road section that an arm opens into."""
        places = [p for p, _ in self.plan.roads[road_id].nodes]
        i = int(np.argmin(np.abs(np.array(places) - t)))
        return i if sign > 0 else i - 1

    def add_node(self, node: Node) -> None:
        """Junction lanes from every arriving lane to the lanes that it may take."""
        for arm_in in node.arms:
            for arm_out in node.arms:
                if arm_in is not arm_out:
                    self.connect(node, arm_in, arm_out)

    def connect(self, node: Node, arm_in, arm_out) -> None:
        """Junction lanes from one arm to another."""
        road_in, road_out = self.plan.roads[arm_in[0]], self.plan.roads[arm_out[0]]
        heading_in, heading_out = -arm_in[2] * road_in.heading, arm_out[2] * road_out.heading
        cross = float(heading_in[0] * heading_out[1] - heading_in[1] * heading_out[0])
        turn = "straight" if abs(cross) < 0.5 else ("left" if cross > 0 else "right")
        section_in, section_out = self.arm_section(*arm_in), self.arm_section(*arm_out)
        has_straight = any(float(self.plan.roads[r].heading @ heading_in) * s > 0.5 for r, _, s in node.arms)
        for k in range(road_in.lanes):
            target = lane_target(k, road_in.lanes, road_out.lanes, turn, node.bend, has_straight)
            if target is None:
                continue
            first = self.ids[road_in.id, section_in, -arm_in[2], k]
            last = self.ids[road_out.id, section_out, arm_out[2], target]
            uv = connecting_curve(self.uv[first][-1], heading_in, self.uv[last][0], heading_out)
            speed = min(road_in.speed, road_out.speed)
            if turn != "straight":
                radius = float(np.linalg.norm(uv[-1] - uv[0])) / np.sqrt(2)
                speed = min(speed, max(3.5, float(np.sqrt(2.2 * radius))))
            width = min(road_in.lane_width, road_out.lane_width)
            number = self.add_lane(uv, width, speed, successors=(last,), turn=turn, junction=not node.bend)
            self.node_of[number], self.origin[number] = node.id, first
            self.lanes[first] = replace(self.lanes[first], successors=(*self.lanes[first].successors, number))

    def set_priorities(self, node: Node) -> None:
        """Who yields to whom at a junction, and stop lines for those who do."""
        main = main_axis(self.plan, node)
        numbers = [n for n, at in self.node_of.items() if at == node.id]
        for mine in numbers:
            others = [
                other
                for other in numbers
                if self.origin[other] != self.origin[mine]
                and self.goes_first(main, other, mine)
                and conflict(self.uv[mine], self.uv[other])
            ]
            self.lanes[mine] = replace(self.lanes[mine], yields_to=tuple(others))
        for first in {self.origin[n] for n in numbers}:
            minor = any(self.rank(main, n) > 1 for n in numbers if self.origin[n] == first)
            if minor or node.signals:
                road, _, heading, _ = self.where[first]
                stop_at = self.arc_at(first, self.bars[node.id, road, heading].edge)
                self.lanes[first] = replace(self.lanes[first], stop_at=stop_at)

    def arc_at(self, number: int, t: float) -> float | None:
        """Arc length (m) at which a straight lane passes its road's `t`, or None where it does not."""
        road = self.plan.roads[self.where[number][0]]
        along = (self.uv[number] - road.start) @ road.heading
        if not min(along[0], along[-1]) <= t <= max(along[0], along[-1]):
            return None
        centre = self.lanes[number].centre
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(centre, axis=0), axis=1))])
        order = np.argsort(along)
        return float(np.interp(t, along[order], arc[order]))

    def rank(self, main: int, number: int) -> int:
        """0: main road straight or right; 1: main road left; 2: side road straight or right; 3: side road left."""
        road = self.plan.roads[self.where[self.origin[number]][0]]
        minor = abs(road.heading[main]) < 0.5
        return 2 * int(minor) + int(self.lanes[number].turn == "left")

    def goes_first(self, main: int, other: int, mine: int) -> bool:
        """Whether `other` has the right of way over `mine`. Strict in rank, so no two lanes wait for each other; of
        two arms of one rank the one that merges from the right by lane id goes first only when both end in one lane."""
        a, b = self.rank(main, other), self.rank(main, mine)
        if a != b:
            return a < b
        same_end = self.lanes[other].successors == self.lanes[mine].successors
        return same_end and self.lanes[other].turn == "straight" and self.lanes[mine].turn == "right"


def lane_target(k: int, lanes_in: int, lanes_out: int, turn: str, bend: bool, has_straight: bool) -> int | None:
    """Which lane of the leaving arm the k-th arriving lane (from the middle) leads to, or None."""
    if bend or turn == "straight":
        return min(k, lanes_out - 1)
    if turn == "right":
        return lanes_out - 1 if k == lanes_in - 1 else None
    if has_straight:
        return 0 if k == 0 else None
    return min(k, lanes_out - 1) if k < max(lanes_in - 1, 1) else None


def connecting_curve(p0: Array, d0: Array, p1: Array, d1: Array) -> Array:
    """Plan points [P, 2] of a smooth curve from pose to pose (cubic Bezier, a quarter ellipse for turns)."""
    if abs(float(d0 @ d1)) > 0.5:
        reach0 = reach1 = float(np.linalg.norm(p1 - p0)) / 3
    else:
        reach0, reach1 = 0.5523 * abs(float((p1 - p0) @ d0)), 0.5523 * abs(float((p1 - p0) @ d1))
    length = float(np.linalg.norm(p1 - p0)) * (1.0 if abs(float(d0 @ d1)) > 0.5 else 1.12)
    s = np.linspace(0, 1, max(4, int(np.ceil(length / (0.8 * SPACING))) + 1))[:, None]
    q0, q1 = p0 + reach0 * d0, p1 - reach1 * d1
    return (1 - s) ** 3 * p0 + 3 * (1 - s) ** 2 * s * q0 + 3 * (1 - s) * s**2 * q1 + s**3 * p1


def conflict(a: Array, b: Array, near: float = 2.0) -> bool:
    """Whether two centre lines come closer than `near` metres."""
    return bool((np.linalg.norm(a[:, None] - b[None], axis=-1) < near).any())
