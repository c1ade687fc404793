"""The ego vehicle's place in its lane tells nothing: it wanders inside the lane and changes lanes now and then."""

import numpy as np

from perception_nodes.simulator.ego import EGO_WIDTH, REAR_AXLE
from perception_nodes.simulator.scenarios import Scenario
from perception_nodes.simulator.traffic import Traffic
from tests.simulator.roads import WIDTH, straight_road

EMPTY = Scenario("empty", "an empty road", vehicles=0, people=0, parked=0.0, cyclists=0.0, heavy=0.0)


def sideways(lanes: int, seed: int, seconds: int) -> np.ndarray:
    """Map y of the middle of the ego's hull, float64 [10 * seconds], on a straight road along +-x."""
    traffic = Traffic(straight_road(lanes, 3000.0, speed=14.0), seed, EMPTY, foresight=False)
    found = []
    for _ in range(10 * seconds):
        m = traffic.snapshot().ego.map_from_base
        found.append(m[1, 3] - REAR_AXLE * m[1, 0])
        traffic.step(0.1)
    return np.array(found)


def test_the_offset_in_the_lane_varies_and_stays_in_the_lane():
    offsets = np.concatenate([np.abs(sideways(1, seed, 25)) - WIDTH / 2 for seed in range(6)])
    assert 0.1 < offsets.std() < 0.35
    assert np.abs(offsets).max() < (WIDTH - EGO_WIDTH) / 2
    assert len(np.unique(np.round(offsets, 2))) > 30


def test_the_offset_changes_slowly():
    y = sideways(1, 3, 25)
    assert np.abs(np.diff(y)).max() < 0.12  # m in a tenth of a second


def test_lanes_are_changed_now_and_then():
    changes = 0
    for seed in range(4):
        lane = np.floor(np.abs(sideways(3, seed, 40)) / WIDTH)
        changes += int((np.diff(lane) != 0).sum() > 0)
        assert lane.min() >= 0 and lane.max() <= 2
    assert changes >= 2
