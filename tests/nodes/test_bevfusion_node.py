"""bevfusion_node on real DDS: what goes in and out, and the faults that it must survive, the diagnostic included."""

import json

import numpy as np
import pytest

from perception_nodes.messages.camera_info import camera_info_values
from perception_nodes.systems.offline import offline
from tests.nodes.bevfusion_bench import LIDAR, NODE, Bench, write_rig_file
from tests.nodes.conftest import DOMAIN
from tests.systems.bevfusion import CAMERAS, camera_model, run_on, write_bag

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A rig YAML with the LiDAR and both cameras."""
    return write_rig_file(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def bench(stage, rig):
    return lambda *args, **changes: Bench(stage, *args, **{"rig": rig, **changes})


def test_boxes_markers_map_and_picture_are_published_with_the_sweeps_stamp(bench, stage):
    from nav_msgs.msg import OccupancyGrid
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from sensor_msgs.msg import Image
    from std_msgs.msg import String
    from visualization_msgs.msg import MarkerArray

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    tables = stage.listen(String, f"{NODE}/output/detections/classes", latched)
    topics = {"markers": MarkerArray, "map/drivable_area": OccupancyGrid, "map_image": Image}
    got = {name: stage.listen(kind, f"{NODE}/output/{name}") for name, kind in topics.items()}
    b = bench()
    for name in topics:
        stage.until(b.node._out[f"~/output/{name}"].get_subscription_count)
    b.drive(3)
    rows = b.answered(3)
    assert [row["stamp_ns"] for row in rows] == [10_000_000_000, 10_100_000_000, 10_200_000_000]
    assert all(row["cameras"] == list(CAMERAS) and row["velocity"] for row in rows)
    stage.until(lambda: all(len(messages) == 3 for messages in got.values()) and tables)
    assert [m.header.stamp.nanosec for m in got["map/drivable_area"]] == [0, 10**8, 2 * 10**8]
    assert {m.header.frame_id for m in got["map/drivable_area"]} == {"base_link"}
    assert all(m.markers[0].action == 3 and len(m.markers) > 1 for m in got["markers"])
    assert json.loads(tables[0].data)["untrained"] is True
    b.says("model", 1, "untrained")


def test_04_a_silent_camera_does_not_stay_green_on_diagnostics(bench):
    b = bench(sensors=(LIDAR, "front"), **{"collect.wait_s": 0.05, "input.patience_s": 0.3})
    b.drive(4, sensors=("front", LIDAR))
    rows = b.answered(4)
    assert all(row["cameras"] == ["front"] and "left" in row["masked"] for row in rows)
    b.says("camera left", (1, 2), "nobody publishes /bevfusion_node/input/left/image")


def test_04_a_silent_lidar_is_an_error_that_names_its_topic(bench):
    b = bench(sensors=CAMERAS, **{"input.patience_s": 0.3})
    b.drive(3, sensors=CAMERAS)
    b.says("input", 2, "/bevfusion_node/input/points")


def test_05_without_calibration_nothing_is_answered_and_the_error_says_what_to_give(bench):
    b = bench(rig="")
    b.drive(2)
    b.says("input", 2, "TF (base_link to lidar) or by a rig YAML (calibration.rig)")
    b.says("camera front", 1, "no CameraInfo has come")
    assert not b.answers


def test_04_a_camera_without_camera_info_costs_its_view_until_it_comes(bench):
    from sensor_msgs.msg import CameraInfo

    from perception_nodes.messages.assign import fill

    b = bench(rig="", **{"frames.base": ""})
    b.drive(1)
    (row,) = b.answered(1)
    assert row["cameras"] == []
    b.stage.connected(b.info["left"])
    b.info["left"].publish(fill(CameraInfo(), {**camera_info_values(camera_model("left")), "k": np.zeros(9)}))
    b.says("calibration", 2, "uncalibrated")


def test_08_10_11_bad_messages_cost_their_view_or_frame_and_the_node_lives_on(bench):
    b = bench(**{"collect.wait_s": 0.0, "collect.max_age_s": 0.05})
    b.send("front", 10.0, data=b"\xff\xd8 no picture")
    b.send("left", 10.0, rgb=np.zeros((60, 64, 3), np.uint8))  # the rig says 64 x 40
    b.send(LIDAR, 10.0)
    b.send("front", 10.1)
    b.send("left", 10.1)
    b.send(LIDAR, 10.1, row_step=7)
    for name in (*CAMERAS, LIDAR):
        b.send(name, 10.2)
    rows = b.answered(2)
    assert [row["stamp_ns"] for row in rows] == [10_000_000_000, 10_200_000_000]
    assert rows[0]["cameras"] == [] and rows[1]["cameras"] == list(CAMERAS)
    b.says("camera front", 2, "message rejected")
    b.says("camera left", 1, "another aspect")


@pytest.mark.parametrize(("off", "said"), [(-0.8, "stale"), (0.8, "in the future")])
def test_03_clocks_apart_mask_the_camera_and_name_it(bench, off, said):
    b = bench(**{"collect.wait_s": 0.0})
    for i in range(4):
        b.send("front", 10 + i / 10)
        b.send("left", 10 + i / 10 + off)
        b.send(LIDAR, 10 + i / 10)
    rows = b.answered(4)
    assert all(row["cameras"] == ["front"] for row in rows[1:])
    b.says("camera left", 1, said)


def test_13_an_exception_in_the_network_is_reported_and_the_next_sweep_answered(bench, monkeypatch):
    b = bench()
    network, step = b.node.session.network, b.node.session.network.step
    calls = []

    def once(*args):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("broken inside")
        return step(*args)

    monkeypatch.setattr(network, "step", once)
    b.drive(2)
    (row,) = b.answered(1)
    assert row["stamp_ns"] == 10_100_000_000
    b.says("processing", 2, "broken inside")


def test_live_equals_offline(tmp_path, monkeypatch):
    from perception_nodes.bags.reader import BagReader
    from perception_nodes.nodes.replay import replay

    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 61) % 100))
    bag = write_bag(tmp_path / "bag", frames=5)
    replay(bag, tmp_path / "live", [run_on(bag)], rate=0)
    offline(bag, tmp_path / "offline", [run_on(bag)])
    topics = ["/perception/detections", "/perception/detections/attributes", "/perception/map/divider"]
    with BagReader(tmp_path / "live") as live, BagReader(tmp_path / "offline") as same:
        for topic in topics:
            assert [m.raw for m in live.messages([topic])] == [m.raw for m in same.messages([topic])]
        assert len(list(same.messages(topics))) == 15
