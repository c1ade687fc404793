"""Promises of the street plan and the lane graph: closed, continuous, free of deadlocks, clear of parked cars."""

import numpy as np
import pytest

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.styles import STYLES
from perception_nodes.simulator.layout.warp import random_warp
from perception_nodes.simulator.world import build_world


@pytest.fixture(scope="module", params=sorted(STYLES))
def world(request):
    return build_world(9, request.param)


def length(lane) -> float:
    return float(np.linalg.norm(np.diff(lane.centre, axis=0), axis=1).sum())


def test_every_lane_goes_on_and_joints_are_continuous(world):
    for lane in world.lanes.values():
        assert lane.successors
        for other in lane.successors:
            follower = world.lanes[other].centre
            assert np.linalg.norm(follower[0] - lane.centre[-1]) < 0.6
            ahead, start = lane.centre[-1] - lane.centre[-2], follower[1] - follower[0]
            cosine = ahead[:2] @ start[:2] / np.linalg.norm(ahead[:2]) / np.linalg.norm(start[:2])
            assert cosine > 0.95


def test_every_lane_can_be_reached_with_lane_changes(world):
    todo, seen = [next(iter(world.lanes))], set()
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            lane = world.lanes[number]
            todo += [*lane.successors, *(n for n in (lane.left, lane.right) if n is not None)]
    assert len(seen) == len(world.lanes)


def test_centre_lines_are_dense_and_lie_on_the_road(world):
    for lane in world.lanes.values():
        assert np.linalg.norm(np.diff(lane.centre, axis=0), axis=1).max() <= 2.0
        assert np.abs(world.ground_height(lane.centre[:, 0], lane.centre[:, 1]) - lane.centre[:, 2]).max() < 0.03


def test_neighbours_and_opposites_are_what_they_say(world):
    for lane in world.lanes.values():
        heading = lane.centre[-1, :2] - lane.centre[0, :2]
        for number, sign in ((lane.left, 1), (lane.right, -1)):
            if number is not None:
                other = world.lanes[number]
                back = other.right if sign > 0 else other.left
                assert back == lane.id
                away = other.centre[0, :2] - lane.centre[0, :2]
                assert sign * (heading[0] * away[1] - heading[1] * away[0]) > 0
        if lane.opposite is not None:
            other = world.lanes[lane.opposite].centre
            assert (other[-1, :2] - other[0, :2]) @ heading < 0


def test_turns_turn_the_way_they_say(world):
    for lane in world.lanes.values():
        first, last = lane.centre[1, :2] - lane.centre[0, :2], lane.centre[-1, :2] - lane.centre[-2, :2]
        angle = np.arctan2(first[0] * last[1] - first[1] * last[0], first @ last)
        if lane.turn == "left":
            assert angle > 0.6
        elif lane.turn == "right":
            assert angle < -0.6
        elif lane.junction:
            assert abs(angle) < 0.6


def test_rights_of_way_have_no_cycle(world):
    state = {}

    def visit(number: int) -> None:
        state[number] = 1
        for other in world.lanes[number].yields_to:
            assert state.get(other) != 1
            if other not in state:
                visit(other)
        state[number] = 2

    for number in world.lanes:
        if number not in state:
            visit(number)
    assert any(lane.yields_to for lane in world.lanes.values())


def test_drivers_stop_near_the_end_of_their_lane_before_the_crossing_if_there_is_one(world):
    stops = [lane for lane in world.lanes.values() if lane.stop_at is not None]
    assert stops
    for lane in stops:
        crossings = [c for c in world.crossings if length(lane) - 8 < c.lanes.get(lane.id, 0.0)]
        end = min((c.lanes[lane.id] - c.width / 2 for c in crossings), default=length(lane))
        assert 0 <= lane.stop_at < end and end - lane.stop_at < 2


def test_crossings_cut_the_lanes_that_they_name():
    crossings = [(w, c) for w in (build_world(s, "city") for s in (1, 2)) for c in w.crossings]
    assert crossings
    for world, crossing in crossings:
        assert crossing.lanes
        a, b = crossing.line[0, :2], crossing.line[1, :2]
        for number, arc in crossing.lanes.items():
            centre = world.lanes[number].centre
            along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centre, axis=0), axis=1))])
            point = np.array([np.interp(arc, along, centre[:, i]) for i in range(2)])
            share = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
            assert np.linalg.norm(a + share * (b - a) - point) < 1.0


def test_parking_spots_keep_off_the_lanes(world):
    centres = np.concatenate([lane.centre[:, :2] for lane in world.lanes.values()])
    for spot in world.parking:
        assert np.linalg.norm(centres - spot.xyz[:2], axis=1).min() > 1.9
        assert abs(float(world.ground_height(*spot.xyz[:2])) - spot.xyz[2]) < 0.08


def test_walkways_keep_off_the_lanes(world):
    centres = np.concatenate([lane.centre[:, :2] for lane in world.lanes.values()])
    for walk in world.walkways:
        assert min(np.linalg.norm(centres - p[:2], axis=1).min() for p in walk[::3]) > 1.2


def test_the_warp_inverts_exactly():
    rng = np.random.default_rng(3)
    for _ in range(5):
        warp = random_warp(rng, 0.4, 0.08)
        uv = rng.uniform(-300, 300, (500, 2))
        assert np.abs(warp.plan_from_map(warp.map_from_plan(uv)) - uv).max() < 1e-9


def test_ground_height_takes_the_highest_triangle_and_knows_the_outside():
    vertices = np.array([(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 1), (2, 0, 1), (0, 2, 1)], np.float32)
    ground = GroundHeight(vertices, np.array([(0, 1, 2), (3, 4, 5)], np.int32), cell=1.0)
    height = ground(np.array([0.5, 1.8, 30.0]), np.array([0.5, 1.8, 0.0]))
    assert height[0] == pytest.approx(1.0)
    assert height[1] == pytest.approx(0.0)
    assert height[2] == ground.outside
