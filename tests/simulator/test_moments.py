"""Moments between two snapshots: steady motion by hand reckoning."""

import numpy as np
import pytest

from perception_nodes.simulator.moments import between
from tests.simulator.scenes import car, ego_at, moment


def test_everybody_is_on_the_way_in_proportion_to_time():
    before = moment(1.0, ego_at(0.0, yaw=0.0, speed=10.0), car(3, 5.0, 0.0, 0.0), car(4, 9.0, 9.0))
    after = moment(1.1, ego_at(1.0, yaw=0.02, speed=12.0), car(3, 7.0, 1.0, 0.2, (20.0, 10.0)), car(4, 9.0, 9.0))
    middle = between(before, after, 1.025)
    assert middle.time == 1.025
    assert middle.ego.map_from_base[0, 3] == pytest.approx(0.25) and middle.ego.speed == pytest.approx(10.5)
    turn = middle.ego.map_from_base[:3, :3]
    assert np.arctan2(turn[1, 0], turn[0, 0]) == pytest.approx(0.005, abs=1e-6)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    moved, still = middle.actors
    assert moved.xyz == pytest.approx((5.5, 0.25, 0.0)) and moved.yaw == pytest.approx(0.05)
    assert moved.velocity == (20.0, 10.0) and still is after.actors[1]


def test_the_ends_are_the_snapshots_themselves():
    before, after = moment(0.0, None, car(3, 5.0, 0.0)), moment(0.05, None, car(3, 6.0, 0.0))
    assert between(before, after, 0.05) is after
    assert between(before, after, 0.0).actors[0].xyz == pytest.approx((5.0, 0.0, 0.0))


def test_newcomers_are_taken_back_by_their_velocity_and_those_gone_stay_away():
    before = moment(0.0, None, car(2, 50.0, 0.0), car(8, -3.0, 0.0))
    after = moment(0.1, None, car(2, 4.0, 0.0, 0.0, (10.0, 0.0)), car(5, 20.0, 1.0, 0.0, (0.0, -10.0)))
    jumped, new = between(before, after, 0.08).actors
    assert jumped.xyz == pytest.approx((3.8, 0.0, 0.0)), "46 m in a tenth of a second is another car, not a motion"
    assert new.xyz == pytest.approx((20.0, 1.2, 0.0))


def test_a_moment_outside_is_refused():
    before, after = moment(0.0), moment(0.05)
    with pytest.raises(ValueError, match="expected one from 0.000000 to 0.050000 s"):
        between(before, after, 0.06)
