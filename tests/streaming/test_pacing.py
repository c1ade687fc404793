"""Pacer: bag time against the wall."""

import pytest

from perception_nodes.streaming.pacing import Pacer

S = 1_000_000_000


@pytest.fixture
def wall():
    return [100.0]


def test_rate(wall):
    pacer = Pacer(2.0, now=lambda: wall[0])
    pacer.start(5 * S)
    assert pacer.wait_s(7 * S) == 1.0
    wall[0] += 0.5
    assert pacer.time_ns() == 6 * S and pacer.wait_s(7 * S) == 0.5
    wall[0] += 1.0
    assert pacer.wait_s(7 * S) == -0.5


def test_pause_stops_bag_time(wall):
    pacer = Pacer(1.0, now=lambda: wall[0])
    pacer.start(0)
    wall[0] += 1
    pacer.pause()
    wall[0] += 10
    assert pacer.time_ns() == S and pacer.wait_s(2 * S) == float("inf")
    pacer.resume()
    assert pacer.wait_s(2 * S) == 1.0


def test_a_step_lets_one_message_go(wall):
    pacer = Pacer(1.0, now=lambda: wall[0])
    pacer.pause()
    pacer.start(0)
    pacer.step()
    assert pacer.wait_s(3 * S) == 0.0 and pacer.time_ns() == 3 * S
    assert pacer.wait_s(4 * S) == float("inf")


def test_rate_zero_never_waits(wall):
    pacer = Pacer(0, now=lambda: wall[0])
    pacer.start(0)
    assert pacer.wait_s(10**12) == 0.0
