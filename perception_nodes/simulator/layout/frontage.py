"""Frontages: the land along one side of a block (or of the ring road's outside), cut into lots.

A frontage has its own coordinates: `s` runs along the walkway's back with the land on its left, `x` is the distance
from the walkway's back into the land (negative: towards the road; the kerb line lies at -inner).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.blocks import Edge
from perception_nodes.simulator.layout.plan import StreetPlan
from perception_nodes.simulator.layout.styles import Style

Array = NDArray[np.float64]


@dataclass
class Lot:
    """A piece of a frontage from s0 to s1. `use`: house | row | block | hall | carpark | green."""

    s0: float
    s1: float
    use: str
    setback: float
    width: float  # of the building
    depth: float  # of the building
    middle: float  # s of the building's middle
    driveway: tuple[float, float] | None = None  # s of its middle, width
    front: str = ""  # fence kind, "hedge" or "" on the front line
    seed: int = 0


@dataclass
class Frontage:
    """One side of a block (key: block id) or of the outside (key -1)."""

    key: int
    side: int
    corner: Array  # plan point of the kerb line at s = 0
    along: Array
    inward: Array
    length: float
    inner: float  # from the kerb line to the walkway's back
    strip: float
    walk: float
    margin: tuple[float, float]  # s kept free at both ends
    depth: float  # usable x
    road: int
    road_side: int
    lots: list[Lot] = field(default_factory=list)
    park: bool = False

    def uv(self, s, x) -> Array:
        """Plan points [..., 2]."""
        s, x = np.broadcast_arrays(np.asarray(s, float), np.asarray(x, float))
        return self.corner + s[..., None] * self.along + (x + self.inner)[..., None] * self.inward

    def rim_place(self, s: float) -> float:
        """The plan coordinate along the side (the `along` of a Rim) at s."""
        return float((self.corner + s * self.along)[self.side % 2])


def frontages(plan: StreetPlan, edges: dict[int, Edge]) -> list[Frontage]:
    """All sides of all blocks and the four of the outside (edges must be drawn)."""
    found = []
    for block in plan.blocks:
        inner = edges[block.id].inner()
        u0, v0, u1, v1 = block.box
        depths = half_depths(block.box, inner)
        for side in range(4):
            found.append(block_side(plan, block, edges[block.id], side, depths))
    for side in range(4):
        found.append(outer_side(plan, edges[-1], side))
    return found


def half_depths(box, inner: Array) -> Array:
    """Usable depth [4] of each side's lots: bottom and top meet in the middle, left and right fill the gap."""
    across = (box[3] - box[1] - inner[0] - inner[2]) / 2
    wide = (box[2] - box[0] - inner[1] - inner[3]) / 2
    return np.array([min(across, 34.0), min(wide, 34.0), min(across, 34.0), min(wide, 34.0)])


def axes(side: int) -> tuple[Array, Array]:
    """Directions along and into a block at a side."""
    along = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)][side], float)
    return along, np.array([-along[1], along[0]])


def block_side(plan: StreetPlan, block, edge: Edge, side: int, depths: Array) -> Frontage:
    """The strip along one side of a block, from corner to corner inside the pavements of its neighbours."""
    u0, v0, u1, v1 = block.box
    along, inward = axes(side)
    corner = np.array([(u0, v0), (u1, v0), (u1, v1), (u0, v1)][side])
    length = (u1 - u0) if side % 2 == 0 else (v1 - v0)
    inner = edge.inner()
    before, after = inner[(side - 1) % 4], inner[(side + 1) % 4]
    if side % 2 == 0:
        margin = (before + 1.0, after + 1.0)
    else:
        margin = (before + depths[(side - 1) % 4] + 1.0, after + depths[(side + 1) % 4] + 1.0)
    road = plan.roads[block.roads[side]]
    left = np.array([-road.heading[1], road.heading[0]])
    road_side = 1 if float(left @ inward) > 0 else -1
    return Frontage(
        block.id, side, corner, along, inward, float(length), float(inner[side]), float(edge.strip[side]),
        float(edge.walk[side]), margin, float(depths[side]), road.id, road_side,
    )  # fmt: skip


def outer_side(plan: StreetPlan, edge: Edge, side: int) -> Frontage:
    """The strip beyond the outermost road on one side of the plan."""
    u0, v0, u1, v1 = plan.outer_box
    along, inward = axes(side)
    corner = np.array([(u1, v0), (u1, v1), (u0, v1), (u0, v0)][side])
    length = (u1 - u0) if side % 2 == 0 else (v1 - v0)
    return Frontage(
        -1, side, corner, -along, -inward, float(length), float(edge.inner()[side]), float(edge.strip[side]),
        float(edge.walk[side]), (plan.outer_radius * 0.6, plan.outer_radius * 0.6), 34.0, side, -1,
    )  # fmt: skip


def plan_lots(rng: np.random.Generator, style: Style, front: Frontage) -> None:
    """Cut a frontage into lots and say what stands on each."""
    s, end = front.margin[0], front.length - front.margin[1]
    fence_of_side = fence_kind(rng, style)
    row = rng.random() < (0.25 if style.name == "suburb" else 0.0)
    while end - s > 9.0 and front.depth > 9.0:
        wide = float(rng.uniform(6.0, 8.5)) if row else float(rng.uniform(*style.lot))
        if end - (s + wide) < 9.0:
            wide = end - s
            if wide > 1.5 * style.lot[1]:
                wide *= 0.5
        front.lots.append(make_lot(rng, style, front, s, s + wide, row, fence_of_side))
        s += wide
    if rng.random() < style.carpark:
        add_carpark(rng, front)


def fence_kind(rng: np.random.Generator, style: Style) -> str:
    """What closes a lot towards the street."""
    if rng.random() < style.hedge:
        return "hedge"
    kinds = ("picket", "chain", "panel", "bars", "wall", "wall_bars", "rails", "wire")
    return str(rng.choice(kinds, p=[0.16, 0.11, 0.08, 0.15, 0.18, 0.21, 0.07, 0.04]))


def make_lot(rng, style: Style, front: Frontage, s0: float, s1: float, row: bool, usual: str) -> Lot:
    """One lot with its building."""
    wide = s1 - s0
    if rng.random() < style.empty or front.depth < 11:
        kind = usual if rng.random() < style.fence else ""
        return Lot(s0, s1, "green", 0, 0, 0, (s0 + s1) / 2, None, kind, int(rng.integers(1 << 30)))
    setback = float(np.clip(rng.uniform(*style.setback), 0, max(0.0, front.depth - 10)))
    gap = 0.0 if row else min(float(rng.uniform(*style.gap)), 0.5 * wide)
    room = front.depth - setback - 0.5
    if style.name == "industrial":
        use, depth = "hall", min(float(rng.uniform(14, 30)), room)
    elif style.name == "city" or (style.name == "arterial" and rng.random() < 0.6):
        use, depth = "block", min(float(rng.uniform(10, 16)), room)
    else:
        use, depth = ("row" if row else "house"), min(float(rng.uniform(8, 12)), room)
    width = wide - gap
    if use == "house":
        width = min(width, float(rng.uniform(8, 16)))
    slack = max(0.0, wide - width)
    driveway = None
    middle = (s0 + s1) / 2
    if use == "house" and slack > 3.6 and rng.random() < 0.7:
        at_end = rng.random() < 0.5
        middle = s0 + width / 2 + 0.3 if at_end else s1 - width / 2 - 0.3
        driveway = (s1 - 1.9 if at_end else s0 + 1.9, float(rng.uniform(2.6, 3.3)))
    elif use == "hall" and rng.random() < 0.7:
        driveway = (s0 + 4.0, 6.0)
    elif use == "block" and gap > 2.6 and rng.random() < 0.5:
        driveway = (s1 - gap / 2, min(gap - 0.4, 3.5))
    kind = usual if rng.random() < 0.7 else fence_kind(rng, style)
    if setback < 1.0 or rng.random() > style.fence:
        kind = ""
    return Lot(s0, s1, use, setback, width, depth, middle, driveway, kind, int(rng.integers(1 << 30)))


def add_carpark(rng: np.random.Generator, front: Frontage) -> None:
    """Turn a run of lots of 26 to 60 m into a car park with an entrance."""
    if front.depth < 19.5:
        return
    start = int(rng.integers(0, max(1, len(front.lots))))
    for count in range(1, len(front.lots) - start + 1):
        lots = front.lots[start : start + count]
        wide = lots[-1].s1 - lots[0].s0
        if 26 <= wide <= 60:
            entrance = float(rng.uniform(lots[0].s0 + 5, lots[-1].s1 - 5))
            kind = str(rng.choice(["", "hedge", "bars", "rails"]))
            lot = Lot(
                lots[0].s0, lots[-1].s1, "carpark", 0, 0, 0, entrance, (entrance, 6.0), kind, int(rng.integers(1 << 30))
            )
            front.lots[start : start + count] = [lot]
            return
