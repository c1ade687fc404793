"""The faults that a node with a LiDAR and cameras must survive, each made to happen on real DDS, diagnostics too."""

import json

import pytest

from tests.nodes.cameras import jpeg
from tests.nodes.conftest import QUICK, cloud, status

pytestmark = pytest.mark.ros
NODE = "/fused_toy_node"
LIDAR = "points"
CAMERAS = ("left", "right")


class Bench:
    """A fused node under test with its sensors, its answers and its diagnostics."""

    def __init__(self, stage, sensors=(LIDAR, *CAMERAS), **overrides):
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import CompressedImage, PointCloud2
        from std_msgs.msg import String

        from perception_nodes.nodes.system_node import SystemNode
        from tests.nodes.fused_toy import FUSED_TOY

        self.stage = stage
        self.answers = stage.listen(String, f"{NODE}/output/seen")
        self.health = stage.listen(DiagnosticArray, "/diagnostics")
        overrides = {
            "stream.queue": 100, "qos.output.depth": 100, "qos.input.depth": 100, "cameras": list(CAMERAS),
            "input.patience_s": 0.3, "collect.wait_s": 30.0, **QUICK, **overrides,
        }  # fmt: skip
        kinds = {name: CompressedImage for name in CAMERAS} | {LIDAR: PointCloud2}
        topics = {name: f"{NODE}/input/{name}/image" for name in CAMERAS} | {LIDAR: f"{NODE}/input/points"}
        self.out = {name: stage.publisher(kinds[name], topics[name], 100) for name in sensors}
        self.node = stage.add(SystemNode(FUSED_TOY, overrides=overrides, context=stage.context))
        for publisher in self.out.values():
            stage.connected(publisher)
        stage.until(lambda: self.node._out["~/output/seen"].get_subscription_count())

    def send(self, *rows):
        """Publishes (sensor, seconds) one by one, each after the last was taken in: an order that the test knows."""
        for name, at in rows:
            before = self.node.health.counter("input", "received")
            message = at if not isinstance(at, float | int) else cloud(at) if name == LIDAR else jpeg(at)
            self.out[name].publish(message)
            self.stage.until(lambda b=before: self.node.health.counter("input", "received") > b)

    def answered(self, count):
        self.stage.until(lambda: len(self.answers) >= count, what=f"{count} answers, got {len(self.answers)}")
        return [json.loads(m.data) for m in self.answers]

    def says(self, aspect, level, text, **counters):
        def found():
            got, message, values = status(self.health, aspect)
            return got == level and text in message and all(values.get(k) == str(v) for k, v in counters.items())

        try:
            self.stage.until(found)
        except AssertionError:
            raise AssertionError(f"{aspect} {level} {text} {counters}; got {status(self.health, aspect)}") from None


@pytest.fixture
def bench(stage):
    return lambda *args, **changes: Bench(stage, *args, **changes)


def drive(count, start=10.0, sensors=(LIDAR, *CAMERAS), shift=None, lost=()):
    rows = [(name, round(start + i / 10 + (shift or {}).get(name, 0.0), 3)) for i in range(count) for name in sensors]
    return [row for row in rows if row not in lost]


def stamps(row):
    """Seconds of an answer: its own and its views'."""
    return row["stamp"] / 1e9, {name: at / 1e9 for name, at in row["views"].items()}


def test_each_sweep_is_answered_with_the_images_of_its_moment(bench):
    b = bench()
    b.send(*drive(5))
    rows = b.answered(5)
    assert [stamps(r) for r in rows] == [(t, {"left": t, "right": t}) for t in (10.0, 10.1, 10.2, 10.3, 10.4)]
    assert rows[-1]["remembered"] == {LIDAR: 5, "left": 5, "right": 5} and rows[-1]["points"] == 8


def test_01_looping_a_bag_gives_the_same_answer_each_loop(bench):
    b = bench()
    for _ in range(3):
        b.send(*drive(15))
    rows = b.answered(45)
    assert rows[:15] == rows[15:30] == rows[30:45]
    assert [r["remembered"][LIDAR] for r in rows[14:17]] == [15, 1, 2]
    b.says("input", 1, "jumped back")


def test_01_a_camera_may_see_the_jump_before_the_lidar(bench):
    b = bench()
    b.send(*drive(15), *drive(15, sensors=("left", LIDAR, "right")))
    rows = b.answered(30)
    assert rows[:15] == rows[15:30]


def test_02_a_gap_of_one_camera_resets_that_camera_alone(bench):
    lost = {("left", round(10 + i / 10, 3)) for i in range(5, 15)}
    b = bench(**{"collect.absent_sets": 1})
    b.send(*drive(18, lost=lost))
    rows = b.answered(18)
    assert rows[-1]["remembered"] == {LIDAR: 18, "left": 3, "right": 18}
    b.says("input", 1, "camera left: gap", gaps=1)


@pytest.mark.parametrize(("off", "said"), [(-0.8, "stale"), (0.8, "in the future")])
def test_03_a_camera_of_another_time_is_masked_and_named(bench, off, said):
    b = bench(**{"collect.wait_s": 0.0})
    b.send(*drive(10, sensors=(*CAMERAS, LIDAR), shift={"right": off}))
    rows = b.answered(10)
    assert all(r["views"].keys() == {"left"} and said in r["masked"]["right"] for r in rows[1:])
    b.says("input", 1, "camera right: ")
    assert said in status(b.health, "input")[1]


def test_04_a_camera_that_never_comes_costs_its_view_and_is_named(bench):
    b = bench(sensors=(LIDAR, "left"), **{"collect.wait_s": 0.05})
    b.send(*drive(8, sensors=("left", LIDAR)))
    rows = b.answered(8)
    assert all(r["views"].keys() == {"left"} and r["masked"] == {"right": "no image yet"} for r in rows)
    b.says("input", 1, "camera right: no image yet: nobody publishes /fused_toy_node/input/right/image")


def test_04_the_lidar_alone_is_answered_and_a_sweep_waits_no_longer_than_wait_s(bench):
    b = bench(sensors=(LIDAR,), **{"collect.wait_s": 0.05})
    b.send((LIDAR, 10.0))
    (row,) = b.answered(1)  # no later message: the timer ends the wait
    assert row["views"] == {} and row["masked"].keys() == set(CAMERAS)


def test_04_a_silent_lidar_is_an_error_that_names_its_topic(bench):
    b = bench()
    b.send(*drive(3))
    b.send(*drive(12, start=10.3, sensors=CAMERAS))
    b.says("input", 2, "the LiDAR: no sweep for ")
    assert "/fused_toy_node/input/points" in status(b.health, "input")[1]
    b.send(*drive(2, start=11.5))
    b.says("input", 1, "gap")  # the LiDAR is back; what is left is the report of its gap


def test_09_cameras_may_be_slower_and_faster_than_the_lidar(bench):
    slow = [(10.005 + i / 5, "left") for i in range(8)]
    fast = [(10.002 + i / 30, "right") for i in range(45)]
    sweeps = [(10.003 + i / 10, LIDAR) for i in range(15)]
    b = bench()
    b.send(*[(name, at) for at, name in sorted(slow + fast + sweeps)])
    rows = b.answered(12)
    for row in rows[1:]:
        at, views = stamps(row)
        assert abs(views["left"] - at) <= 0.101 and abs(views["right"] - at) <= 0.018


def test_08_an_image_that_cannot_be_decoded_costs_its_view(bench):
    b = bench()
    b.send(
        *drive(2), (LIDAR, 10.2), ("left", jpeg(10.2, data=b"\xff\xd8 no picture")), ("right", 10.2), *drive(1, 10.3)
    )
    rows = b.answered(4)
    assert rows[2]["views"].keys() == {"right"} and "left" in rows[2]["masked"]
    b.says("input", 2, "camera left: message rejected", rejected=1)


def test_22_duplicates_and_messages_out_of_order_are_dropped_and_counted(bench):
    b = bench()
    b.send(*drive(4), (LIDAR, 10.3), ("left", 10.3), ("left", 10.2), (LIDAR, 10.2), *drive(2, 10.4))
    rows = b.answered(6)
    assert [stamps(r) for r in rows][3:] == [(t, {"left": t, "right": t}) for t in (10.3, 10.4, 10.5)]
    b.says("input", 1, "duplicate", duplicates=2, out_of_order=2)


def test_22_sweeps_and_images_may_come_in_any_order_between_topics(bench):
    b = bench()
    rows = drive(10)
    for i in range(3, 27, 3):
        rows[i - 1 : i + 1] = rows[i - 1 : i + 1][::-1]
    b.send(*rows)
    answers = b.answered(10)
    assert [stamps(r) for r in answers] == [
        (t, {"left": t, "right": t}) for t in (round(10 + i / 10, 3) for i in range(10))
    ]
