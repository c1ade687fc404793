"""StampMonitor: what a stream's stamps say."""

from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.streaming.clock import StampKind, StampMonitor, StartWatch

MS = 1_000_000


def kinds(monitor, *stamps_ms):
    return [monitor.observe(round(s * MS)).kind.value for s in stamps_ms]


def test_steady_progress():
    monitor = StampMonitor()
    assert kinds(monitor, 0, 100, 200, 300) == ["first", "next", "next", "next"]
    assert monitor.period_s == 0.1


def test_a_gap_says_how_many_frames_it_swallowed():
    monitor = StampMonitor(gap_periods=5)
    kinds(monitor, 0, 100, 200, 300)
    verdict = monitor.observe(1300 * MS)
    assert (verdict.kind, verdict.missed, verdict.resets) == (StampKind.GAP, 9, True)


def test_one_lost_frame_is_counted_without_a_reset():
    monitor = StampMonitor()
    kinds(monitor, 0, 100, 200, 300)
    verdict = monitor.observe(500 * MS)
    assert (verdict.kind, verdict.missed, verdict.resets) == (StampKind.NEXT, 1, False)


def test_a_stream_that_becomes_slower_is_not_a_gap_for_ever():
    monitor = StampMonitor(gap_periods=3)
    kinds(monitor, *range(0, 1000, 100))
    assert kinds(monitor, *range(2000, 40_000, 1000))[-1] == "next"


def test_duplicates_and_latecomers_are_dropped():
    monitor = StampMonitor()
    assert kinds(monitor, 0, 100, 100, 200, 150, 300)[2:] == ["duplicate", "next", "out_of_order", "next"]


def test_a_looped_bag_is_a_jump_back():
    monitor = StampMonitor()
    assert kinds(monitor, 0, 100, 2000, 0, 100) == ["first", "next", "next", "jump_back", "next"]


def test_a_looped_bag_of_five_frames_is_a_jump_at_once():
    assert kinds(StampMonitor(), 0, 100, 200, 300, 400, 0, 100)[5:] == ["jump_back", "next"]


def test_a_looped_bag_of_three_frames_is_a_jump_after_three_messages():
    assert kinds(StampMonitor(), 0, 100, 200, 0, 100, 200, 300)[3:] == [
        "out_of_order",
        "out_of_order",
        "duplicate",
        "next",
    ]
    assert kinds(StampMonitor(), 100, 200, 300, 0, 100, 200)[3:] == ["out_of_order", "out_of_order", "jump_back"]


def test_a_short_looped_bag_loses_nothing_where_the_clock_told_of_the_jump():
    monitor = StampMonitor()
    kinds(monitor, 0, 100, 200)
    monitor.expect_jump()
    assert kinds(monitor, 0, 100) == ["jump_back", "next"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_what_is_accepted_rises_between_resets(stamps):
    monitor, newest = StampMonitor(jump_back_s=1e9, jump_back_periods=1e9), None
    for stamp in stamps:
        verdict = monitor.observe(stamp * 1000 * MS)
        if verdict.accepted:
            assert verdict.kind is StampKind.JUMP_BACK or newest is None or stamp > newest
            newest = stamp
        else:
            assert stamp <= newest


def test_the_start_watch_speaks_once():
    watch = StartWatch(started_at=10.0, patience_s=5.0)
    assert [watch.overdue(t, False) for t in (11, 14.9, 15, 16)] == [False, False, True, False]
    assert not StartWatch(0.0).overdue(100.0, clock_runs=True)
