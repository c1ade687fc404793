"""The faults that a LiDAR node must survive, each made to happen on real DDS, the diagnostic included."""

import json
import time

import numpy as np
import pytest

from tests.nodes.conftest import QUICK, HeightSession, cloud, spvcnn_node, stamp_s, status

pytestmark = pytest.mark.ros
POINTS, LABELS = "/spvcnn_node/input/points", "/spvcnn_node/output/segmentation"


class Bench:
    """A node under test with its input, its answers and its diagnostics."""

    def __init__(self, stage, session=None, qos=10, **overrides):
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import PointCloud2


        self.stage = stage
        self.session = session or HeightSession()
        self.answers = stage.listen(PointCloud2, LABELS)
        self.health = stage.listen(DiagnosticArray, "/diagnostics")
        overrides = {"stream.queue": 20, **QUICK, **overrides}
        self.node = stage.add(spvcnn_node(lambda config: self.session, overrides=overrides, context=stage.context))
        self.out = stage.publisher(PointCloud2, POINTS, qos)
        stage.connected(self.out)
        stage.until(lambda: self.node._out["~/output/segmentation"].get_subscription_count())

    def send(self, *messages):
        """Publishes one by one, each after the last was taken in, so that nothing is lost before the node."""
        for message in messages:
            before = self.node.health.counter("input", "received")
            self.out.publish(message)
            self.stage.until(lambda b=before: self.node.health.counter("input", "received") > b)

    def answered(self, count):
        self.stage.until(lambda: len(self.answers) >= count, what=f"{count} answers, got {len(self.answers)}")
        return self.answers

    def says(self, aspect, level, text, **counters):
        """Waits for a diagnostic at this level whose sentence holds the text and whose counters are these."""

        def found():
            got, message, values = status(self.health, aspect)
            return got == level and text in message and all(values.get(k) == str(v) for k, v in counters.items())

        self.stage.until(found, what=f"{aspect} {level} {text} {counters}; got {status(self.health, aspect)}")


@pytest.fixture
def bench(stage):
    return lambda **changes: Bench(stage, **changes)


def labels(message):
    from perception_nodes.messages.cloud_fields import read_layout

    return read_layout(message).column("label").tolist()


def test_01_looping_a_bag_gives_the_same_answer_each_loop(bench):
    b = bench()
    for _ in range(3):
        b.send(*(cloud(10 + i / 10, n=4 + i) for i in range(20)))
    loops = b.answered(60)
    assert [stamp_s(m) for m in loops[:20]] == [stamp_s(m) for m in loops[20:40]] == [stamp_s(m) for m in loops[40:]]
    assert [labels(m) for m in loops[:20]] == [labels(m) for m in loops[20:40]] == [labels(m) for m in loops[40:]]
    assert b.session.resets == 3  # after the warm-up, and at both jumps
    b.says("input", 1, "jumped back", time_jumps=2)


def test_02_a_gap_resets_the_state_and_lost_frames_are_counted(bench):
    b = bench()
    b.send(*(cloud(10 + i / 10) for i in range(5)), cloud(12.4))
    b.answered(6)
    assert b.session.resets == 2
    b.says("input", 1, "gap", gaps=1, missed_frames=19)


def test_06_an_empty_cloud_gives_an_empty_result_and_a_warning(bench):
    b = bench()
    b.send(cloud(1.0, n=0), cloud(1.1))
    empty, full = b.answered(2)[:2]
    assert empty.width == 0 and len(empty.data) == 0
    assert (stamp_s(empty), empty.header.frame_id) == (1.0, "lidar") and full.width == 8
    b.says("input", 1, "empty", empty=1)


def test_07_points_that_are_not_finite_keep_their_place_and_get_no_class(bench):
    from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout

    b = bench()
    xyz = np.array([[1, 0, -2], [np.nan, 0, 0], [2, 0, 1], [0, np.inf, -2]], np.float32)
    message = cloud(1.0)
    layout = point_cloud2_layout({"xyz": xyz, "intensity": np.array([0.1, 0.2, np.nan, 0.4], np.float32)})
    fill_point_cloud2(message, layout, "lidar", 10**9)
    message.is_dense = True  # a lie
    b.send(message)
    assert labels(b.answered(1)[0]) == [8, 255, 12, 255]


def test_08_a_bad_message_costs_one_frame_a_counter_and_a_diagnostic(bench):
    b = bench()
    broken = [
        cloud(1.1, point_step=3),
        cloud(1.2, width=10**6),
        cloud(1.3, row_step=7),
        cloud(1.4, height=2**31),
        cloud(1.5, fields=[]),
    ]
    b.send(cloud(1.0), *broken, cloud(1.6))
    assert [stamp_s(m) for m in b.answered(2)] == [1.0, 1.6]
    b.says("input", 2, "message rejected", rejected=5)


def test_08_bytes_that_are_no_message_at_all_do_not_end_the_process(bench):
    b = bench()
    from rclpy.serialization import serialize_message

    cut = bytes(serialize_message(cloud(1.0)))[:60]
    good = bytes(serialize_message(cloud(1.05)))
    b.send(b"\x00\x01\x00\x00" + b"\xff" * 40, b"", cut, good[:12] + b"\xff" * 8 + good[20:], cloud(1.1))
    assert stamp_s(b.answered(1)[0]) == 1.1
    b.says("input", 2, "message rejected", rejected=4)


def test_09_a_cloud_without_intensity_is_labelled_with_one_warning(bench):
    from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout

    b = bench()
    for i in range(2):
        layout = point_cloud2_layout({"xyz": np.ones((3, 3), np.float32)})
        b.send(fill_point_cloud2(cloud(1.0), layout, "lidar", (10 + i) * 10**8))
    assert labels(b.answered(2)[1]) == [12] * 3
    b.says("input", 1, "no intensity", no_intensity=2)


def test_12_a_slow_node_answers_about_the_present_and_counts_what_it_dropped(bench):
    b = bench(session=HeightSession(delay_s=0.1), **{"stream.queue": 1, "latency.warn_ms": 20.0})
    now = b.stage.client.get_clock().now().nanoseconds * 1e-9
    b.send(*(cloud(now + i / 1000) for i in range(10)))
    answers = b.answered(2)
    time.sleep(0.3)
    assert len(answers) <= 4 and stamp_s(answers[-1]) == pytest.approx(now + 0.009, abs=1e-4)
    b.says("processing", 1, "latest message wins")
    assert b.node.health.counter("processing", "dropped_overload") >= 6
    assert b.node.health.counter("processing", "latency_warnings") >= 1


def test_12_latency_above_its_error_threshold_is_an_error(bench):
    b = bench(session=HeightSession(delay_s=0.05), **{"latency.warn_ms": 10.0, "latency.error_ms": 20.0})
    message = cloud(0)
    message.header.stamp = b.stage.client.get_clock().now().to_msg()
    b.send(message)
    b.says("processing", 2, "above 20 ms", latency_errors=1)


def test_13_an_exception_is_logged_once_counted_and_the_node_lives_on(bench, capfd):
    b = bench(session=HeightSession(error=ValueError("the network stumbled")))
    b.send(*(cloud(1 + i / 10) for i in range(4)))
    b.says("processing", 2, "the network stumbled", exceptions=4)
    assert capfd.readouterr().err.count("the network stumbled") == 1
    b.session.error = None
    b.send(cloud(2.0))
    assert stamp_s(b.answered(1)[0]) == 2.0


def test_14_more_points_than_planned_are_capped_alike_each_time_with_a_warning(bench):
    b = bench(**{"input.max_points": 5})
    b.send(cloud(1.0, n=9), cloud(1.1, n=9))
    first, second = b.answered(2)
    assert labels(first) == labels(second) and first.width == 9
    assert labels(first).count(255) == 4
    b.says("input", 1, "9 points; 5", capped=2)


def test_14_out_of_memory_costs_the_frame_and_says_so(bench):
    b = bench(session=HeightSession(error=MemoryError()))
    b.send(cloud(1.0))
    b.says("processing", 2, "out of memory: frame skipped", out_of_memory=1)
    b.session.error = None
    b.send(cloud(1.1))
    b.answered(1)


def test_16_a_qos_mismatch_names_the_topic_and_both_policies(bench, stage, capfd):
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import PointCloud2

    b = bench(**{"qos.input.reliability": "reliable"})
    stage.publisher(PointCloud2, POINTS, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    b.says("qos", 1, f"{POINTS}: reliability does not match")
    text = status(b.health, "qos")[1]
    assert "publisher offers best_effort" in text and "subscriber asks for reliable" in text
    assert "qos.input.reliability" in text


def test_16_a_mismatch_is_named_before_the_graph_knows_our_side(bench, monkeypatch):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    from perception_nodes.nodes.qos import describe_mismatch

    node = bench().node
    monkeypatch.setattr(node, "get_subscriptions_info_by_topic", lambda topic: [])
    own = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    said = describe_mismatch(node, POINTS, own, "reliability", subscribing=True)
    assert "subscriber asks for reliable" in said and "qos.input.reliability" in said


def test_17_large_clouds_all_arrive_over_best_effort(bench):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    b = bench(qos=QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    b.send(*(cloud(1 + i / 10, n=35_000) for i in range(20)))
    assert len(b.answered(20)) == 20 and b.answers[0].width == 35_000
    assert b.node.health.counter("input", "lost_in_transport") == 0


def test_19_random_weights_say_so(bench, stage):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    session = HeightSession()
    session.facts.trained = False
    b = bench(session=session)
    b.says("model", 1, "untrained")
    table = stage.listen(String, LABELS + "/classes", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    stage.until(lambda: table)
    assert json.loads(table[0].data)["untrained"] is True


def test_21_simulated_time_without_a_clock_is_said(bench):
    b = bench(**{"use_sim_time": True, "diagnostics.clock_patience_s": 0.2})
    b.says("clock", 1, "nothing comes on /clock")
    assert "use_sim_time:=false" in status(b.health, "clock")[1]


def test_21_stamps_of_another_time_are_said(bench):
    b = bench()
    b.send(cloud(1.0))
    b.says("clock", 1, "use_sim_time:=true")


def test_22_duplicate_and_late_stamps_are_dropped_and_counted(bench):
    b = bench()
    b.send(cloud(1.0), cloud(1.1), cloud(1.1), cloud(1.2), cloud(1.15), cloud(1.3))
    b.answered(4)
    time.sleep(0.1)
    assert [stamp_s(m) for m in b.answers] == [1.0, 1.1, 1.2, 1.3]
    b.says("input", 1, "duplicate", duplicates=1, out_of_order=1)
