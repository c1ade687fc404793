"""Build a static world from a seed: street plan, ground, lanes, everything beside the road, and the map.

world = build_world(7, style="suburb")
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.draft import Draft
from perception_nodes.simulator.layout import areas
from perception_nodes.simulator.layout import blocks as land
from perception_nodes.simulator.layout.crossings import make_crossing, place_crossings
from perception_nodes.simulator.layout.frontage import frontages, plan_lots
from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.lanes import LaneGraph
from perception_nodes.simulator.layout.marks import place_marks
from perception_nodes.simulator.layout.parking import kerbside_spots
from perception_nodes.simulator.layout.plan import Block, make_plan
from perception_nodes.simulator.layout.roads import build_islands, build_roads
from perception_nodes.simulator.layout.styles import MIX, STYLES, grown
from perception_nodes.simulator.layout.surfaces import paint_roads, pave_lot
from perception_nodes.simulator.layout.warp import random_warp
from perception_nodes.simulator.layout.works import place_works, site_pose
from perception_nodes.simulator.mirror import mirrored
from perception_nodes.simulator.props.placement import place_props
from perception_nodes.simulator.scene import Crossing, Surface, World

Array = NDArray[np.float64]
LEFT_HAND = 0.3  # share of worlds whose traffic keeps to the left


def build_world(seed: int, style: str = "mixed", left_hand: bool | None = None) -> World:
    """The static world of a seed. `style` is a name of `STYLES` or "mixed", which draws one; `left_hand` says on which
    side the traffic drives, None draws it (`LEFT_HAND`).

    Raises ValueError for an unknown style.
    """
    if style != "mixed" and style not in STYLES:
        raise ValueError(f"no world style {style!r}; known: mixed, {', '.join(STYLES)}")
    rng = np.random.default_rng([seed, 20])
    if style == "mixed":
        shares = np.array([share for _, share in MIX])
        style = MIX[int(rng.choice(len(MIX), p=shares / shares.sum()))][0]
    kind = grown(STYLES[style], rng)
    plan = make_plan(rng, kind)
    warp = random_warp(rng, float(rng.uniform(*kind.bend)), float(rng.uniform(*kind.hills)))
    draft = Draft(seed, rng, plan, warp)
    draft.crossings = place_crossings(rng, plan)
    draft.marks = place_marks(rng, plan, draft.crossings)
    sites = place_works(rng, plan, draft.crossings)
    draft.keep_clear += [(road, side, t, 13.0) for road, side, t, _ in sites]
    build_ground(draft)
    base_mesh = draft.ground_soup.mesh()
    lay_surfaces(draft, GroundHeight(base_mesh.vertices, base_mesh.triangles))
    ground_mesh = draft.ground_soup.mesh()
    ground = GroundHeight(ground_mesh.vertices, ground_mesh.triangles)
    graph = LaneGraph(plan, warp, ground, draft.marks.bars)
    draft.ground = ground
    draft.prop_soup.parts.append(ground_mesh)
    place_props(draft)
    crossings = tuple(make_crossing(c, graph, warp, ground) for c in draft.crossings)
    mesh = draft.prop_soup.mesh()
    low, high = mesh.vertices[:, :2].min(0), mesh.vertices[:, :2].max(0)
    world = World(
        seed=seed,
        mesh=mesh,
        lanes=graph.lanes,
        crossings=crossings,
        walkways=tuple(walk_lines(draft)),
        parking=tuple(draft.parking + kerbside_spots(rng, plan, warp, ground, draft.crossings, draft.keep_clear)),
        lamps=np.array(draft.lamps, np.float32).reshape(-1, 3),
        map_polygons=map_polygons(draft, crossings),
        map_lines={"divider": tuple(areas.divider_lines(draft.marks, warp))},
        works=tuple(site_pose(site, plan, warp, ground) for site in sites),
        extent=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        ground=ground,
    )
    return mirrored(world) if (drives_left(seed) if left_hand is None else left_hand) else world


def drives_left(seed: int) -> bool:
    """Whether the traffic of a seed's world keeps to the left unless told otherwise."""
    return bool(np.random.default_rng([seed, 21]).random() < LEFT_HAND)


def build_ground(draft: Draft) -> None:
    """Carriageways, blocks and the land around; lots are planned first, as entrances lower kerbs."""
    rng, plan, warp, soup = draft.rng, draft.plan, draft.warp, draft.ground_soup
    strips = {(r.id, s) for r in plan.roads for s in (-1, 1) if rng.random() < 0.5}
    build_roads(soup, plan, warp, strips)
    build_islands(soup, rng, plan, warp, draft.crossings)
    draft.edges = {block.id: land.draw_edge(rng, plan) for block in plan.blocks}
    draft.edges[-1] = land.draw_edge(rng, plan)
    draft.fronts = frontages(plan, draft.edges)
    parks = {block.id for block in plan.blocks if rng.random() < plan.style.park_block}
    for front in draft.fronts:
        plan_lots(rng, plan.style, front)
        if front.key in parks:
            for lot in front.lots:
                lot.use, lot.driveway = "green", None
    lower_kerbs(draft)
    for block in plan.blocks:
        build_block(draft, block)
    edge = draft.edges[-1]
    extra = [(side, place + k * half) for side, place, half, _ in edge.lowered for k in (-1, 1)]
    rim = land.make_rim(plan.outer_box, [plan.outer_radius] * 4, extra, out=-1)
    start, level = land.build_rim(soup, warp, edge, rim)
    outside = land.Outside(rim, start, level, float(rng.uniform(5, 30)), float(rng.uniform(-1, 2.5)), 0.04)
    land.build_outside(soup, rng, plan, warp, edge, outside)
    draft.rims[-1], draft.outside = rim, outside


def lower_kerbs(draft: Draft) -> None:
    """Lower kerbs at driveways and crossings, and keep parking strips clear of driveways."""
    plan = draft.plan
    for front in draft.fronts:
        road, edge = plan.roads[front.road], draft.edges[front.key]
        for lot in front.lots:
            if lot.driveway is None:
                continue
            s, width = lot.driveway
            edge.lowered.append((front.side, front.rim_place(s), width / 2 + 0.2, True))
            t = float((front.corner + s * front.along - road.start) @ road.heading)
            draft.keep_clear.append((road.id, front.road_side, t, width / 2))
        for crossing in draft.crossings:
            if crossing.road is road:
                s = float((road.at(crossing.t, 0.0) - front.corner) @ front.along)
                if 0 < s < front.length:
                    edge.lowered.append((front.side, front.rim_place(s), crossing.width / 2, True))


def build_block(draft: Draft, block: Block) -> None:
    """One block's rim and land."""
    edge = draft.edges[block.id]
    extra = [(side, place + k * half) for side, place, half, _ in edge.lowered for k in (-1, 1)]
    rim = land.make_rim(block.box, block.radii, extra)
    end, level = land.build_rim(draft.ground_soup, draft.warp, edge, rim)
    flat = any(lot.use == "carpark" for f in draft.fronts if f.key == block.id for lot in f.lots)
    inside = land.draw_land(draft.rng, draft.plan, block, end, level, flat or edge.back[0] != Surface.GRASS)
    land.build_land(draft.ground_soup, draft.warp, inside, *edge.back)
    draft.rims[block.id], draft.lands[block.id] = rim, inside


def lay_surfaces(draft: Draft, base: GroundHeight) -> None:
    """Driveways, car parks and paint on the ground."""
    for front in draft.fronts:
        for lot in front.lots:
            spots, outlines = pave_lot(draft.ground_soup, draft.rng, draft.warp, base, front, lot)
            draft.parking += spots
            draft.carparks += outlines
    paint_roads(draft.ground_soup, draft.warp, base, draft.marks, draft.crossings)


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
    """Areas of the map classes that are areas. A crossing without paint is not a `ped_crossing`."""
    painted = [c for c, item in zip(crossings, draft.crossings) if item.style != "plain"]
    return {
        "drivable_area": tuple(areas.drivable_polygons(draft.plan, draft.warp)),
        "ped_crossing": tuple(areas.crossing_polygon(c) for c in painted),
        "walkway": tuple(areas.walkway_polygons(draft.plan, draft.warp, draft.edges, draft.rims)),
        "stop_line": tuple(areas.stop_polygons(draft.marks, draft.warp)),
        "carpark_area": tuple(draft.carparks),
    }
