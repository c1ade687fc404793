"""FusedInput, one fault at a time: each sweep with the nearest image of every camera, whatever the cameras do."""

import pytest

from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import FusedInput
from perception_nodes.streaming.inputs.fused import MAX_OPEN
from tests.streaming.raw import MS, counts, feed, raw, views

LIDAR = "points"


def stream(name, hz, seconds=2.0, phase=0.0, start=0.0, delay=0.0):
    """(arrival, name, stamp) of one sensor, ms."""
    return [
        (start + phase + i * 1000 / hz + delay, name, start + phase + i * 1000 / hz) for i in range(int(seconds * hz))
    ]


def merged(*streams):
    """Rows for `feed`, by arrival."""
    return [(name, ms) for _, name, ms in sorted(row for rows in streams for row in rows)]


def drive(cameras="ab", count=20, start=0, shift=None, lost=()):
    shift = shift or {}
    rows = [(c, start + i * 100 + shift.get(c, 0)) for i in range(count) for c in (LIDAR, *cameras)]
    return [row for row in rows if row not in lost]


def test_each_sweep_has_the_images_of_its_moment():
    samples, notes = feed(FusedInput(LIDAR, "ab"), drive(count=5))
    assert [views(s) for s in samples] == [{LIDAR: t, "a": t, "b": t} for t in range(0, 500, 100)]
    assert not notes and list(samples[0].messages) == [LIDAR, "a", "b"]
    assert samples[2].messages["b"].endswith(b"b 8") and samples[2].stamp_ns == 200 * MS


@pytest.mark.parametrize("hz", [5, 7, 10, 15, 30])
def test_a_camera_of_any_rate_gives_its_nearest_image(hz):
    rows = merged(stream(LIDAR, 10), stream("a", hz, phase=13, delay=20, seconds=3))
    samples, _ = feed(FusedInput(LIDAR, "a", wait_s=0.15), rows)
    images = [ms for name, ms in rows if name == "a"]
    assert len(samples) == 20
    for sample in samples[1:]:
        nearest = min(abs(ms - views(sample)[LIDAR]) for ms in images)
        assert abs(views(sample)["a"] - views(sample)[LIDAR]) == pytest.approx(nearest, abs=1e-3)


def test_a_slow_camera_is_not_waited_for_where_its_next_image_would_be_further_away():
    rows = merged(stream(LIDAR, 10, phase=50), stream("a", 5))
    source = FusedInput(LIDAR, "a", wait_s=0.5)
    feed(source, [row for row in rows if row[1] < 1000])
    *_, sample = feed(source, [("a", 1000), (LIDAR, 1050)])[0]
    assert views(sample) == {LIDAR: 1050, "a": 1000}


def test_the_offset_says_which_image_is_wanted():
    rows = merged(stream(LIDAR, 10, delay=100), stream("a", 30, seconds=3))
    samples, _ = feed(FusedInput(LIDAR, "a", offsets_s={"a": 0.05}), rows)
    assert all(abs(views(s)["a"] - views(s)[LIDAR] - 50) <= 17 for s in samples)


def test_a_lost_image_is_replaced_by_its_neighbour_and_costs_nobody_else():
    samples, _ = feed(FusedInput(LIDAR, "ab"), drive(count=8, lost={("a", 400)}))
    assert [views(s)["b"] for s in samples] == list(range(0, 800, 100))
    assert [views(s)["a"] for s in samples] == [0, 100, 200, 300, 300, 500, 600, 700]


def test_a_camera_that_never_comes_is_not_waited_for_and_named():
    source = FusedInput(LIDAR, "ab")
    samples, notes = feed(source, drive("a", count=10))
    assert [s.stamp_ns // MS for s in samples] == list(range(0, 1000, 100))  # the last at once
    assert all(s.masked == {"b": "no image yet"} for s in samples)
    assert source.lacking() == {"b": "no image yet"} and counts(notes) == {"missing_views": 10}


def test_a_camera_that_falls_silent_is_named_and_is_in_step_again_when_it_comes_back():
    source = FusedInput(LIDAR, "ab")
    samples, _ = feed(source, [*drive(count=10), *drive("a", start=1000, count=10)])
    assert samples[-1].masked == {"b": "no new image"} and source.lacking() == {"b": "no new image"}
    samples, _ = feed(source, drive(start=2000, count=5))
    assert [views(s)["b"] for s in samples[1:]] == [2100, 2200, 2300, 2400] and source.lacking() == {}


@pytest.mark.parametrize(
    ("off", "words"), [(-800, "stale, 0.90 s old by the LiDAR"), (800, "stamped 0.70 s in the future by the LiDAR")]
)
def test_a_camera_of_another_time_is_masked_and_named(off, words):
    source = FusedInput(LIDAR, "ab")
    samples, notes = feed(source, drive(start=5000, shift={"b": off}))
    assert len(samples) >= 19 and all(set(s.messages) == {LIDAR, "a"} for s in samples[1:])
    assert samples[-1].masked == {"b": words} == source.lacking()
    said = [n for n in notes if n.counter == "masked_views"]
    assert len(said) >= 15 and said[-1].sentence == f"camera b: {words}: its view is not used"
    assert said[-1].level is Level.WARN and said[-1].stream == "b"


def test_a_camera_a_little_ahead_is_masked_although_an_older_image_would_fit():
    """Its image stamped now was taken 0.4 s ago."""
    rows = merged(stream(LIDAR, 10, start=5000), [(t, n, s + 400) for t, n, s in stream("a", 30, start=5000)])
    samples, _ = feed(FusedInput(LIDAR, "a"), rows)
    assert all("in the future" in s.masked["a"] for s in samples[1:])


def test_one_image_from_the_future_costs_itself():
    rows = drive(count=12)
    rows[rows.index(("a", 500))] = ("a", 9500)
    samples, _ = feed(FusedInput(LIDAR, "ab"), rows)
    assert all(views(s)["b"] == views(s)[LIDAR] for s in samples)
    assert [views(s).get("a") for s in samples[-3:]] == [900, 1000, 1100]


def test_duplicates_and_images_out_of_order_are_dropped_and_counted():
    rows = drive(count=6)
    rows[9:9] = [("a", 200), ("b", 150), (LIDAR, 200)]
    samples, notes = feed(FusedInput(LIDAR, "ab"), rows)
    assert [views(s) for s in samples] == [{LIDAR: t, "a": t, "b": t} for t in range(0, 600, 100)]
    assert counts(notes) == {"duplicates": 2, "out_of_order": 1}


def test_an_image_that_came_after_the_wait_is_reported_as_late():
    source = FusedInput(LIDAR, "a", wait_s=0.05, max_age_s=0.04)
    samples, notes = feed(source, [("a", 0), (LIDAR, 0), (LIDAR, 100), (LIDAR, 200), ("a", 100), ("a", 200)])
    assert [s.masked for s in samples[:2]] == [{}, {"a": "stale, 0.10 s old by the LiDAR"}]
    assert any("late" in n.sentence for n in notes)


def test_one_camera_whose_clock_restarts_costs_its_view_alone():
    rows = drive(start=50_000, count=10) + drive(start=51_000, count=20, shift={"b": -51_000})
    samples, notes = feed(FusedInput(LIDAR, "ab"), rows)
    assert [views(s)["a"] for s in samples] == [views(s)[LIDAR] for s in samples]
    assert "stale" in samples[-1].masked["b"] and counts(notes)["time_jumps"] == 1
    assert {s.generation for s in samples} == {0} and {s.generations["a"] for s in samples} == {0}


def test_a_cameras_own_gap_starts_a_new_generation_of_that_camera_alone():
    lost = {("b", t) for t in range(500, 1500, 100)}
    samples, notes = feed(FusedInput(LIDAR, "ab"), drive(lost=lost))
    assert samples[-1].generations == {LIDAR: 0, "a": 0, "b": 1} and samples[-1].generation == 0
    assert any(n.sentence.startswith("camera b: gap") for n in notes)


def test_a_gap_of_the_lidar_starts_a_new_generation():
    samples, _ = feed(FusedInput(LIDAR, "a"), drive("a", 5) + drive("a", 3, start=4000))
    assert [s.generation for s in samples] == [0] * 5 + [1] * 3


def test_too_few_views_give_the_sweep_up():
    samples, notes = feed(FusedInput(LIDAR, "ab", min_cameras=2), drive("a", count=6))
    assert not samples and counts(notes)["sets_given_up"] == 6


def test_the_lidar_alone_needs_no_camera():
    samples, _ = feed(FusedInput(LIDAR, "ab"), [(LIDAR, t) for t in range(0, 600, 100)])
    assert len(samples) == 6 and all(set(s.messages) == {LIDAR} for s in samples)
    samples, _ = feed(FusedInput(LIDAR), [(LIDAR, 0)])
    assert len(samples) == 1


def test_a_silent_lidar_is_named_and_nothing_piles_up():
    source = FusedInput(LIDAR, "ab")
    samples, _ = feed(source, [row for row in drive(count=300) if row[0] != LIDAR])
    assert not samples and source.lacking() == {LIDAR: "no sweep yet"}
    assert all(len(camera._images) <= 4 for camera in source._cameras.values())
    samples, _ = feed(source, drive(count=2, start=30_000))
    assert len(samples) == 2 and source.lacking() == {}
    source.poll(0)
    source.poll(1_500 * MS)
    assert source.lacking() == {LIDAR: "no sweep for 1.5 s"}


def test_sweeps_that_wait_are_few():
    source = FusedInput(LIDAR, "a", wait_s=100.0, absent_sets=1000)
    feed(source, [(LIDAR, t) for t in range(0, 10_000, 100)])
    assert len(source._open) <= MAX_OPEN


def test_no_wait_takes_what_is_there():
    samples, _ = feed(FusedInput(LIDAR, "a", wait_s=0), [("a", 0), (LIDAR, 100), ("a", 100)])
    assert [views(s) for s in samples] == [{LIDAR: 100, "a": 0}]


def test_a_poll_ends_a_wait_and_the_end_of_a_bag_does():
    source = FusedInput(LIDAR, "a", wait_s=0.05)
    assert not feed(source, [(LIDAR, 0)])[0]
    assert not source.poll(1_000_000 * MS).samples and not source.poll(1_000_049 * MS).samples
    (sample,) = source.poll(1_000_050 * MS).samples
    assert sample.masked == {"a": "no image yet"}
    feed(source, [(LIDAR, 100)])
    assert [s.stamp_ns // MS for s in source.flush().samples] == [100]


def loops_of(rows, cameras="ab"):
    """Three loops of a bag: of each its samples' views, masks and resets."""
    source, loops = FusedInput(LIDAR, cameras), []
    for _ in range(3):
        samples = [*feed(source, rows)[0], *source.flush().samples]
        loops.append([(views(s), s.masked, s.generation - samples[0].generation) for s in samples])
    return loops


@pytest.mark.parametrize("camera", ["a", "b"])
@pytest.mark.parametrize("end", [2000, 100, 0])
def test_where_one_sensor_ends_early_every_loop_is_alike(camera, end):
    """message_filters' synchroniser gives 40, 0 and 0 pairs here."""
    first, second, third = loops_of([r for r in drive(count=40) if not (r[0] == camera and r[1] > end)])
    assert first == second == third and len(first) == 40


def test_a_gap_after_the_first_sweep_is_judged_alike_in_every_loop():
    """Before three stamps there is no period, so the first gap is none; nor may it be one in the next loop."""
    first, second, third = loops_of([r for r in drive(count=40) if not 0 < r[1] < 900])
    assert first == second == third


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cameras": ["a", "a"]}, "once"),
        ({"points": "a"}, "once"),
        ({"min_cameras": 3}, "0 to 2"),
        ({"wait_s": -1}, "0 or more"),
        ({"offsets_s": {"c": 0.1}}, "'c'"),
    ],
)
def test_impossible_settings_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        FusedInput(**{"points": LIDAR, "cameras": ["a", "b"], **change})


def test_bytes_without_a_header_are_refused_and_change_nothing():
    from perception_nodes.messages.errors import MessageError

    source = FusedInput(LIDAR, "a")
    for name in (LIDAR, "a"):
        with pytest.raises(MessageError):
            source.push(name, raw(0)[:9])
    assert not source.flush().samples
