"""What `perception up --view` passes to the viewer: topics of the stack's nodes, the newest message of each."""

import threading

import pytest

from tests.nodes.conftest import HeightSession, cloud, spvcnn_node, stamp_s

pytestmark = pytest.mark.ros


def watch(stage, listener, nodes=("/spvcnn_node",), wanted=lambda topic, kind: kind.endswith("PointCloud2"), **kwargs):
    from perception_nodes.nodes.watch_node import WatchNode

    return stage.add(WatchNode(nodes, wanted, listener, context=stage.context, **kwargs))


def test_topics_that_a_node_reads_and_writes_come_and_others_do_not(stage):
    from sensor_msgs.msg import PointCloud2

    stage.add(spvcnn_node(lambda config: HeightSession(), context=stage.context))
    points = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    other = stage.publisher(PointCloud2, "/another/points")
    got = []

    def wanted(topic, kind):
        return kind.endswith("PointCloud2") and "visualization" not in topic

    seen = watch(stage, lambda topic, kind, message, stamp: got.append((topic, kind, stamp_s(message))), wanted=wanted)
    stage.until(lambda: len(seen.topics) >= 3, what="subscriptions")
    for i in range(1, 4):
        points.publish(cloud(float(i)))
        other.publish(cloud(float(i)))
        stage.until(lambda answer=("/spvcnn_node/output/segmentation", float(i)): answer in {(t, s) for t, _, s in got})
    assert {kind for _, kind, _ in got} == {"sensor_msgs/msg/PointCloud2"}
    topics = {topic for topic, _, _ in got}
    assert {"/spvcnn_node/input/points", "/spvcnn_node/output/segmentation"} <= topics <= {
        f"/spvcnn_node/{name}" for name in ("input/points", "output/segmentation", "output/filtered")
    }  # fmt: skip


def test_a_slow_viewer_gets_the_newest_message_and_one_that_fails_goes_on(stage):
    from sensor_msgs.msg import PointCloud2

    stage.add(spvcnn_node(lambda config: HeightSession(), context=stage.context))
    points = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    held, got = threading.Event(), []

    def listen(topic, kind, message, stamp):
        got.append(stamp_s(message))
        if len(got) == 1:
            held.wait(30)
            raise RuntimeError("the viewer was closed")

    seen = watch(stage, listen, wanted=lambda topic, kind: topic == "/spvcnn_node/input/points")
    stage.until(lambda: points.get_subscription_count() >= 2)
    points.publish(cloud(1.0))
    stage.until(lambda: got)
    arrived = stage.listen(PointCloud2, "/spvcnn_node/input/points")
    stage.connected(points)
    stage.until(lambda: points.get_subscription_count() >= 3)
    for i in range(2, 30):
        points.publish(cloud(float(i)))
    stage.until(lambda: arrived and stamp_s(arrived[-1]) == 29.0)
    stage.until(lambda: seen._newest.get("/spvcnn_node/input/points", (0, 0, b"", 0))[2])
    held.set()
    points.publish(cloud(30.0))
    stage.until(lambda: got[-1] == 30.0)
    assert len(got) <= 4 and seen.health.counter("viewer", "not_shown") == 1


def test_a_viewer_that_was_closed_ends_the_watching_node(stage):
    ended = threading.Event()
    seen = watch(stage, lambda *message: None, is_open=lambda: False)
    seen.finish = lambda code: ended.set() if code == 0 else None
    assert ended.wait(30)
