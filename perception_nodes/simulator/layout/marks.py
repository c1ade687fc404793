"""Road marks of a plan: lines along the roads and stop lines, drawn once and then both painted and labelled.

Paint (`surfaces.paint_roads`) and map (`areas`) read the same marks, so the map has no divider and no stop line that a
camera cannot see. Lines at the outer edge of the lanes are painted but are no dividers, as in nuScenes' map.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.plan import PlanCrossing, Road, StreetPlan

Array = NDArray[np.float64]
RGB = tuple[int, int, int]
WHITE: RGB = (228, 228, 222)
YELLOWS: tuple[RGB, ...] = ((222, 176, 52), (206, 158, 40), (226, 188, 84))
SOLID = 2.4  # m, length of the pieces of a solid line
BAR = 0.4  # m, depth of a stop line along the road
CLEAR = 1.2  # m that lines end before a crossing and that a stop line lies from the junction


@dataclass(frozen=True, eq=False)
class Line:
    """A painted line along a road between two junctions: where its dashes begin and end (t), its stripes' offsets."""

    road: Road
    begins: Array
    ends: Array
    stripes: tuple[float, ...]  # offsets of the middles of the painted stripes, one or two
    width: float
    rgb: RGB
    divider: bool  # between lanes, hence part of the map
    gap: float  # m between dashes, 0 for a solid line

    def offset(self) -> float:
        """Offset of the line as a whole."""
        return sum(self.stripes) / len(self.stripes)

    def runs(self) -> list[tuple[float, float]]:
        """Pieces (t, t) of the line without a hole; the gaps between dashes are no holes."""
        if not len(self.begins):
            return []
        cut = np.flatnonzero(self.begins[1:] - self.ends[:-1] > self.gap + 0.1)
        first = [0, *(cut + 1).tolist()]
        last = [*cut.tolist(), len(self.ends) - 1]
        return [(float(self.begins[i]), float(self.ends[j])) for i, j in zip(first, last)]


@dataclass(frozen=True, eq=False)
class StopBar:
    """A stop line across all lanes of one direction: from t0 to t1 (t0 < t1) and from offset o0 to o1 (o0 < o1)."""

    road: Road
    t0: float
    t1: float
    o0: float
    o1: float
    heading: int  # of the traffic that stops here: +1 along the road, -1 against it
    node: int  # junction that it lies before, -1: a crossing between junctions

    @property
    def edge(self) -> float:
        """t of the edge that the traffic meets first."""
        return self.t0 if self.heading > 0 else self.t1


@dataclass
class Marks:
    """All lines and stop lines of a world."""

    lines: list[Line] = field(default_factory=list)
    bars: list[StopBar] = field(default_factory=list)


def place_marks(rng: np.random.Generator, plan: StreetPlan, crossings: list[PlanCrossing]) -> Marks:
    """Draw the marks of every road; what separates the directions is yellow in a share of the worlds."""
    middle = YELLOWS[rng.integers(len(YELLOWS))] if rng.random() < 0.45 else WHITE
    marks = Marks(bars=place_bars(plan, crossings))
    for road in plan.roads:
        solid = rng.random() < (0.25 if road.lanes == 1 else 0.8) or (middle is not WHITE and rng.random() < 0.6)
        bare = road.lanes == 1 and not road.ring and rng.random() < 0.35
        edges = bool(rng.random() < 0.45)
        kerbs = road.median > 0 and rng.random() < 0.75
        double = solid and rng.random() < (0.8 if middle is not WHITE else 0.3)
        holes = [(c.t - c.width / 2 - CLEAR, c.t + c.width / 2 + CLEAR) for c in crossings if c.road is road]
        for (ta, a), (tb, b) in zip(road.nodes[:-1], road.nodes[1:]):
            start, stop = ta + plan.trim(plan.nodes[a], road, 1), tb - plan.trim(plan.nodes[b], road, -1)
            gap = float(rng.choice([3.0, 4.5, 6.0]))
            if not bare:
                marks.lines += section_lines(road, start, stop, holes, gap, solid, double, kerbs, edges, middle)
    return marks


def section_lines(
    road: Road, start: float, stop: float, holes, gap: float, solid: bool, double: bool, kerbs: bool, edges: bool,
    middle: RGB,
) -> list[Line]:  # fmt: skip
    """Lines of one road from t = start to t = stop; `gap` is the space between dashes."""
    whole, dashed = pieces(start, stop, SOLID, 0.0, holes), pieces(start, stop, 3.0, gap, holes)
    found = []

    def add(stripes, is_solid: bool, divider: bool, width: float = 0.14, rgb: RGB = WHITE) -> None:
        begins, ends = whole if is_solid else dashed
        found.append(Line(road, begins, ends, tuple(stripes), width, rgb, divider, 0.0 if is_solid else gap))

    if road.median == 0:
        add((-0.13, 0.13) if double else (0.0,), solid, True, rgb=middle)
    elif kerbs:
        for side in (-1, 1):
            add((side * (road.median / 2 + 0.12),), True, True, rgb=middle)
    for k in range(1, road.lanes):
        for side in (-1, 1):
            add((side * (road.median / 2 + k * road.lane_width),), False, True)
    if edges or road.bike > 0:
        outer = road.median / 2 + road.lanes * road.lane_width - 0.1
        for side in (-1, 1):
            add((side * outer,), road.bike == 0, False, 0.12)
    return found


def pieces(start: float, stop: float, on: float, off: float, holes) -> tuple[Array, Array]:
    """Dashes [start, stop) clear of holes; `off` 0 gives pieces that touch."""
    begins = np.arange(start, stop - on, on + off)
    ends = begins + on
    keep = np.ones(len(begins), bool)
    for low, high in holes:
        keep &= (ends < low) | (begins > high)
    return begins[keep], ends[keep]


def place_bars(plan: StreetPlan, crossings: list[PlanCrossing]) -> list[StopBar]:
    """Stop lines on the approach side of painted crossings, and where an arm without one must stop or yield."""
    found, done = [], set()
    for c in crossings:
        for heading in (1, -1) if c.node is None else (-c.arm,):
            stops = c.node is not None and must_stop(plan, c.node, c.road)
            if c.style != "plain" or stops:
                t = c.t - heading * (c.width / 2 + CLEAR - BAR / 2)
                found.append(bar_at(c.road, t, heading, -1 if c.node is None else c.node.id))
        if c.node is not None:
            done.add((c.node.id, c.road.id, c.arm))
    for node in plan.nodes:
        for road_id, t, arm in () if node.bend else node.arms:
            road = plan.roads[road_id]
            if (node.id, road_id, arm) not in done and must_stop(plan, node, road):
                found.append(bar_at(road, t + arm * (plan.trim(node, road, arm) + CLEAR), -arm, node.id))
    return found


def bar_at(road: Road, t: float, heading: int, node: int) -> StopBar:
    """A stop line with its middle at t; traffic along the road keeps to negative offsets."""
    near, far = road.median / 2 + 0.1, road.median / 2 + road.lanes * road.lane_width
    low, high = sorted((-heading * near, -heading * far))
    return StopBar(road, t - BAR / 2, t + BAR / 2, low, high, heading, node)


def must_stop(plan: StreetPlan, node, road: Road) -> bool:
    """Whether traffic from this road meets lights or gives way at a junction."""
    return node.signals or abs(road.heading[main_axis(plan, node)]) < 0.5


def main_axis(plan: StreetPlan, node) -> int:
    """Plan axis (0 = u, 1 = v) of the road that has the right of way at a junction."""

    def weight(axis: int) -> tuple:
        arms = [plan.roads[r] for r, _, _ in node.arms if abs(plan.roads[r].heading[axis]) > 0.5]
        return (len(arms), max(r.ring for r in arms), max(r.lanes for r in arms), max(r.speed for r in arms))

    return int(weight(1) > weight(0))
