"""Thin surfaces laid on the ground: driveways, paths, car parks, and paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.frontage import Frontage, Lot
from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.marks import WHITE, Marks
from perception_nodes.simulator.layout.plan import PlanCrossing, Road
from perception_nodes.simulator.layout.soup import OTHER_GROUND, PARKING, ROAD, SIDEWALK, Soup
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import ParkingSpot, Surface

Array = NDArray[np.float64]
PAINT = 0.008  # m that paint lies over the carriageway
BAR_PIECES = 3  # quads of a stop line
YARD = 14.5  # m, length of a truck's place in a yard
PATCH = 0.03  # m that paving lies over the ground below


def patch(soup: Soup, warp: Warp, ground: GroundHeight, uv: Array, surface, label, rgb, above: float = PATCH) -> None:
    """A grid of plan points [R, C, 2] laid on the ground; columns to the left of the rows' direction."""
    points = ground.on(warp.map_from_plan(uv))
    points[..., 2] += above
    soup.grid(points, surface, label, rgb)


def lot_grid(front: Frontage, s0: float, s1: float, x0: float, x1: float, cell: float = 1.6) -> Array:
    """StreetPlan grid [R, C, 2] over a rectangle of a frontage."""
    s = np.linspace(s0, s1, max(2, int(np.ceil((s1 - s0) / cell)) + 1))
    x = np.linspace(x0, x1, max(2, int(np.ceil((x1 - x0) / cell)) + 1))
    return front.uv(*np.meshgrid(s, x, indexing="ij"))


def pave_lot(
    soup: Soup, rng: np.random.Generator, warp: Warp, ground: GroundHeight, front: Frontage, lot: Lot
) -> tuple[list[ParkingSpot], list[Array]]:
    """Driveway, path and yard of a lot, or its car park: (parking spots, car park polygons). SemanticKITTI labels
    private driveways as sidewalk."""
    tone = int(rng.integers(95, 175))
    rgb = (tone, tone - int(rng.integers(0, 14)), tone - int(rng.integers(0, 24)))
    if lot.use == "carpark":
        return pave_carpark(soup, warp, ground, front, lot, rgb)
    spots: list[ParkingSpot] = []
    if lot.driveway is not None:
        s, width = lot.driveway
        reach = lot.setback + (6.0 if lot.use == "house" else lot.depth)
        reach = min(max(reach, 6.5), front.depth - 0.5)
        surface = Surface.PAVING if rng.random() < 0.6 else (Surface.GRAVEL if rng.random() < 0.4 else Surface.ASPHALT)
        patch(soup, warp, ground, lot_grid(front, s - width / 2, s + width / 2, 0.0, reach), surface, SIDEWALK, rgb)
        if lot.use == "house":
            spots.append(spot(warp, ground, front, s, 3.0, front.inward * rng.choice([1, -1]), 4.9))
    if lot.use in ("house", "row") and lot.setback > 1.0:
        grid = lot_grid(front, lot.middle - 0.6, lot.middle + 0.6, 0.0, lot.setback)
        patch(soup, warp, ground, grid, Surface.PAVING, SIDEWALK, rgb)
    if lot.use == "hall" and lot.setback > 5 and rng.random() < 0.7:
        grid = lot_grid(front, lot.s0 + 1, lot.s1 - 1, 1.0, lot.setback, 2.2)
        patch(soup, warp, ground, grid, Surface.ASPHALT, OTHER_GROUND, rgb, PATCH + 0.015)
        spots += yard_spots(warp, ground, front, lot)
    elif lot.use == "block" and 0.8 < lot.setback and rng.random() < 0.6:
        grid = lot_grid(front, lot.s0, lot.s1, 0.0, lot.setback, 1.6)
        patch(soup, warp, ground, grid, Surface.PAVING, SIDEWALK, rgb, PATCH + 0.012)
    return spots, []


def yard_spots(warp: Warp, ground: GroundHeight, front: Frontage, lot: Lot) -> list[ParkingSpot]:
    """Places for trucks and trailers along a yard's building, clear of its driveway."""
    begin = lot.s0 + 1.5 if lot.driveway is None else lot.driveway[0] + lot.driveway[1] / 2 + 1.5
    middles = np.arange(begin + YARD / 2, lot.s1 - 1.5 - YARD / 2, YARD + 1.0)
    return [spot(warp, ground, front, float(s), lot.setback - 2.2, front.along, YARD, "yard") for s in middles]


def spot(warp: Warp, ground: GroundHeight, front: Frontage, s, x, heading, length, kind="carpark") -> ParkingSpot:
    """A parking spot on a lot."""
    uv = front.uv(s, x)
    xyz = ground.on(warp.map_from_plan(uv))
    yaw = float(warp.yaw(uv, np.asarray(heading, float)))
    return ParkingSpot((float(xyz[0]), float(xyz[1]), float(xyz[2]) + PATCH), yaw, length, kind)


def pave_carpark(soup: Soup, warp: Warp, ground: GroundHeight, front: Frontage, lot: Lot, rgb):
    """Two rows of bays along an aisle, bay lines and the entrance."""
    s0, s1 = lot.s0 + 1.0, lot.s1 - 1.0
    surface = Surface.ASPHALT if rgb[0] % 3 else Surface.PAVING
    patch(soup, warp, ground, lot_grid(front, s0, s1, 1.0, 18.4, 1.7), surface, PARKING, rgb)
    entrance, width = lot.driveway or (s0, 0.0)
    grid = lot_grid(front, entrance - width / 2, entrance + width / 2, 0.0, 1.0)
    patch(soup, warp, ground, grid, surface, PARKING, rgb)
    spots, lines = [], []
    count = int((s1 - s0) // 2.6)
    for k in range(count + 1):
        s = s0 + 0.3 + 2.6 * k
        for x, heading in ((4.0, -front.inward), (15.6, front.inward)):
            if x < 10 and abs(s + 1.3 - entrance) < width / 2 + 1.4:
                continue
            lines.append(lot_grid(front, s - 0.05, s + 0.05, x - 2.4, x + 2.4, 2.5))
            if k < count and s + 2.6 < s1:
                spots.append(spot(warp, ground, front, s + 1.3, x, heading, 4.9))
    points = ground.on(warp.map_from_plan(np.array(lines)))  # [lines, 2, C, 3]
    points[..., 2] += PATCH + PAINT
    corners = np.stack([points[:, 0, :-1], points[:, 1, :-1], points[:, 1, 1:], points[:, 0, 1:]], 2)
    soup.quads(corners, Surface.LANE_PAINT, PARKING, (215, 215, 210))
    rim = lot_grid(front, s0, s1, 1.0, 18.4, 3.0)
    outline = np.concatenate([rim[:, 0], rim[-1], rim[::-1, -1], rim[0, ::-1]])
    return spots, [warp.map_from_plan(outline)]


def bars(soup: Soup, warp: Warp, ground: GroundHeight, road: Road, t0, t1, o0, o1, rgb=WHITE) -> None:
    """Painted rectangles of class road on a carriageway; arrays of begins and ends along t and of offsets."""
    t0, t1, o0, o1 = np.broadcast_arrays(*(np.asarray(x, float) for x in (t0, t1, o0, o1)))
    if t0.size == 0:
        return
    t = np.stack([t0, t1, t1, t0], -1).reshape(-1, 4)
    o = np.stack([o0, o0, o1, o1], -1).reshape(-1, 4)
    points = ground.on(warp.map_from_plan(road.at(t, o)))
    points[..., 2] += PAINT
    soup.quads(points, Surface.LANE_PAINT, ROAD, rgb)


def paint_roads(soup: Soup, warp: Warp, ground: GroundHeight, marks: Marks, crossings: list[PlanCrossing]) -> None:
    """Centre lines, lane lines, edge lines, stop lines and crossings."""
    for line in marks.lines:
        for o in line.stripes:
            half = line.width / 2
            bars(soup, warp, ground, line.road, line.begins, line.ends, o - half, o + half, line.rgb)
    for bar in marks.bars:
        o = np.linspace(bar.o0, bar.o1, BAR_PIECES + 1)
        bars(soup, warp, ground, bar.road, np.full(BAR_PIECES, bar.t0), bar.t1, o[:-1], o[1:])
    for crossing in crossings:
        paint_crossing(soup, warp, ground, crossing)


def paint_crossing(soup: Soup, warp: Warp, ground: GroundHeight, c: PlanCrossing) -> None:
    """A zebra, two lines across the road, or nothing."""
    road = c.road
    if c.style == "zebra":
        o = np.arange(-road.half(-1) + 0.3, road.half(1) - 0.6, 1.0)
        for low, high in ((-c.width / 2, 0.0), (0.0, c.width / 2)):
            bars(soup, warp, ground, road, np.full(len(o), c.t + low), np.full(len(o), c.t + high), o, o + 0.5)
    elif c.style == "lines":
        o = np.linspace(-road.half(-1) + 0.2, road.half(1) - 0.2, 7)
        for edge in (-c.width / 2, c.width / 2):
            bars(soup, warp, ground, road, np.full(6, c.t + edge - 0.1), np.full(6, c.t + edge + 0.1), o[:-1], o[1:])
