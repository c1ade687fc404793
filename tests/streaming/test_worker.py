"""The worker: latest wins, resets between generations, exceptions end at one place, timing. No ROS."""

import threading
import time

import pytest

from perception_nodes.messages.errors import MessageError
from perception_nodes.streaming.health import Health, Level
from perception_nodes.streaming.inputs import Sample
from perception_nodes.streaming.worker import Worker


def sample(stamp_ns, generation=0):
    return Sample(stamp_ns, generation, {"points": b""}, {"points": stamp_ns}, {"points": generation})


class Bench:
    """A worker whose steps, resets, reports and timings are kept."""

    def __init__(self, process=lambda sample, watch: None, **kwargs):
        self.log, self.reports, self.timings = [], [], []
        self.health = Health(("input", "processing"))

        def step(one, watch):
            self.log.append(one.stamp_ns)
            process(one, watch)

        self.worker = Worker(
            step,
            lambda: self.log.append("reset"),
            self.health,
            lambda *row: self.reports.append(row),
            done=lambda *row: self.timings.append(row),
            **kwargs,
        )

    def put(self, *samples, age_s=None):
        for one in samples:
            self.worker.put(one, time.monotonic(), age_s)

    def wait(self):
        end = time.monotonic() + 10
        while not self.worker.idle:
            assert time.monotonic() < end, self.log
            time.sleep(0.001)


@pytest.fixture
def bench():
    made = []

    def make(*args, **kwargs):
        made.append(Bench(*args, **kwargs))
        made[-1].worker.start()
        return made[-1]

    yield make
    for one in made:
        one.worker.stop()


def test_samples_are_worked_on_in_order_and_timed(bench):
    def process(one, watch):
        with watch.stage("inference"):
            time.sleep(0.002)

    b = bench(process, queue=10)
    b.put(*(sample(i) for i in range(5)))
    b.wait()
    assert b.log == [0, 1, 2, 3, 4] and b.health.counter("processing", "processed") == 5
    stages, cyclic, latency = b.timings[0]
    assert stages["inference"] >= 1 and stages["total"] >= stages["inference"]
    assert cyclic is None and b.timings[1][1] >= 0 and latency is None
    assert len(b.worker.inference_ms) == 5


def test_the_latest_sample_wins_over_older_ones_that_wait(bench):
    entered, go = threading.Event(), threading.Event()

    def process(one, watch):
        entered.set()
        assert go.wait(10)

    b = bench(process)
    b.put(sample(0))
    assert entered.wait(10)
    b.put(*(sample(i) for i in range(1, 100)))
    assert not b.worker.idle
    go.set()
    b.wait()
    assert b.log == [0, 99] and b.health.counter("processing", "dropped_overload") == 98
    assert "slower than the sensor" in b.health.report()[1].message


def test_a_new_generation_is_reset_once_before_its_first_sample(bench):
    b = bench(queue=10)
    b.put(sample(0, 4), sample(1, 4), sample(2, 5), sample(3, 5), sample(0, 6))
    b.wait()
    assert b.log == [0, 1, "reset", 2, 3, "reset", 0]


def test_a_generation_that_was_dropped_for_a_newer_one_resets_all_the_same(bench):
    entered, go = threading.Event(), threading.Event()
    b = bench(lambda one, watch: (entered.set(), go.wait(10)))
    b.put(sample(0, 0))
    assert entered.wait(10)
    b.put(sample(1, 1), sample(2, 1))
    go.set()
    b.wait()
    assert b.log == [0, "reset", 2]


@pytest.mark.parametrize(
    ("error", "where", "words"),
    [
        (MessageError("row_step is 3"), ("input", "rejected"), "message rejected: row_step is 3"),
        (MemoryError(), ("processing", "out_of_memory"), "out of memory: frame skipped. Buy more"),
        (ValueError("no"), ("processing", "exceptions"), ""),
    ],
)
def test_an_exception_costs_its_sample_and_is_reported(bench, error, where, words):
    def process(one, watch):
        if one.stamp_ns == 1:
            raise error

    b = bench(process, queue=10, memory_advice="Buy more")
    b.put(sample(0), sample(1), sample(2))
    b.wait()
    assert b.log == [0, 1, 2] and b.health.counter("processing", "processed") == 2
    assert b.reports == [(*where, Level.ERROR, error, words)]


def test_an_exception_in_reset_costs_its_sample_alone(bench):
    b = bench(queue=10)
    b.worker._reset = lambda: (_ for _ in ()).throw(RuntimeError("reset"))
    b.put(sample(0, 0), sample(1, 1), sample(2, 1))
    b.wait()
    assert [row[1] for row in b.reports] == ["exceptions", "exceptions"] and b.log == [0]


def test_latency_is_measured_and_judged(bench):
    b = bench(queue=10, limits=lambda: (60_000.0, 2_000_000.0))
    for i, age_s in enumerate((0.0, 100.0, 3000.0)):
        b.put(sample(i), age_s=age_s)
    b.wait()
    assert all(row[2] >= at for row, at in zip(b.timings, (0.0, 1e5, 3e6), strict=True))
    assert b.health.counter("processing", "latency_warnings") == b.health.counter("processing", "latency_errors") == 1


def test_a_foreign_clock_is_reported_and_no_latency_is_given(bench):
    b = bench(queue=10)
    b.put(sample(0), age_s=1e8)
    b.wait()
    assert b.timings[0][2] is None
    assert any("use_sim_time" in status.message for status in b.health.report())
    b.put(sample(1), age_s=0.1)
    b.wait()
    assert not any("use_sim_time" in status.message for status in b.health.report())


def test_stop_ends_the_thread_drops_what_waits_and_may_be_called_twice(bench):
    entered, go = threading.Event(), threading.Event()
    b = bench(lambda one, watch: (entered.set(), go.wait(10)), queue=10)
    b.put(*(sample(i) for i in range(5)))
    assert entered.wait(10)
    threading.Timer(0.05, go.set).start()
    b.worker.stop()
    b.worker.stop()
    b.put(sample(9))
    assert b.log == [0] and b.worker.idle
