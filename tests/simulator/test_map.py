"""Promises of the map: masks agree with lanes, crossings and walkways, in the vehicle's frame."""

import numpy as np
import pytest

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.simulator.map import masks_around, occupancy
from perception_nodes.simulator.scene import Mesh, Surface, World
from perception_nodes.simulator.world import build_world

NAMES = [info.name for info in MAP_CLASSES]


@pytest.fixture(scope="module")
def world():
    return build_world(2, "suburb")


def empty_world(**areas) -> World:
    mesh = Mesh.build([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)], Surface.GRASS)
    lines = {"divider": (np.array([(-10.0, 0.0), (10.0, 0.0)]),)}
    return World(0, mesh, {}, (), (), (), np.zeros((0, 3), np.float32), areas, lines, (-50, -50, 50, 50))


def test_an_area_ahead_and_left_lands_in_the_right_cells():
    square = np.array([(4.0, 1.0), (8.0, 1.0), (8.0, 3.0), (4.0, 3.0)])
    masks = masks_around(empty_world(drivable_area=(square,)), 0, 0, 0, (20, 10), 0.5)
    rows, columns = np.nonzero(masks[NAMES.index("drivable_area")])
    assert masks.shape == (6, 20, 40)
    assert (columns.min() * 0.5 - 10, (columns.max() + 1) * 0.5 - 10) == pytest.approx((4, 8), abs=0.51)
    assert (rows.min() * 0.5 - 5, (rows.max() + 1) * 0.5 - 5) == pytest.approx((1, 3), abs=0.51)
    turned = masks_around(empty_world(drivable_area=(square,)), 0, 0, np.pi / 2, (20, 20), 0.5)
    rows, columns = np.nonzero(turned[0])
    assert rows.mean() * 0.5 - 10 == pytest.approx(-6, abs=0.6)  # what lay ahead now lies right
    assert columns.mean() * 0.5 - 10 == pytest.approx(2, abs=0.6)


def test_lines_have_the_width_of_the_nuscenes_devkits_at_any_resolution():
    masks = masks_around(empty_world(), 0, 0, 0, (10, 10), 0.1)
    coarse = masks_around(empty_world(), 0, 0, 0, (10, 10), 0.5)
    for mask in (masks, coarse):
        assert 2 <= mask[NAMES.index("divider")].sum(0).max() <= 3


def test_lane_centres_are_drivable(world):
    hits = total = 0
    for lane in list(world.lanes.values())[::7]:
        x, y = lane.centre[len(lane.centre) // 2, :2]
        mask = masks_around(world, x, y, 0.0, (8, 8), 0.25)[NAMES.index("drivable_area")]
        hits += mask[14:18, 14:18].all()
        total += 1
    assert hits == total


def test_crossings_and_walkways_are_where_they_say(world):
    x, y = world.map_polygons["ped_crossing"][0].mean(0)
    masks = masks_around(world, x, y, 0.0, (60, 60), 0.25)
    assert masks[NAMES.index("ped_crossing"), 119:121, 119:121].all()
    assert masks[NAMES.index("walkway")].any()
    assert not (masks[NAMES.index("walkway")] & masks[NAMES.index("drivable_area")]).mean() > 0.01


def test_occupancy_is_0_or_100():
    assert occupancy(np.array([[True, False]])).tolist() == [100, 0]


def test_a_map_without_cells_is_refused(world):
    with pytest.raises(ValueError, match="has no cells"):
        masks_around(world, 0, 0, 0, (0.1, 10), 0.5)
