"""Promises of left-hand traffic: who comes towards you passes on the right, and pictures, truth and events agree."""

import math

import numpy as np
import pytest

from perception_nodes.classes import point_class
from perception_nodes.simulator.mirror import mirrored, other_side
from perception_nodes.simulator.scenarios import SCENARIOS
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world, drives_left


@pytest.fixture(scope="module")
def left():
    return build_world(2, "city", left_hand=True)


def side_of(lane, x, y) -> float:
    """Metres left of a lane's nearest point."""
    i = int(np.argmin(np.hypot(lane.centre[:, 0] - x, lane.centre[:, 1] - y)))
    i = min(max(i, 1), len(lane.centre) - 1)
    d = lane.centre[i, :2] - lane.centre[i - 1, :2]
    return float(d[0] * (y - lane.centre[i, 1]) - d[1] * (x - lane.centre[i, 0])) / math.hypot(*d)


def test_a_share_of_the_worlds_drives_on_the_left():
    assert 0.2 < np.mean([drives_left(seed) for seed in range(400)]) < 0.4


@pytest.mark.parametrize("left_hand", [True, False])
def test_the_opposite_lane_lies_on_the_side_that_it_should(left_hand):
    world = build_world(2, "suburb", left_hand=left_hand)
    assert world.left_hand == left_hand
    sides = [
        side_of(lane, *world.lanes[lane.opposite].centre[len(world.lanes[lane.opposite].centre) // 2, :2])
        for lane in world.lanes.values()
        if lane.opposite is not None
    ]
    assert sides and all((side < 0) == left_hand for side in sides)


def test_mirrored_twice_is_the_same_world_and_the_ground_fits_the_mesh(left):
    right, again = build_world(2, "city", left_hand=False), mirrored(left)
    assert again.mesh.vertices.tobytes() == right.mesh.vertices.tobytes()
    assert again.mesh.triangles.tobytes() == right.mesh.triangles.tobytes()
    assert again.parking == right.parking and again.works == right.works and again.extent == right.extent
    assert all(again.lanes[i].centre.tobytes() == right.lanes[i].centre.tobytes() for i in right.lanes)
    assert all(again.lanes[i].left == right.lanes[i].left for i in right.lanes)
    mesh = left.mesh
    corners = mesh.vertices[mesh.triangles[mesh.label == point_class("road")]].astype(float)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normal[:, 2] > 0).mean() > 0.999, "roads face up"
    middle = corners.mean(1)
    gap = left.ground_height(middle[:, 0], middle[:, 1]) - middle[:, 2]
    assert np.quantile(np.abs(gap), 0.98) < 0.03


def test_vehicles_drive_on_the_lanes_of_the_world_that_they_are_shown_in(left):
    traffic = Traffic(left, 3, SCENARIOS["city_rush"], foresight=False)
    points = np.concatenate([lane.centre[:, :2] for lane in left.lanes.values()])
    yaws = np.concatenate(
        [np.arctan2(np.gradient(lane.centre[:, 1]), np.gradient(lane.centre[:, 0])) for lane in left.lanes.values()]
    )
    moving = close = 0
    for _ in range(4):
        traffic.step(1.0)
        moment = traffic.snapshot()
        for actor in moment.actors:
            speed = math.hypot(*actor.velocity)
            if actor.category not in ("car", "truck", "bus") or speed < 2.0:
                continue
            same_way = np.cos(yaws - actor.yaw) > 0.8
            moving += 1
            close += np.hypot(*(points[same_way] - actor.xyz[:2]).T).min() < 2.2
            assert math.cos(math.atan2(*actor.velocity[::-1]) - actor.yaw) > 0.8, "velocity along the heading"
        pose = moment.ego.map_from_base
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        assert abs(pose[2, 3] - float(left.ground_height(pose[0, 3], pose[1, 3]))) < 0.15
    assert moving > 10 and close > 0.9 * moving


def test_a_left_turn_is_a_turn_to_the_left(left):
    traffic = Traffic(left, 1, SCENARIOS["turn_left"])
    yaws, events = [], []
    for _ in range(200):
        m = traffic.snapshot().ego.map_from_base
        yaws.append(math.atan2(m[1, 0], m[0, 0]))
        events.append(traffic.snapshot().events)
        traffic.step(0.1)
    turning = [i for i, names in enumerate(events) if "ego_turning_left" in names and 10 < i < 190]
    assert turning
    assert all(math.remainder(yaws[i + 10] - yaws[i - 10], 2 * math.pi) > 0.3 for i in turning)
    assert {s.name for s in traffic.spans()} & {"ego_turning_left"}


def test_names_change_sides():
    assert other_side("cut_in_from_left") == "cut_in_from_right"
    assert other_side("person_crossing_left_to_right") == "person_crossing_right_to_left"
    assert other_side("straight") == "straight" and other_side("") == ""
