"""FusedInput under random faults (hypothesis): reordering, loss, duplicates, jumps, bad stamps, rates of 5 to 30 Hz."""

from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.streaming.clock import StampMonitor
from perception_nodes.streaming.inputs import FusedInput
from perception_nodes.streaming.inputs.fused import MAX_OPEN
from perception_nodes.streaming.inputs.fused_camera import MAX_IMAGES
from tests.streaming.raw import MS, feed, raw, views

LIDAR = "points"
CAMERAS = ("a", "b")
FEW = settings(max_examples=40, deadline=None)
MAX_AGE_MS = 250


@st.composite
def drives(draw, seconds=2.5, faults=True, loss=True):
    """Rows (stream, ms): a 10 Hz LiDAR and cameras of 5 to 30 Hz with phases and delays of their own, by arrival."""
    events = []
    for name in (LIDAR, *CAMERAS):
        hz = 10 if name == LIDAR else draw(st.integers(5, 30))
        phase, delay = draw(st.integers(0, 90)), draw(st.integers(0, 60))
        stamps = [10_000 + phase + i * 1000 // hz for i in range(int(seconds * hz))]
        lost = draw(st.sets(st.integers(0, len(stamps) - 1), max_size=5)) if loss else ()
        events += [(ms + delay, name, ms) for i, ms in enumerate(stamps) if i not in lost]
    rows = [(name, ms) for _, name, ms in sorted(events)]
    for place in draw(st.lists(st.integers(0, len(rows) - 2), max_size=6)) if faults else ():
        kind = draw(st.sampled_from(["swap", "twice", "future", "stale", "back"]))
        name, ms = rows[place]
        if kind == "swap":
            rows[place : place + 2] = rows[place : place + 2][::-1]
        elif kind == "twice":
            rows.insert(draw(st.integers(place, len(rows))), (name, ms))
        elif kind == "back":
            rows[place:] = [(n, t - 4000) for n, t in rows[place:]]
        else:
            rows[place] = (name, ms + draw(st.integers(300, 5000)) * (1 if kind == "future" else -1))
    return rows


@FEW
@given(drives(), st.sampled_from([0.0, 0.05, 0.08, 0.15, 0.3]))
def test_whatever_comes_each_accepted_sweep_is_one_sample_with_views_of_its_moment(rows, wait_s):
    source = FusedInput(LIDAR, CAMERAS, wait_s=wait_s)
    samples, _ = feed(source, rows)
    samples += source.flush().samples
    judge = _Judge()
    assert [s.stamp_ns // MS for s in samples] == [ms for name, ms in rows if name == LIDAR and judge.accepts(ms)]
    for sample in samples:
        assert set(sample.messages) | set(sample.masked) == {LIDAR, *CAMERAS}
        assert not set(sample.messages) & set(sample.masked) and all(sample.masked.values())
        assert set(sample.stamps) == set(sample.generations) == set(sample.messages)
        for name, message in sample.messages.items():
            place = int(message[12:].decode().removeprefix(f"{name} "))
            assert rows[place] == (name, sample.stamps[name] // MS)
            assert abs(sample.stamps[name] - sample.stamp_ns) <= MAX_AGE_MS * MS
    for name in (LIDAR, *CAMERAS):
        generations = [s.generations[name] for s in samples if name in s.generations]
        assert generations == sorted(generations)
    again, _ = feed(FusedInput(LIDAR, CAMERAS, wait_s=wait_s), rows)
    assert [(views(s), s.masked) for s in again] == [(views(s), s.masked) for s in samples[: len(again)]]


class _Judge:
    """Which sweeps are accepted: as `StampMonitor` says, anew after each jump back."""

    def __init__(self):
        self.monitor = StampMonitor()

    def accepts(self, ms):
        verdict = self.monitor.observe(ms * MS)
        if verdict.delta_s < 0 and verdict.accepted:
            self.monitor = StampMonitor()
            self.monitor.observe(ms * MS)
        return verdict.accepted


@FEW
@given(drives(faults=False, loss=False))
def test_without_faults_every_sweep_has_the_nearest_image_of_every_camera(rows):
    source = FusedInput(LIDAR, CAMERAS, wait_s=0.25)
    samples, _ = feed(source, rows)
    images = {name: [ms for n, ms in rows if n == name] for name in CAMERAS}
    assert len(samples) >= 21
    for sample in samples[3:]:
        sweep_ms = sample.stamp_ns / MS
        for name in CAMERAS:
            nearest = min(abs(ms - sweep_ms) for ms in images[name])
            assert abs(views(sample)[name] - sweep_ms) <= nearest + 1  # stamps are whole ms


@FEW
@given(drives(faults=False))
def test_a_bag_played_three_times_gives_three_equal_sequences(rows):
    source = FusedInput(LIDAR, CAMERAS)
    samples, _ = feed(source, rows * 3)
    samples += source.flush().samples
    starts = [i for i, s in enumerate(samples) if i == 0 or s.stamp_ns < samples[i - 1].stamp_ns]
    loops = [samples[i:j] for i, j in zip(starts, [*starts[1:], None], strict=True)]

    def told(sample):
        tags = {name: int(message[12:].split()[1]) % len(rows) for name, message in sample.messages.items()}
        return views(sample), dict(sample.masked), tags

    assert len(loops) == 3 and [told(s) for s in loops[0]] == [told(s) for s in loops[1]] == [told(s) for s in loops[2]]
    for earlier, later in zip(loops, loops[1:], strict=False):
        for name in (LIDAR, *CAMERAS):
            before, after = ([s.generations[name] for s in loop if name in s.generations] for loop in (earlier, later))
            assert not before or not after or max(before) < min(after)


@FEW
@given(drives(), st.data())
def test_polls_change_a_sample_only_where_an_image_came_after_the_wait(rows, data):
    """Polls at any times: the same sweeps; another view only where a nearer image of that camera came later."""
    offline_source = FusedInput(LIDAR, CAMERAS)
    offline, _ = feed(offline_source, rows)
    offline += offline_source.flush().samples
    source, live, closed_at = FusedInput(LIDAR, CAMERAS), [], []
    now = 0
    for i, (name, ms) in enumerate(rows):
        done = source.push(name, raw(ms * MS, f"{name} {i}"))
        found = list(done.samples)
        for step in data.draw(st.lists(st.integers(0, 90), max_size=2)):
            now += step
            found += source.poll(now * MS).samples
        live += found
        closed_at += [i] * len(found)
    live += source.flush().samples
    closed_at += [len(rows)] * (len(live) - len(closed_at))
    assert [(s.stamp_ns, s.generation) for s in live] == [(s.stamp_ns, s.generation) for s in offline]
    for one, other, place in zip(live, offline, closed_at, strict=True):
        for name in CAMERAS:
            if one.stamps.get(name) != other.stamps.get(name):
                taken = int(other.messages[name][12:].split()[1]) if name in other.messages else None
                assert taken is None or taken > place, (views(one), views(other))


@FEW
@given(drives(), st.sampled_from([0.05, 1.0, 60.0]))
def test_memory_is_bounded_whatever_comes(rows, wait_s):
    source = FusedInput(LIDAR, CAMERAS, wait_s=wait_s, absent_sets=1000)
    for name, ms in rows:
        source.push(name, raw(ms * MS))
        assert len(source._open) <= MAX_OPEN
        for camera in source._cameras.values():
            assert len(camera._images) <= MAX_IMAGES
            assert source._open or len(camera._images) <= 2 * 30 * MAX_AGE_MS / 1000 + 2  # of two epochs at most
