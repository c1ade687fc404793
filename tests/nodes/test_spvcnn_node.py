"""spvcnn_node on real DDS: what goes in, what comes out."""

import json

import numpy as np
import pytest

from tests.nodes.conftest import QUICK, HeightSession, cloud, spvcnn_node, stamp_s, status

pytestmark = pytest.mark.ros


def start(stage, session=None, name="spvcnn_node", **overrides):

    session = session or HeightSession()
    node = spvcnn_node(lambda config: session, name=name, overrides={**QUICK, **overrides}, context=stage.context)
    return stage.add(node), session


def columns(message):
    from perception_nodes.messages.cloud_fields import read_layout

    raw = read_layout(message)
    return {name: raw.column(name) for name in raw.fields}


def test_segmentation_keeps_points_order_stamp_and_frame(stage):
    from sensor_msgs.msg import PointCloud2

    start(stage)
    got = stage.listen(PointCloud2, "/spvcnn_node/output/segmentation")
    out = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    stage.connected(out)
    stage.until(lambda: stage.client.count_publishers("/spvcnn_node/output/segmentation"))
    sent = cloud(100.25)
    out.publish(sent)
    stage.until(lambda: got)
    message, was = got[0], columns(sent)
    now = columns(message)
    assert message.header == sent.header
    assert list(now) == ["x", "y", "z", "intensity", "label", "score"]
    for name in was:
        np.testing.assert_array_equal(now[name], was[name])
    assert now["label"].tolist() == [8, 12] * 4 and now["label"].dtype == np.uint8
    assert now["score"].tolist() == [0.75] * 8 and now["score"].dtype == np.float32


def test_three_outputs_each_only_if_subscribed(stage):
    from sensor_msgs.msg import PointCloud2

    node, _ = start(stage)
    rgb = stage.listen(PointCloud2, "/spvcnn_node/output/visualization")
    kept = stage.listen(PointCloud2, "/spvcnn_node/output/filtered")
    out = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    stage.connected(out)
    stage.until(lambda: all(p.get_subscription_count() for t, p in node._out.items() if "segmentation" not in t))
    out.publish(cloud(1.0))
    stage.until(lambda: rgb and kept)
    assert columns(rgb[0])["rgb"].view(np.uint32).tolist() == [0xFF00FF, 0xFFC800] * 4
    assert columns(kept[0])["z"].tolist() == [0.0] * 4 and set(columns(kept[0])["label"].tolist()) == {12}
    assert node.health.counter("processing", "published_segmentation") == 0


def test_a_cloud_of_full_size_is_labelled_before_the_first_one_arrives(stage):
    sizes = []

    class Counting(HeightSession):
        def step(self, xyz, intensity):
            sizes.append(len(xyz))
            return super().step(xyz, intensity)

    node, session = start(stage, Counting())
    assert sizes == [128_000] and session.resets == 1
    assert node.health.counter("processing", "published_segmentation") == 0


def test_the_found_scale_of_the_intensities_is_logged_once_and_stands_on_diagnostics(stage):
    from diagnostic_msgs.msg import DiagnosticArray
    from rcl_interfaces.msg import Log
    from sensor_msgs.msg import PointCloud2

    # A name of its own: rcl sends the log of a second node of one name to the first one's publisher.
    node, _ = start(stage, name="scale_node")
    got = stage.listen(PointCloud2, "/scale_node/output/segmentation")
    health, log = stage.listen(DiagnosticArray, "/diagnostics"), stage.listen(Log, "/rosout")
    out = stage.publisher(PointCloud2, "/scale_node/input/points")
    stage.connected(out)
    stage.until(lambda: node._out["~/output/segmentation"].get_subscription_count())
    stage.until(lambda: stage.client.count_subscribers("/rosout"))

    def send(first, count, full):
        from perception_nodes.messages.cloud_layout import fill_point_cloud2, point_cloud2_layout

        for i in range(first, first + count):
            shares = np.linspace(0, 1, 200, dtype=np.float32)
            layout = point_cloud2_layout({"xyz": np.zeros((200, 3), np.float32), "intensity": np.round(shares * full)})
            out.publish(fill_point_cloud2(PointCloud2(), layout, "lidar", round((100 + 0.1 * i) * 1e9)))
            stage.until(lambda n=i: len(got) == n + 1)

    send(0, 9, 255)
    found = "255 (found from the first clouds)"
    stage.until(lambda: status(health, "input")[2].get("intensity_scale") == found)
    assert status(health, "input")[:2] == (0, "ok")
    stage.until(lambda: [m for m in log if "intensities are of 0 to 255" in m.msg])
    assert len([m for m in log if "intensities" in m.msg]) == 1
    send(9, 1, 60000)
    stage.until(lambda: status(health, "input")[0] == 1)
    assert "do not fit the full scale 255" in status(health, "input")[1]


def test_class_names_travel_with_the_output(stage):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    start(stage)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    got = stage.listen(String, "/spvcnn_node/output/segmentation/classes", latched)
    stage.until(lambda: got)
    table = json.loads(got[0].data)
    assert [c["name"] for c in table["classes"]][:2] == ["car", "bicycle"] and len(table["classes"]) == 19


def test_timing_topics_carry_autowares_names(stage):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import Float64

    node, _ = start(stage, HeightSession(delay_s=0.02))
    names = [f"processing_time/{s}_ms" for s in ("preprocess", "inference", "postprocess", "total")]
    names += ["cyclic_time_ms", "pipeline_latency_ms"]
    got = {name: stage.listen(Float64, f"/spvcnn_node/debug/{name}") for name in names}
    stage.listen(PointCloud2, "/spvcnn_node/output/segmentation")
    health = stage.listen(DiagnosticArray, "/diagnostics")
    out = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    stage.connected(out)
    stage.until(lambda: all(p.get_subscription_count() for p in node._timing._publishers.values()))
    stage.until(lambda: node._out["~/output/segmentation"].get_subscription_count())
    for frame in (1, 2):
        message = cloud(0)
        message.header.stamp = stage.client.get_clock().now().to_msg()
        out.publish(message)
        stage.until(lambda n=frame: len(got["processing_time/total_ms"]) == n)
    stage.until(lambda: all(got.values()), what=str({k: len(v) for k, v in got.items()}))
    assert got["processing_time/inference_ms"][0].data >= 20
    assert 20 <= got["pipeline_latency_ms"][0].data < 5000
    stage.until(lambda: "total_ms" in status(health, "processing")[2])
    assert stamp_s(health[0]) > 0
