"""Build a static world from a seed: street plan, ground, lanes, everything beside the road, and the map.

    world = build_world(7, style="suburb")
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout import areas
from perception_nodes.simulator.layout import blocks as land
from perception_nodes.simulator.layout.crossings import PlanCrossing, make_crossing, place_crossings
from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.lanes import LaneGraph
from perception_nodes.simulator.layout.parking import kerbside_spots
from perception_nodes.simulator.layout.plan import Block, Plan, make_plan
from perception_nodes.simulator.layout.roads import build_roads
from perception_nodes.simulator.layout.soup import TERRAIN, Soup
from perception_nodes.simulator.layout.styles import MIX, STYLES
from perception_nodes.simulator.layout.warp import Warp, random_warp
from perception_nodes.simulator.props.placement import place_props
from perception_nodes.simulator.scene import Crossing, ParkingSpot, Surface, World

Array = NDArray[np.float64]


@dataclass
class Draft:
    """A world under construction; the builders of layout/ and props/ read it and add to its soups."""

    seed: int
    rng: np.random.Generator
    plan: Plan
    warp: Warp
    ground_soup: Soup = field(default_factory=Soup)
    prop_soup: Soup = field(default_factory=Soup)
    crossings: list[PlanCrossing] = field(default_factory=list)
    edges: dict[int, land.Edge] = field(default_factory=dict)  # block id -> rim; -1: the land outside
    rims: dict[int, land.Rim] = field(default_factory=dict)
    lands: dict[int, land.Land] = field(default_factory=dict)
    outside: land.Outside | None = None
    ground: GroundHeight | None = None
    parking: list[ParkingSpot] = field(default_factory=list)
    carparks: list[Array] = field(default_factory=list)  # polygons [P, 2] in the map
    keep_clear: list[tuple[int, int, float, float]] = field(default_factory=list)  # entrances: road, side, t, half
    lamps: list[tuple[float, float, float]] = field(default_factory=list)
    works: list[tuple[float, float, float, float]] = field(default_factory=list)


def build_world(seed: int, style: str = "mixed") -> World:
    """The static world of a seed. `style` is a name of `STYLES` or "mixed", which draws one.

    Raises ValueError for an unknown style.
    """
    if style != "mixed" and style not in STYLES:
        raise ValueError(f"no world style {style!r}; known: mixed, {', '.join(STYLES)}")
    rng = np.random.default_rng([seed, 20])
    if style == "mixed":
        shares = np.array([share for _, share in MIX])
        style = MIX[int(rng.choice(len(MIX), p=shares / shares.sum()))][0]
    kind = STYLES[style]
    plan = make_plan(rng, kind)
    warp = random_warp(rng, float(rng.uniform(*kind.bend)), float(rng.uniform(*kind.hills)))
    draft = Draft(seed, rng, plan, warp)
    draft.crossings = place_crossings(rng, plan)
    build_ground(draft)
    ground_mesh = draft.ground_soup.mesh()
    ground = GroundHeight(ground_mesh.vertices, ground_mesh.triangles)
    graph = LaneGraph(plan, warp, ground)
    draft.ground = ground
    draft.prop_soup.parts.append(ground_mesh)
    place_props(draft)
    crossings = tuple(make_crossing(c, graph, warp, ground) for c in draft.crossings)
    mesh = draft.prop_soup.mesh()
    low, high = mesh.vertices[:, :2].min(0), mesh.vertices[:, :2].max(0)
    return World(
        seed=seed,
        mesh=mesh,
        lanes=graph.lanes,
        crossings=crossings,
        walkways=tuple(walk_lines(draft)),
        parking=tuple(draft.parking + kerbside_spots(rng, plan, warp, ground, draft.crossings, draft.keep_clear)),
        lamps=np.array(draft.lamps, np.float32).reshape(-1, 3),
        map_polygons=map_polygons(draft, crossings),
        map_lines={
            "divider": tuple(areas.divider_lines(plan, warp)),
            "stop_line": tuple(areas.stop_lines(graph)),
        },
        works=tuple(draft.works),
        extent=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        ground=ground,
    )


def build_ground(draft: Draft) -> None:
    """Carriageways, blocks and the land around."""
    rng, plan, warp, soup = draft.rng, draft.plan, draft.warp, draft.ground_soup
    strips = {(r.id, s) for r in plan.roads for s in (-1, 1) if rng.random() < 0.5}
    build_roads(soup, plan, warp, strips)
    for block in plan.blocks:
        build_block(draft, block)
    edge = land.draw_edge(rng, plan)
    rim = land.make_rim(plan.outer_box, [plan.outer_radius] * 4, [], out=-1)
    start, level = land.build_rim(soup, warp, edge, rim)
    outside = land.Outside(rim, start, level, float(rng.uniform(5, 30)), float(rng.uniform(-1, 2.5)), 0.04)
    land.build_outside(soup, rng, plan, warp, edge, outside)
    draft.edges[-1], draft.rims[-1], draft.outside = edge, rim, outside


def build_block(draft: Draft, block: Block) -> None:
    """One block's rim and land."""
    edge = land.draw_edge(draft.rng, draft.plan)
    rim = land.make_rim(block.box, block.radii, [])
    end, level = land.build_rim(draft.ground_soup, draft.warp, edge, rim)
    inside = land.draw_land(draft.rng, draft.plan, block, end, level)
    land.build_land(draft.ground_soup, draft.warp, inside, Surface.GRASS, TERRAIN, edge.grass)
    draft.edges[block.id], draft.rims[block.id], draft.lands[block.id] = edge, rim, inside


def walk_lines(draft: Draft) -> list[Array]:
    """Closed polylines [P, 3] along the middle of every rim's walkway."""
    assert draft.ground is not None
    found = []
    for key, edge in draft.edges.items():
        if edge.walk.max() <= 0:
            continue
        ring = draft.rims[key].ring(land.KERB_STONE + edge.strip + np.maximum(edge.walk, 0.8) / 2)
        found.append(draft.ground.on(draft.warp.map_from_plan(np.concatenate([ring, ring[:1]]))))
    return found


def map_polygons(draft: Draft, crossings: tuple[Crossing, ...]) -> dict[str, tuple[Array, ...]]:
    """Areas of the map classes that are areas."""
    return {
        "drivable_area": tuple(areas.drivable_polygons(draft.plan, draft.warp)),
        "ped_crossing": tuple(areas.crossing_polygon(c) for c in crossings),
        "walkway": tuple(areas.walkway_polygons(draft.plan, draft.warp, draft.edges, draft.rims)),
        "carpark_area": tuple(draft.carparks),
    }
