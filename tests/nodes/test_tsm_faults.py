"""The faults that a camera node must survive, each made to happen on real DDS, the diagnostic included."""

import json
import time

import pytest

from tests.nodes.cameras import LevelSession, jpeg, raw
from tests.nodes.conftest import QUICK, status, tsm_node

pytestmark = pytest.mark.ros
INPUT, EVENTS = "/tsm_node/input/image", "/tsm_node/output/events"


def compressed():
    from sensor_msgs.msg import CompressedImage

    return CompressedImage


class Bench:
    """A node under test with its cameras, its answers and its diagnostics."""

    def __init__(self, stage, session=None, qos=10, cameras=("front",), kind=None, topics=None, **overrides):
        from diagnostic_msgs.msg import DiagnosticArray
        from std_msgs.msg import String


        self.stage, self.session = stage, session or LevelSession()
        self.answers = stage.listen(String, EVENTS)
        self.health = stage.listen(DiagnosticArray, "/diagnostics")
        overrides = {
            "stream.queue": 50, "qos.output.depth": 50, "qos.input.depth": 50, "cameras": list(cameras),
            "input.patience_s": 0.3, **QUICK, **overrides,
        }  # fmt: skip
        one = INPUT if kind is None else "/pictures/raw"  # the middleware keeps a topic's type for the process's life
        self.topics = {c: one if len(cameras) == 1 else f"/tsm_node/input/{c}/image" for c in cameras}
        ros = {"cli_args": ["--ros-args", "-r", f"~/input/image:={one}"], "context": stage.context}
        self.out = {
            c: stage.publisher(kind or compressed(), t, qos) for c, t in self.topics.items() if c in (topics or cameras)
        }
        self.node = stage.add(tsm_node(self.session, overrides=overrides, **ros))
        for publisher in self.out.values():
            stage.connected(publisher)
        stage.until(lambda: self.node._out["~/output/events"].get_subscription_count())

    def send(self, *messages, camera="front"):
        """Publishes one by one, each after the last was taken in, so that nothing is lost before the node."""
        for message in messages:
            before = self.node.health.counter("input", "received")
            self.out[camera].publish(message)
            self.stage.until(lambda b=before: self.node.health.counter("input", "received") > b)

    def answered(self, count):
        self.stage.until(lambda: len(self.answers) >= count, what=f"{count} answers, got {len(self.answers)}")
        return [json.loads(m.data) for m in self.answers]

    def says(self, aspect, level, text, **counters):
        """Waits for a diagnostic at this level whose sentence holds the text and whose counters are these."""

        def found():
            got, message, values = status(self.health, aspect)
            return got == level and text in message and all(values.get(k) == str(v) for k, v in counters.items())

        self.stage.until(found, what=f"{aspect} {level} {text} {counters}; got {status(self.health, aspect)}")


@pytest.fixture
def bench(stage):
    return lambda **changes: Bench(stage, **changes)


def drive(start, count, level=lambda i: i % 5):
    return [jpeg(start + i / 10, level(i)) for i in range(count)]


def stamps(rows):
    return [row["stamp"] / 1e9 for row in rows]


def test_01_looping_a_bag_gives_the_same_answer_each_loop(bench):
    b = bench()
    for _ in range(3):
        b.send(*drive(10, 20))
    rows = b.answered(60)
    assert rows[:20] == rows[20:40] == rows[40:60]
    assert [row["score"] for row in rows[:3]] == [0.501, 0.502, 0.503]  # the cache begins empty in each loop
    b.says("input", 1, "jumped back", time_jumps=2)


def test_01_every_camera_of_a_looped_bag_starts_anew(bench):
    b = bench(cameras=("left", "right"))
    for _ in range(3):
        for one in drive(10, 12):
            b.send(one, camera="left")
            b.send(one, camera="right")
    rows = b.answered(72)
    assert rows[:24] == rows[24:48] == rows[48:72]
    assert [row["camera"] for row in rows[:4]] == ["left", "right"] * 2


def test_02_a_gap_resets_the_cache_and_lost_frames_are_counted(bench):
    b = bench()
    b.send(*drive(10, 5), jpeg(12.4))
    rows = b.answered(6)
    assert [row["score"] for row in rows[-2:]] == [0.505, 0.501] and b.session.resets[-1] == "front"
    b.says("input", 1, "gap", gaps=1, missed_frames=19)


@pytest.mark.parametrize(("off", "said"), [(-0.8, "stale"), (0.8, "in the future")])
def test_03_a_camera_of_another_time_is_masked_and_named(bench, off, said):
    b = bench(cameras=("front", "left", "right"))
    for i in range(6):
        b.send(jpeg(10 + i / 10), camera="front")
        b.send(jpeg(10 + i / 10), camera="left")
        b.send(jpeg(10 + i / 10 + off), camera="right")
    rows = b.answered(8)
    time.sleep(0.1)
    assert {row["camera"] for row in rows} == {"front", "left"}
    b.says("input", 1, f"camera right: {'stale, 0.80 s old' if off < 0 else 'stamped 0.80 s in the future'}")
    assert said in status(b.health, "input")[1]
    assert b.node.health.counter("input", "masked_views") >= 5


@pytest.mark.parametrize("off", [-20.0, 20.0])
def test_03_one_camera_is_held_against_the_clock(bench, stage, off):
    b = bench(**{"collect.max_age_s": 8.0})
    now = stage.client.get_clock().now().nanoseconds * 1e-9
    b.send(jpeg(now + off))
    b.says("input", 1, "camera front: stale" if off < 0 else "camera front: stamped", masked_views=1)
    b.send(jpeg(now))
    b.answered(1)


def test_04_a_missing_camera_costs_its_view_not_the_node(bench):
    b = bench(cameras=("front", "rear"), topics=("front",))
    b.send(*drive(10, 10))
    rows = b.answered(9)
    assert {row["camera"] for row in rows} == {"front"}
    assert stamps(rows)[:8] == pytest.approx([10 + i / 10 for i in range(8)])
    b.says("input", 1, "camera rear: no image yet: nobody publishes /tsm_node/input/rear/image")


def test_04_a_camera_that_dies_is_named_and_one_that_returns_is_used_again(bench):
    b = bench(cameras=("front", "rear"))
    for i in range(20):
        b.send(jpeg(10 + i / 10), camera="front")
        if i < 5 or i >= 14:
            b.send(jpeg(10 + i / 10), camera="rear")
        if i == 12:
            b.says("input", 1, "camera rear: no new image")
    b.answered(31)
    b.stage.until(lambda: "no new image" not in status(b.health, "input")[1])
    assert b.session.resets[-1] == "rear"  # it was away for longer than a gap


def test_04_fewer_than_min_cameras_gives_the_set_up(bench):
    b = bench(cameras=("front", "rear"), topics=("front",), **{"collect.min_cameras": 2})
    b.send(*drive(10, 6))
    b.says("input", 1, "fewer than collect.min_cameras=2 cameras")
    assert b.answers == []


def test_04_a_topic_of_another_type_is_named(bench, stage):
    from std_msgs.msg import String

    stage.publisher(String, "/tsm_node/input/rear/image")
    b = bench(cameras=("front", "rear"), topics=("front",))
    b.says("input", 1, "/tsm_node/input/rear/image carries std_msgs/msg/String, expected sensor_msgs/msg/")


def test_10_a_truncated_jpeg_costs_one_frame_and_a_counter(bench):
    b = bench()
    broken = jpeg(10.1)
    broken.data = broken.data[: len(broken.data) // 2]
    b.send(jpeg(10.0), broken, jpeg(10.2, data=b"\xff\xd8garbage\xff\xd9"), jpeg(10.3))
    assert stamps(b.answered(2)) == [10.0, 10.3]
    b.says("input", 2, "message rejected", rejected=2)


def test_10_a_broken_picture_costs_its_camera_alone(bench):
    b = bench(cameras=("front", "rear"))
    b.send(jpeg(10.0, data=b"\xff\xd8"), camera="front")
    b.send(jpeg(10.0), camera="rear")
    assert [row["camera"] for row in b.answered(1)] == ["rear"]
    b.says("input", 2, "camera front: message rejected", rejected=1)


def test_10_an_unknown_encoding_is_refused_by_name(bench):
    from sensor_msgs.msg import Image

    b = bench(kind=Image)
    b.send(raw(10.0, step=7), raw(10.1, encoding="nv21"), raw(10.2, 4))
    assert [row["event"] for row in b.answered(1)] == ["lead_vehicle_braking"]
    b.says("input", 2, "encoding 'nv21' is not supported", rejected=2)


def test_10_bytes_that_are_no_message_do_not_end_the_process(bench):
    from rclpy.serialization import serialize_message

    b = bench()
    good = bytes(serialize_message(jpeg(10.0)))
    b.send(b"\x00\x01\x00\x00" + b"\xff" * 40, b"", good[:30], jpeg(10.1))
    assert stamps(b.answered(1)) == [10.1]
    assert b.node.health.counter("input", "rejected") == 3


def test_12_a_slow_network_answers_about_the_present_and_counts_what_it_dropped(bench):
    b = bench(session=LevelSession(delay_s=0.1), **{"stream.queue": 1, "latency.warn_ms": 20.0})
    now = b.stage.client.get_clock().now().nanoseconds * 1e-9
    b.send(*(jpeg(now + i / 1000) for i in range(10)))
    rows = b.answered(2)
    time.sleep(0.4)
    rows = b.answered(2)
    assert len(rows) <= 4 and rows[-1]["stamp"] * 1e-9 == pytest.approx(now + 0.009, abs=1e-4)
    b.says("processing", 1, "latest message wins")
    assert b.node.health.counter("processing", "dropped_overload") >= 6


def test_13_an_exception_is_logged_once_counted_and_the_node_lives_on(bench, capfd):
    b = bench(session=LevelSession(error=ValueError("the network stumbled")))
    b.send(*drive(10, 4))
    b.says("processing", 2, "the network stumbled", exceptions=4)
    assert capfd.readouterr().err.count("the network stumbled") == 1
    b.session.error = None
    b.send(jpeg(10.4))
    assert b.answered(1)[0]["score"] == 0.501  # after a failed step nothing old is remembered


def test_16_a_qos_mismatch_names_the_topic_and_both_policies(bench):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    b = bench(**{"qos.input.reliability": "reliable"})
    b.stage.publisher(compressed(), INPUT, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    b.says("qos", 1, f"{INPUT}: reliability does not match")
    text = status(b.health, "qos")[1]
    assert "publisher offers best_effort" in text and "qos.input.reliability" in text


def test_19_random_weights_say_so(bench, stage):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    b = bench(session=LevelSession(trained=False))
    b.says("model", 1, "untrained")
    table = stage.listen(String, EVENTS + "/classes", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    stage.until(lambda: table)
    assert json.loads(table[0].data)["untrained"] is True


def test_21_simulated_time_without_a_clock_is_said(bench):
    b = bench(**{"use_sim_time": True, "diagnostics.clock_patience_s": 0.2})
    b.says("clock", 1, "nothing comes on /clock")
    assert "use_sim_time:=false" in status(b.health, "clock")[1]


def test_22_duplicate_and_late_stamps_are_dropped_and_counted(bench):
    b = bench()
    b.send(*(jpeg(t) for t in (1.0, 1.1, 1.1, 1.2, 1.15, 1.3)))
    b.answered(4)
    time.sleep(0.1)
    assert stamps(b.answered(4)) == [1.0, 1.1, 1.2, 1.3]
    b.says("input", 1, "duplicate", duplicates=1, out_of_order=1)


def test_01_a_bag_looped_by_the_player_gives_three_equal_outputs(stage, tmp_path):
    """Player, /clock and two cameras, one of which ends early: pairs do not die with the first loop."""
    from std_msgs.msg import String

    from perception_nodes.graph import PLANS, resolve
    from perception_nodes.nodes.compose import ros_arguments
    from perception_nodes.nodes.player import PlayerNode
    from tests.nodes.cameras import write_camera_bag

    session = LevelSession()
    resolved = resolve(PLANS["tsm"], {"use_sim_time": True})[0]
    patient = {"stream.queue": 50, "qos.input.depth": 50, "qos.output.depth": 50, "cameras": ["front", "left"]}
    ros = {"cli_args": ros_arguments(resolved), "use_global_arguments": False, "context": stage.context}
    node = stage.add(tsm_node(session, overrides={**QUICK, "use_sim_time": True, **patient}, **ros))
    answers = stage.listen(String, "/perception/events")
    stage.until(lambda: node._out["~/output/events"].get_subscription_count())
    skip = {("left", 6), ("left", 7), ("left", 8), ("left", 9)}
    bag = write_camera_bag(tmp_path / "bag", frames=10, cameras=("front", "left"), skip=skip)
    topics = [f"/camera/{name}/image/compressed" for name in ("front", "left")]
    play = {"bag": str(bag), "playback.loop": True, "playback.rate": 1.0, "playback.wait_for": topics}
    player = PlayerNode(overrides={**QUICK, **play}, context=stage.context)
    player.finish = lambda code: None
    stage.add(player)
    stage.until(lambda: len(answers) >= 3 * 16 + 2, timeout=120.0)
    player.trigger_deactivate()
    rows = [json.loads(m.data) for m in answers]
    for camera, count in (("front", 10), ("left", 6)):
        mine = [row for row in rows if row["camera"] == camera]
        loops = [mine[i * count : (i + 1) * count] for i in range(3)]
        assert loops[0] == loops[1] == loops[2] and len(loops[2]) == count
