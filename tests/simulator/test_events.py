"""Driving events found in streams of true positions whose answer is known."""

import math

import numpy as np
import pytest

from perception_nodes.classes import EVENTS
from perception_nodes.simulator.events import HALF_WINDOW, EventFinder, Moment, Other

TICK = 0.1


def find(moments: list[Moment]) -> EventFinder:
    finder = EventFinder()
    for moment in moments:
        finder.add(moment)
    return finder


def stream(seconds: float, other=None, acceleration=lambda t: 0.0, heading=lambda t: 0.0) -> EventFinder:
    """`other(t)` is an Other or None; the ego drives as the functions of time say."""
    moments = []
    for k in range(round(seconds / TICK) + 1):
        t = round(k * TICK, 6)
        others = {} if other is None or other(t) is None else {7: other(t)}
        moments.append(Moment(t, heading(t), 10.0, acceleration(t), others))
    return find(moments)


def spans_of(finder: EventFinder, name: str) -> list[tuple[float, float]]:
    return [(s.start, s.end) for s in finder.spans() if s.name == name]


def names(finder: EventFinder) -> set[str]:
    return {s.name for s in finder.spans()}


def test_a_quiet_drive_has_no_events():
    finder = stream(10.0, other=lambda t: Other(20.0, 0.0, 0.0, 10.0, 0.0, False))
    assert finder.spans() == [] and finder.at(5.0) == ()


def test_braking_lasts_as_long_as_the_deceleration():
    finder = stream(10.0, acceleration=lambda t: -3.0 if 4.0 <= t <= 6.0 else 0.0)
    [(start, end)] = spans_of(finder, "ego_braking")
    assert start == pytest.approx(4.0, abs=0.25) and end == pytest.approx(6.0, abs=0.25)
    assert finder.at(5.0) == ("ego_braking",) and finder.at(8.0) == ()


def test_gentle_slowing_is_not_braking():
    assert names(stream(10.0, acceleration=lambda t: -0.8)) == set()


@pytest.mark.parametrize("sign, name", [(1, "ego_turning_left"), (-1, "ego_turning_right")])
def test_turning_is_centred_on_the_turn(sign, name):
    finder = stream(12.0, heading=lambda t: sign * math.pi / 2 * float(np.clip((t - 4.0) / 3.0, 0, 1)))
    [(start, end)] = spans_of(finder, name)
    assert (start + end) / 2 == pytest.approx(5.5, abs=0.11)
    assert names(finder) == {name}


def test_turning_across_the_cut_of_the_angle_is_no_surprise():
    finder = stream(10.0, heading=lambda t: math.remainder(3.1 + 0.02 * t, 2 * math.pi))
    assert names(finder) == set()


def test_the_leaders_braking_counts_and_that_of_others_does_not():
    def lead(w, u=20.0):
        return lambda t: Other(u, w, 0.0, 8.0, -4.0 if 4 < t < 5.5 else 0.0, False)

    assert names(stream(9.0, lead(0.2))) == {"lead_vehicle_braking"}
    assert names(stream(9.0, lead(3.5))) == set()
    assert names(stream(9.0, lead(0.0, u=-15.0))) == set()


@pytest.mark.parametrize("side, name", [(1, "cut_in_from_left"), (-1, "cut_in_from_right")])
def test_cut_in_is_centred_on_the_arrival(side, name):
    finder = stream(
        12.0, lambda t: Other(15.0, side * 3.5 * float(np.clip(1 - (t - 3.0) / 3.0, 0, 1)), 0.0, 10.0, 0.0, False)
    )
    [(start, end)] = spans_of(finder, name)
    arrival = 3.0 + 3.0 * (1 - 0.5 / 3.5)
    assert (start + end) / 2 == pytest.approx(arrival, abs=0.11)
    assert end - start == pytest.approx(2 * HALF_WINDOW)
    assert names(finder) == {name}


@pytest.mark.parametrize("side", [1, -1])
def test_cut_out_goes_to_either_side(side):
    finder = stream(
        12.0, lambda t: Other(15.0, side * 3.5 * float(np.clip((t - 3.0) / 3.0, 0, 1)), 0.0, 10.0, 0.0, False)
    )
    [(start, end)] = spans_of(finder, "cut_out")
    assert (start + end) / 2 == pytest.approx(3.0 + 3.0 / 3.5, abs=0.11)
    assert names(finder) == {"cut_out"}


def test_a_leader_that_turns_off_does_not_cut_out():
    def turning(t):
        share = float(np.clip((t - 3.0) / 3.0, 0, 1))
        return Other(15.0, 4.0 * share**2, 1.2 * share, 6.0, 0.0, False)

    assert "cut_out" not in names(stream(9.0, turning))


@pytest.mark.parametrize("sign, name", [(-1, "left_to_right"), (1, "right_to_left")])
def test_crossing_people_mirror_each_other(sign, name):
    finder = stream(10.0, lambda t: Other(12.0, sign * 1.3 * (t - 5.0), sign * math.pi / 2, 1.3, 0.0, True))
    [(start, end)] = spans_of(finder, f"person_crossing_{name}")
    assert (start + end) / 2 == pytest.approx(5.0, abs=0.11)
    assert names(finder) == {f"person_crossing_{name}"}


def test_people_on_the_walkway_do_not_cross():
    assert names(stream(10.0, lambda t: Other(30.0 - 3 * t, 4.0, 0.0, 1.3, 0.0, True))) == set()


def test_oncoming_and_overtaking_are_the_same_moment_in_two_directions():
    oncoming = stream(10.0, lambda t: Other(8.0 * (5.0 - t), 3.4, math.pi, 8.0, 0.0, False))
    overtaking = stream(10.0, lambda t: Other(-4.0 * (5.0 - t), 3.4, 0.0, 14.0, 0.0, False))
    assert names(oncoming) == {"oncoming_vehicle_passing"} and names(overtaking) == {"being_overtaken"}
    a, b = spans_of(oncoming, "oncoming_vehicle_passing")[0], spans_of(overtaking, "being_overtaken")[0]
    assert a == pytest.approx(b, abs=0.11)


def test_overtaking_somebody_else_is_no_event():
    assert names(stream(10.0, lambda t: Other(4.0 * (5.0 - t), -3.4, 0.0, 5.0, 0.0, False))) == set()


def test_memory_is_bounded_and_names_are_known():
    finder = stream(120.0, lambda t: Other(40.0 - (10 * t) % 80.0, 3.4, math.pi, 8.0, 0.0, False))
    assert 0 < len(finder.spans()) < 12
    assert names(finder) <= set(EVENTS)
