"""bevfusion_node on real DDS: what goes in and out, and the faults that it must survive, the diagnostic included."""

import json

import numpy as np
import pytest

from perception_nodes.messages.camera_info import camera_info_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout
from perception_nodes.systems.offline import offline
from tests.nodes.conftest import DOMAIN, QUICK, status
from tests.systems.bevfusion import (
    BASE_LIDAR,
    CAMERAS,
    base_from_camera,
    camera_model,
    cloud,
    opener,
    picture,
    run_on,
    write_bag,
)

pytestmark = pytest.mark.ros
NODE, LIDAR = "/bevfusion_node", "points"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A rig YAML with the LiDAR and both cameras."""
    from perception_nodes.calibration.rig_file import CameraMount, LidarMount, RigFile, write_rig

    path = tmp_path_factory.mktemp("rig") / "rig.yaml"
    mounts = tuple(CameraMount(c, f"/{c}", base_from_camera(c), camera_model(c)) for c in CAMERAS)
    write_rig(RigFile("r", "base_link", (LidarMount("lidar", "lidar", "/lidar/points", BASE_LIDAR),), mounts), path)
    return str(path)


class Bench:
    """The node with its sensors, its answers and its diagnostics."""

    def __init__(self, stage, rig="", sensors=(LIDAR, *CAMERAS), **overrides):
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
        from std_msgs.msg import String

        from perception_nodes.nodes.system_node import SystemNode
        from perception_nodes.systems import bevfusion

        self.stage = stage
        self.answers = stage.listen(String, f"{NODE}/output/detections/attributes")
        self.health = stage.listen(DiagnosticArray, "/diagnostics")
        overrides = {
            "stream.queue": 100, "qos.output.depth": 100, "qos.input.depth": 100, "cameras": list(CAMERAS),
            "input.patience_s": 0.3, "collect.wait_s": 30.0, "calibration.rig": rig, "output.min_score": 0.0,
            "frames.fixed": [""], **QUICK, **overrides,
        }  # fmt: skip
        kinds = {name: CompressedImage for name in CAMERAS} | {LIDAR: PointCloud2}
        self.out = {
            name: stage.publisher(kinds[name], f"{NODE}/input/{name}" + "/image" * (name != LIDAR), 100)
            for name in sensors
        }
        self.info = {c: stage.publisher(CameraInfo, f"{NODE}/input/{c}/camera_info", 100) for c in CAMERAS}
        node = SystemNode(bevfusion.SYSTEM, opener(), overrides=overrides, context=stage.context)
        self.node = stage.add(node)
        for publisher in self.out.values():
            stage.connected(publisher)
        stage.until(lambda: self.node._out["~/output/detections/attributes"].get_subscription_count())

    def send(self, name, at, **changes):
        """Publishes one message after the last was taken in."""
        from sensor_msgs.msg import CompressedImage, PointCloud2

        from perception_nodes.messages.assign import fill

        stamp, before = round(at * 1e9), self.node.health.counter("input", "received")
        if name == LIDAR:
            message = fill_point_cloud2(PointCloud2(), point_cloud2_layout(cloud(round(at * 10) % 5)), "lidar", stamp)
        else:
            jpeg = encode_jpeg(changes.pop("rgb", picture(round(at * 10) % 5, name)))
            message = fill(CompressedImage(), compressed_image_values(jpeg, f"camera_{name}", stamp))
        for key, value in changes.items():
            setattr(message, key, value)
        self.out[name].publish(message)
        self.stage.until(lambda: self.node.health.counter("input", "received") > before)

    def drive(self, count, start=10.0, sensors=(*CAMERAS, LIDAR)):
        for i in range(count):
            for name in sensors:
                self.send(name, round(start + i / 10, 3))

    def answered(self, count):
        self.stage.until(lambda: len(self.answers) >= count, 30.0, what=f"{count} answers, got {len(self.answers)}")
        return [json.loads(m.data) for m in self.answers]

    def says(self, aspect, level, text):
        def found():
            got, message, _ = status(self.health, aspect)
            return got == level and text in message

        try:
            self.stage.until(found)
        except AssertionError:
            raise AssertionError(f"{aspect} {level} {text}; got {status(self.health, aspect)}") from None


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
    b = bench(sensors=(LIDAR, "front"), **{"collect.wait_s": 0.05})
    b.drive(4, sensors=("front", LIDAR))
    rows = b.answered(4)
    assert all(row["cameras"] == ["front"] and "left" in row["masked"] for row in rows)
    b.says("camera left", 1, "nobody publishes /bevfusion_node/input/left/image")
    b.says("camera front", 0, "ok")


def test_04_a_silent_lidar_is_an_error_that_names_its_topic(bench):
    b = bench(sensors=CAMERAS)
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
