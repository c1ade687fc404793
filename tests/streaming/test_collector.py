"""Views of many cameras into sets: complete, late, stale, future, missing; and the same again after a jump."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.streaming.clock import StampKind
from perception_nodes.streaming.collector import NO_VIEW, ViewCollector

MS = 1_000_000


def feed(collector, rows, now=None):
    """Puts (camera, ms) one by one; returns the sets as {camera: ms}."""
    sets = []
    for camera, ms in rows:
        done = collector.put(camera, ms * MS, f"{camera}@{ms}", None if now is None else now * MS)
        for one in done.sets:
            assert all(view.item == f"{name}@{view.stamp_ns // MS}" for name, view in one.views.items())
            sets.append({name: view.stamp_ns // MS for name, view in one.views.items()})
    return sets


def drive(cameras, count, start=0, shift=None, period=100):
    shift = shift or {}
    return [(c, start + i * period + shift.get(c, 0)) for i in range(count) for c in cameras]


def test_one_camera_is_a_set_at_once():
    assert feed(ViewCollector(["front"]), drive(["front"], 3)) == [{"front": 0}, {"front": 100}, {"front": 200}]


def test_a_set_is_closed_when_every_camera_has_come_in_the_cameras_order():
    collector = ViewCollector(["a", "b", "c"])
    assert feed(collector, [("c", 0), ("a", 0)]) == []
    assert [list(s) for s in feed(collector, [("b", 0)])] == [["a", "b", "c"]]
    assert collector.lacking() == {}


def test_triggers_may_be_shifted_within_a_period():
    shift = {"b": 30, "c": 80}
    sets = feed(ViewCollector(["a", "b", "c"]), drive("abc", 6, shift=shift))
    assert sets == [{"a": t, "b": t + 30, "c": t + 80} for t in range(0, 600, 100)]


def test_a_camera_may_be_a_message_ahead_of_another():
    rows = [("a", 0), ("a", 100), ("b", 0), ("b", 100), ("a", 200), ("a", 300), ("b", 200), ("b", 300)]
    assert feed(ViewCollector("ab"), rows) == [{"a": t, "b": t} for t in (0, 100, 200, 300)]


def test_a_lost_view_costs_itself_alone():
    rows = [r for r in drive("ab", 6) if r != ("b", 200)]
    sets = feed(ViewCollector("ab"), rows)
    assert sets == [{"a": 0, "b": 0}, {"a": 100, "b": 100}, {"a": 200}, *({"a": t, "b": t} for t in (300, 400, 500))]


def test_a_camera_that_never_comes_is_waited_for_three_sets_long():
    collector = ViewCollector(["a", "b"], absent_sets=3)
    assert feed(collector, drive("a", 6))[-1] == {"a": 500}
    assert collector.lacking() == {"b": NO_VIEW}
    assert feed(collector, [("a", 600)]) == [{"a": 600}]  # at once
    assert feed(collector, [("b", 700), ("a", 700)]) == [{"a": 700, "b": 700}]
    assert collector.lacking() == {}


def test_a_camera_that_comes_back_is_in_step_again():
    collector = ViewCollector("ab")
    feed(collector, drive("ab", 4))
    feed(collector, drive("a", 5, start=400))
    back = feed(collector, [("a", 900), ("b", 900), *drive("ab", 3, start=1000)])
    assert back[-2:] == [{"a": 1100, "b": 1100}, {"a": 1200, "b": 1200}]


def test_too_few_views_give_the_set_up():
    collector = ViewCollector("abc", min_cameras=2)
    given_up = sum(collector.put("a", i * 100 * MS, "").given_up for i in range(6))
    assert given_up >= 3


@pytest.mark.parametrize(("off", "words"), [(-800, "stale, 0.80 s old"), (900, "stamped 0.90 s in the future")])
def test_stale_and_future_views_are_masked_by_the_majority(off, words):
    collector = ViewCollector("abc")
    sets = feed(collector, drive("abc", 12, start=5000, shift={"c": off}))
    assert sets[-1].keys() == {"a", "b"} and len(sets) >= 10
    assert words in collector.lacking()["c"]


def test_of_two_the_first_named_is_believed():
    collector = ViewCollector(["a", "b"])
    assert all("b" not in s for s in feed(collector, drive("ab", 8, start=5000, shift={"b": 2000}))[1:])
    assert "in the future" in collector.lacking()["b"]


@pytest.mark.parametrize(("off", "words"), [(-1000, "stale"), (1000, "in the future")])
def test_the_clock_masks_by_absolute_age(off, words):
    collector = ViewCollector(["a"])
    done = collector.put("a", (5000 + off) * MS, "", now_ns=5000 * MS)
    assert words in done.masked and "this node's clock" in done.masked and done.sets == ()
    assert feed(collector, [("a", 5000)], now=5000) == [{"a": 5000}]  # and has no say about what comes after


def test_a_late_view_is_masked():
    collector = ViewCollector("abc")
    feed(collector, drive("abc", 4))
    rows = [("a", 400), ("b", 400), ("a", 500), ("b", 500), ("a", 600), ("b", 600), ("a", 700), ("b", 700)]
    feed(collector, rows)
    assert collector.put("c", 400 * MS, "").masked.startswith(("late", "stale"))


def test_a_jump_back_of_one_camera_starts_all_anew_once():
    cameras = ["a", "b"]
    collector = ViewCollector(cameras)
    once = feed(collector, drive(cameras, 12))
    for _ in range(2):
        assert feed(collector, drive(cameras, 12)) == once


def test_generations_tell_what_was_kept_of_another_time():
    collector = ViewCollector("ab")
    rows = [*drive("ab", 5), *drive("ab", 5), *drive("ab", 2, start=2000)]
    found = [s for c, ms in rows for s in collector.put(c, ms * MS, "").sets]
    assert [tuple(v.generation for v in s.views.values()) for s in found[:5]] == [(0, 0)] * 5
    assert [tuple(v.generation for v in s.views.values()) for s in found[5:10]] == [(1, 1)] * 5
    assert found[-1].views["a"].generation == 2


def test_duplicates_are_no_views():
    collector = ViewCollector(["a"])
    collector.put("a", 5, "")
    again = collector.put("a", 5, "")
    assert again.verdict.kind is StampKind.DUPLICATE and again.sets == ()


@pytest.mark.parametrize(
    ("cameras", "least", "words"), [([], 1, "none"), (["a", "a"], 1, "once"), (["a"], 2, "1 to 1")]
)
def test_impossible_collections_are_refused(cameras, least, words):
    with pytest.raises(ValueError, match=words):
        ViewCollector(cameras, min_cameras=least)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_whatever_comes_no_view_is_used_twice_and_no_set_goes_back_in_time(data):
    """Random losses and small reorderings between cameras."""
    cameras = "abc"[: data.draw(st.integers(1, 3))]
    rows = [r for r in drive(cameras, 20) if data.draw(st.integers(0, 9)) > 0]
    for i in data.draw(st.lists(st.integers(0, max(0, len(rows) - 2)), max_size=8)):
        if i + 1 < len(rows) and rows[i][0] != rows[i + 1][0]:
            rows[i], rows[i + 1] = rows[i + 1], rows[i]
    collector = ViewCollector(cameras)
    sets = feed(collector, rows)
    used = [(name, ms) for s in sets for name, ms in s.items()]
    assert len(used) == len(set(used)) and set(used) <= set(rows)
    for name in cameras:
        mine = [ms for n, ms in used if n == name]
        assert mine == sorted(mine)
    # Lost views make a camera's period look longer, and with it the time that a set may span (max_age_s at most).
    spread = 90 if len(rows) == 20 * len(cameras) else 250
    assert all(max(s.values()) - min(s.values()) <= spread for s in sets[4:])


def test_the_last_views_before_a_jump_are_not_lost_whatever_the_order_of_topics():
    """One camera's jump may be seen before the other's last views of the old time."""
    rows = [*drive("ab", 10), ("b", 0), ("a", 1000), ("b", 100), ("a", 0), ("b", 200), ("a", 100), ("a", 200)]
    rows = [r for r in rows if r != ("a", 900)]
    collector = ViewCollector("ab")
    sets = feed(collector, rows)
    assert sorted((n, ms) for s in sets for n, ms in s.items()) == sorted(rows)
    assert sets[-3:] == [{"a": t, "b": t} for t in (0, 100, 200)] and {"a": 1000} in sets


def test_a_camera_whose_own_clock_restarts_does_not_stop_the_others():
    collector = ViewCollector("abc")
    feed(collector, drive("abc", 10, start=50_000))
    rows = [(c, ms if c != "c" else ms - 50_000) for c, ms in drive("abc", 30, start=51_000)]
    sets = feed(collector, rows)
    assert {ms for s in sets for n, ms in s.items() if n == "a"} >= {51_000 + 100 * i for i in range(28)}
    assert sets[-1].keys() == {"a", "b"} and "stale" in collector.lacking()["c"]
