"""The street plan: a ring road whose inside is split, again and again, by straight roads into rectangular blocks.

Plan coordinates (u, v) in metres. A road is a directed line with a cross-section; offsets `o` are positive to its
left. Right-hand traffic: lanes that go along the line lie at negative offsets. Every end of a road meets another
road, so traffic never has to stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.styles import Style

Array = NDArray[np.float64]


@dataclass
class Road:
    """A straight road in the plan and its cross-section (the same over its length)."""

    id: int
    start: Array  # [2] plan
    heading: Array  # [2] unit, axis-aligned
    length: float
    lanes: int  # per direction
    lane_width: float
    median: float  # width of the raised island between the directions, 0 for none
    bike: float  # width of a cycle strip on each side, 0 for none
    park: tuple[float, float]  # width of the parking strip (right side, left side), 0 for none
    speed: float
    crown: float  # height of the middle over the kerb line, m
    ring: bool
    tint: int  # grey of the asphalt
    nodes: list[tuple[float, int]] = field(default_factory=list)  # (t, node id), sorted

    def half(self, side: int) -> float:
        """Distance from the line to the kerb at the right (-1) or left (+1) side."""
        return self.median / 2 + self.lanes * self.lane_width + self.bike + self.park[(side + 1) // 2] + 0.2

    def at(self, t, o) -> Array:
        """Plan points [..., 2] at arc t and offset o (broadcast)."""
        t, o = np.broadcast_arrays(np.asarray(t, np.float64), np.asarray(o, np.float64))
        normal = np.array([-self.heading[1], self.heading[0]])
        return self.start + t[..., None] * self.heading + o[..., None] * normal

    def lane_offset(self, k: int) -> float:
        """Offset magnitude of the middle of lane k, counted from the middle of the road."""
        return self.median / 2 + (k + 0.5) * self.lane_width


@dataclass
class Node:
    """Where roads meet. `bend`: a corner of the ring (two arms, no junction)."""

    id: int
    at: Array  # [2] plan
    bend: bool
    radius: float  # of the kerb at its corners
    arms: list[tuple[int, float, int]] = field(default_factory=list)  # (road id, t, +1 towards larger t | -1)
    signals: bool = False


@dataclass
class Block:
    """A rectangle between roads: its kerb line with corner radii, and the road at each side.

    Sides and corners run counter-clockwise: sides bottom, right, top, left; corner i starts side i.
    """

    id: int
    box: tuple[float, float, float, float]  # u0, v0, u1, v1 of the kerb line
    radii: tuple[float, float, float, float]
    roads: tuple[int, int, int, int]
    bends: tuple[bool, bool, bool, bool]  # whether the corner is a bend of the ring


class PlanCrossing:
    """A crossing in the plan: road, arc `t`, width along the road, paint, and the junction arm that it lies on."""

    def __init__(self, road: Road, t: float, width: float, style: str, node: Node | None = None, arm: int = 0) -> None:
        self.road, self.t, self.width, self.style = road, t, width, style  # style: zebra | lines | plain (no paint)
        self.node, self.arm = node, arm  # arm: +1 | -1, the way that the road leaves the node


@dataclass
class StreetPlan:
    """Roads, nodes and blocks of one world."""

    style: Style
    roads: list[Road]
    nodes: list[Node]
    blocks: list[Block]
    outer_box: tuple[float, float, float, float]  # outer kerb of the ring road
    outer_radius: float

    def trim(self, node: Node, road: Road, sign: int) -> float:
        """Distance along an arm from the node to where its own straight lanes begin."""
        if node.bend:
            return road.half(+1) + node.radius
        return self.box_reach(node, road, sign) + node.radius + 0.5

    def box_reach(self, node: Node, road: Road, sign: int) -> float:
        """Distance along an arm from the node to the edge of the crossing carriageway."""
        out = road.heading * sign
        reach = 0.0
        for other_id, _, _ in node.arms:
            other = self.roads[other_id]
            if abs(float(other.heading @ road.heading)) > 0.5:
                continue
            left = np.array([-other.heading[1], other.heading[0]])
            reach = max(reach, other.half(+1 if float(left @ out) > 0 else -1))
        return reach


def make_road(rng: np.random.Generator, style: Style, number: int, start, heading, length: float, ring: bool) -> Road:
    """A road with a cross-section drawn from the style."""
    lanes = int(rng.choice(style.ring_lanes if ring else style.inner_lanes))
    median = float(rng.uniform(1.2, 4.0)) if lanes > 1 and rng.random() < style.median else 0.0
    width = float(rng.uniform(*style.lane_width))
    sides = [float(rng.uniform(2.0, 2.5)) if rng.random() < style.park else 0.0 for _ in range(2)]
    bike = float(rng.uniform(1.2, 1.8)) if rng.random() < style.bike else 0.0
    half = lanes * width + bike
    return Road(
        number,
        np.asarray(start, np.float64),
        np.asarray(heading, np.float64),
        float(length),
        lanes,
        width,
        median,
        bike,
        (sides[0], sides[1]),
        float(rng.uniform(*style.speed)),
        crown=half * float(rng.uniform(0.005, 0.025)),
        ring=ring,
        tint=int(rng.integers(62, 118)),
    )


def make_plan(rng: np.random.Generator, style: Style) -> StreetPlan:
    """The ring, then splits until blocks have the style's size."""
    width, depth = rng.uniform(*style.size), rng.uniform(*style.size) * rng.uniform(0.8, 1.0)
    u0, v0, u1, v1 = -width / 2, -depth / 2, width / 2, depth / 2
    corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
    headings = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    first = make_road(rng, style, 0, corners[0], headings[0], width, ring=True)
    bend_radius = float(rng.uniform(10.0, 18.0))
    plan = StreetPlan(style, [], [], [], (0, 0, 0, 0), 0.0)
    for i in range(4):
        road = Road(**{**first.__dict__, "id": i, "nodes": []})
        road.start, road.heading = np.array(corners[i], float), np.array(headings[i], float)
        road.length = width if i % 2 == 0 else depth
        plan.roads.append(road)
    for i in range(4):
        plan.nodes.append(Node(i, np.array(corners[i], float), True, bend_radius))
        for road_id, t, sign in ((i, 0.0, 1), ((i - 1) % 4, plan.roads[(i - 1) % 4].length, -1)):
            plan.nodes[i].arms.append((road_id, t, sign))
            plan.roads[road_id].nodes.append((t, i))
    out = first.half(-1)
    plan.outer_box = (u0 - out, v0 - out, u1 + out, v1 + out)
    plan.outer_radius = bend_radius + first.half(-1) + first.half(1)
    split_cells(rng, plan, (u0, v0, u1, v1))
    for road in plan.roads:
        road.nodes.sort()
    for node in plan.nodes:
        node.signals = not node.bend and len(node.arms) >= 3 and rng.random() < style.signals
    return plan


def split_cells(rng: np.random.Generator, plan: StreetPlan, box) -> None:
    """Split the ring's inside into blocks; appends roads, nodes and blocks to the plan."""
    low, high = plan.style.cell
    todo = [(box, (0, 1, 2, 3))]
    while todo:
        cell, sides = todo.pop(0)
        spans = (cell[2] - cell[0], cell[3] - cell[1])
        axis = int(spans[1] > spans[0])
        if spans[axis] < 2 * low or (spans[axis] < 2 * high and rng.random() < 0.15 and len(plan.roads) > 5):
            add_block(plan, cell, sides)
            continue
        place = choose_split(rng, plan, cell, sides, axis)
        if place is None:
            add_block(plan, cell, sides)
            continue
        todo.extend(add_split(rng, plan, cell, sides, axis, place))


def choose_split(rng: np.random.Generator, plan: StreetPlan, cell, sides, axis: int) -> float | None:
    """Where to cut a cell, at least 38 m from other junctions on the cut sides, or exactly at one across the road."""
    margin = max(0.37 * (cell[axis + 2] - cell[axis]), 52.0)
    low, high = cell[axis] + margin, cell[axis + 2] - margin
    if low > high:
        return None
    ends = (sides[3], sides[1]) if axis == 1 else (sides[0], sides[2])
    taken = [float(plan.nodes[n].at[axis]) for e in ends for _, n in plan.roads[e].nodes]
    options = [x for x in taken if low < x < high] + [float(x) for x in rng.uniform(low, high, 8)]
    for place in options:
        if all(abs(place - x) < 1e-6 or abs(place - x) > 38.0 for x in taken):
            return place
    return None


def add_split(rng: np.random.Generator, plan: StreetPlan, cell, sides, axis: int, place: float) -> list:
    """Add a road across a cell at `place` along `axis`; returns the two cells that it leaves."""
    u0, v0, u1, v1 = cell
    number = len(plan.roads)
    if axis == 0:  # cut along u: the road runs along +v from the bottom side to the top side
        start, heading, length, ends = (place, v0), (0, 1), v1 - v0, (sides[0], sides[2])
        cells = [
            ((u0, v0, place, v1), (sides[0], number, sides[2], sides[3])),
            ((place, v0, u1, v1), (sides[0], sides[1], sides[2], number)),
        ]
    else:
        start, heading, length, ends = (u0, place), (1, 0), u1 - u0, (sides[3], sides[1])
        cells = [
            ((u0, v0, u1, place), (sides[0], sides[1], number, sides[3])),
            ((u0, place, u1, v1), (number, sides[1], sides[2], sides[3])),
        ]
    road = make_road(rng, plan.style, number, start, heading, length, ring=False)
    plan.roads.append(road)
    for t, sign, across in ((0.0, 1, ends[0]), (length, -1, ends[1])):
        node = node_on(rng, plan, plan.roads[across], road.at(t, 0.0))
        node.arms.append((number, t, sign))
        road.nodes.append((t, node.id))
    return cells


def node_on(rng: np.random.Generator, plan: StreetPlan, road: Road, at: Array) -> Node:
    """The node of a road at a plan point, made if there is none."""
    for _, n in road.nodes:
        if float(np.abs(plan.nodes[n].at - at).max()) < 1e-6:
            return plan.nodes[n]
    node = Node(len(plan.nodes), at, False, float(rng.uniform(4.0, 9.0)))
    t = float((at - road.start) @ road.heading)
    node.arms += [(road.id, t, 1), (road.id, t, -1)]
    road.nodes.append((t, node.id))
    plan.nodes.append(node)
    return node


def add_block(plan: StreetPlan, cell, sides) -> None:
    """Turn a cell of centre lines into a block of kerb lines."""
    inward = ((0, 1), (-1, 0), (0, -1), (1, 0))
    halves = []
    for side, road_id in enumerate(sides):
        road = plan.roads[road_id]
        left = np.array([-road.heading[1], road.heading[0]])
        halves.append(road.half(+1 if float(left @ np.array(inward[side])) > 0 else -1))
    u0, v0, u1, v1 = cell
    box = (u0 + halves[3], v0 + halves[0], u1 - halves[1], v1 - halves[2])
    radii, bends = [], []
    for corner in ((u0, v0), (u1, v0), (u1, v1), (u0, v1)):
        node = min(plan.nodes, key=lambda n: float(np.abs(n.at - np.array(corner)).sum()))
        radii.append(node.radius)
        bends.append(node.bend)
    plan.blocks.append(
        Block(
            len(plan.blocks),
            box,
            (radii[0], radii[1], radii[2], radii[3]),
            sides,
            (bends[0], bends[1], bends[2], bends[3]),
        )
    )
