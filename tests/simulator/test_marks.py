"""Promises of the road marks: what the map calls a stop line, a crossing or a divider is painted, and the reverse.

Paint is read from the mesh: triangles of road paint that lie on the carriageway (point class road).
"""

import cv2
import numpy as np
import pytest

from perception_nodes.classes import MAP_CLASSES, point_class
from perception_nodes.simulator.map import masks_around
from perception_nodes.simulator.map_masks import rasterise
from perception_nodes.simulator.scene import Surface
from perception_nodes.simulator.world import build_world

CELL = 0.15  # m of the fine rasters here
NEAR = 0.3  # m


class Raster:
    """Paint and labels of a world on a grid of `CELL`."""

    def __init__(self, world):
        self.world = world
        lanes = np.concatenate([lane.centre[:, :2] for lane in world.lanes.values()])
        self.low = lanes.min(0) - 20.0
        self.shape = tuple(int(n) for n in (lanes.max(0) + 20.0 - self.low)[::-1] / CELL + 2)
        mesh = world.mesh
        painted = (mesh.surface == Surface.LANE_PAINT) & (mesh.label == point_class("road"))
        self.paint = self.polygons(mesh.vertices[mesh.triangles[painted]][:, :, :2])

    def cells(self, points):
        return np.round(((np.asarray(points, float)[..., :2] - self.low) / CELL - 0.5) * 64).astype(np.int32)

    def polygons(self, outlines):
        canvas = np.zeros(self.shape, np.uint8)
        for outline in outlines:
            cv2.fillPoly(canvas, [self.cells(outline)], 1, shift=6)
        return canvas.astype(bool)

    def lines(self, lines, width=1):
        canvas = np.zeros(self.shape, np.uint8)
        for line in lines:
            cv2.polylines(canvas, [self.cells(line)], False, 1, width, shift=6)
        return canvas.astype(bool)

    def near(self, mask, metres=NEAR):
        """Cells within so many metres of a mask."""
        return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) * CELL <= metres + CELL / 2


@pytest.fixture(scope="module", params=["arterial", "city", "rural"])
def raster(request):
    return Raster(build_world(9, request.param))


def sampled(line, spacing=0.25):
    arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line[:, :2], axis=0).T))])
    s = np.arange(0, arc[-1], spacing)
    return np.column_stack([np.interp(s, arc, line[:, i]) for i in range(2)])


def outer_edges(world):
    """Where edge lines may lie: the outer border of the outermost lanes."""
    found = []
    for lane in world.lanes.values():
        outer = lane.left if world.left_hand else lane.right
        if not lane.junction and outer is None:
            d = np.gradient(lane.centre[:, :2], axis=0)
            side = np.column_stack([-d[:, 1], d[:, 0]]) / np.linalg.norm(d, axis=1)[:, None]
            found.append(lane.centre[:, :2] + (1 if world.left_hand else -1) * side * lane.width / 2)
    return found


def test_stop_lines_lie_on_painted_bars_and_painted_bars_are_stop_lines(raster):
    world = raster.world
    stops = raster.polygons(world.map_polygons["stop_line"])
    assert stops.any() and "stop_line" not in world.map_lines
    assert (raster.near(raster.paint) & stops).sum() >= 0.95 * stops.sum()
    other = raster.lines(world.map_lines["divider"]) | raster.lines(outer_edges(world))
    rest = raster.paint & ~raster.near(other, 0.5) & ~raster.near(raster.polygons(world.map_polygons["ped_crossing"]))
    assert rest.any()
    assert (rest & raster.near(stops)).sum() >= 0.95 * rest.sum()


def test_a_driver_meets_the_stop_line_first_and_then_the_crossing(raster):
    """Along every lane: a stop line lies at most 2 m before the crossing that follows it, and never behind it."""
    world = raster.world
    crossings = [np.asarray(p, np.float32) for p in world.map_polygons["ped_crossing"]]
    bars = [np.asarray(p, np.float32) for p in world.map_polygons["stop_line"]]
    bars_met = crossings_met = 0
    for lane in world.lanes.values():
        if lane.junction:
            continue
        line = sampled(lane.centre)
        box = (*(line.min(0) - 1), *(line.max(0) + 1))

        def met(outlines, line=line, box=box):
            close = [p for p in outlines if (p.max(0) > box[:2]).all() and (p.min(0) < box[2:]).all()]
            spans = []
            for p in close:
                inside = [
                    i for i, q in enumerate(line) if cv2.pointPolygonTest(p, (float(q[0]), float(q[1])), False) >= 0
                ]
                spans += [(inside[0] * 0.25, inside[-1] * 0.25)] if inside else []
            return sorted(spans)

        on_lane, walked = met(bars), met(crossings)
        for begin, end in on_lane:
            bars_met += 1
            ahead = [a - end for a, _ in walked if a > begin]
            to_junction = len(line) * 0.25 - end
            assert (ahead and min(ahead) < 2.0) or to_junction < 8.0
            assert not any(a <= begin <= b + 2.0 for a, b in walked), "a stop line behind its crossing"
        for begin, _ in walked:
            departs = begin < 4.0  # traffic that leaves the junction has passed its stop line already
            crossings_met += 1
            assert departs or any(0.0 < begin - end < 2.0 for _, end in on_lane)
        if lane.stop_at is not None:
            assert any(abs(lane.stop_at - begin) < 0.5 for begin, _ in on_lane)
    assert bars_met > 0 and (crossings_met > 0 or not crossings)


def test_labelled_dividers_are_painted_and_painted_lines_between_lanes_are_labelled(raster):
    world = raster.world
    near = raster.near(raster.paint)
    total = bare = 0
    for line in world.map_lines["divider"]:
        points = sampled(line)
        c = (raster.cells(points) + 32) // 64
        seen = np.flatnonzero(near[c[:, 1], c[:, 0]])
        total += len(points)
        if not len(seen):
            bare += len(points)
            continue
        holes = np.diff(np.concatenate([[-1], seen, [len(points)]])) - 1
        bare += int(holes[holes > 6.0 / 0.25].sum())  # a gap between dashes is at most 6 m
        bare += int(holes[0] + holes[-1])  # a divider begins and ends with paint
    assert total > 0 and bare < 0.02 * total
    areas = [*world.map_polygons["ped_crossing"], *world.map_polygons["stop_line"]]
    lines = raster.paint & ~raster.near(raster.polygons(areas)) & ~raster.near(raster.lines(outer_edges(world)), 0.4)
    assert (lines & ~raster.near(raster.lines(world.map_lines["divider"]))).sum() < 0.02 * lines.sum()


def test_every_labelled_crossing_is_painted_from_kerb_to_kerb():
    unpainted = labelled = walked = 0
    for seed in (1, 2, 3):
        raster = Raster(build_world(seed, "city"))
        walked += len(raster.world.crossings)
        for outline in raster.world.map_polygons["ped_crossing"]:
            labelled += 1
            area = raster.polygons([outline])
            unpainted += (area & raster.paint).sum() < 0.06 * area.sum()  # two lines cover a tenth, a zebra half
    assert unpainted == 0
    assert 0.5 * walked < labelled < walked, "people also cross where nothing is painted"


def test_dividers_are_two_cells_wide_like_the_devkits(raster):
    """nuScenes' devkit draws a line with `cv2.polylines(..., thickness=2)`, from whole cell to whole cell."""
    masks = rasterise(raster.world)
    ours = masks.masks["divider"]
    theirs = np.zeros(ours.shape, np.uint8)
    for line in raster.world.map_lines["divider"]:
        cells = np.round((line - masks.origin) / masks.resolution - 0.5).astype(np.int32)
        cv2.polylines(theirs, [cells], False, 1, 2)
    assert abs(ours.sum() / theirs.sum() - 1) < 0.2
    assert (ours & theirs.astype(bool)).sum() > 0.8 * ours.sum()
    x, y = raster.world.map_lines["divider"][0].mean(0)
    index = [c.name for c in MAP_CLASSES].index("divider")
    around = masks_around(raster.world, x, y, 0.3)[index].sum()
    c, r = ((np.array([x, y]) - masks.origin) / masks.resolution).astype(int)
    assert around == pytest.approx(ours[r - 100 : r + 100, c - 100 : c + 100].sum(), rel=0.25)
