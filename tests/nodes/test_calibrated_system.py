"""A system that must know where its cameras sit: from topics or a rig, live and offline alike; never identity."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import CameraMount, RigFile, write_rig
from perception_nodes.calibration.se3 import from_euler, invert
from perception_nodes.config import ConfigError, FusedConfig
from perception_nodes.graph import run_node, system_node
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values
from perception_nodes.policy import subscribed
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs
from perception_nodes.systems.system import SystemError
from tests.nodes.cameras import COMPRESSED, START_NS, grey
from tests.nodes.conftest import DOMAIN
from tests.nodes.fused_toy import CALIBRATED_TOY, FUSED_TOY

CAMERAS = ("left", "right")
BASE_LIDAR = from_euler(0.01, 0.02, 0.0, (0.9, 0, 1.8))
BASE_CAMERA = from_euler(-1.5, 0.0, -1.5, (1.7, 0, 1.5))


def model(camera, fx=100.0, size=(64, 48)):
    k = np.array([[fx, 0, size[0] / 2], [0, fx, size[1] / 2], [0, 0, 1]])
    return CameraModel(*size, k, np.zeros(5), "plumb_bob", f"camera_{camera}")


def tf(*transforms):
    return make("tf2_msgs/msg/TFMessage", **tf_values(transforms))


def write_bag(path, frames=8, fixed=True, info=True, extra=()):
    """A LiDAR and two cameras at 10 Hz; `extra`: (frame, topic, message) written before that frame's sensors."""
    with BagWriter(path) as bag:
        if fixed:
            links = [Transform("base", f"camera_{c}", BASE_CAMERA) for c in CAMERAS]
            bag.write("/tf_static", tf(Transform("base", "lidar", BASE_LIDAR), *links), START_NS - 1000)
        for i in range(frames):
            stamp = START_NS + i * 10**8
            for number, topic, message in extra:
                if number == i:
                    bag.write(topic, message, stamp)
            for camera in CAMERAS:
                if info:
                    values = camera_info_values(model(camera))
                    bag.write(f"/camera/{camera}/camera_info", make("sensor_msgs/msg/CameraInfo", **values), stamp)
                values = compressed_image_values(encode_jpeg(grey(i % 5)), f"camera_{camera}", stamp)
                bag.write(f"/camera/{camera}/image/compressed", make(COMPRESSED, **values), stamp)
            layout = point_cloud2_layout({"xyz": np.ones((5, 3), np.float32)})
            bag.write("/lidar/points", make_point_cloud2(layout, "lidar", stamp), stamp)
    return path


def run_on(bag, **parameters):
    with BagReader(bag) as reader:
        (run,) = find_runs(reader, ["calibrated_toy"], CAMERAS, systems=[CALIBRATED_TOY])
    run.parameters.update(parameters)
    return run


def answers(path):
    with BagReader(path) as reader:
        return [json.loads(reader.decode(m.raw, m.type).data) for m in reader.messages(["/toy/seen"])]


def offline_answers(tmp_path, bag, **parameters):
    result = offline(bag, tmp_path / "offline", [run_on(bag, **parameters)])
    return answers(tmp_path / "offline"), result.warnings


def test_each_camera_of_a_sample_is_placed_beside_the_cloud(tmp_path):
    rows, warnings = offline_answers(tmp_path, write_bag(tmp_path / "bag"))
    assert len(rows) == 8 and not warnings
    for row in rows:
        assert row["placed"].keys() == set(CAMERAS) == row["views"].keys()
        assert (row["placed"]["left"]["fx"], row["placed"]["left"]["width"]) == (100.0, 64)
        np.testing.assert_allclose(row["placed"]["left"]["pose"], invert(BASE_CAMERA) @ BASE_LIDAR)


def test_04_a_camera_without_calibration_costs_its_view_and_is_named(tmp_path):
    rows, warnings = offline_answers(tmp_path, write_bag(tmp_path / "bag", info=False))
    assert all(not row["views"].keys() & row["placed"].keys() and row["placed"] == {} for row in rows)
    assert all("no CameraInfo has come" in row["masked"]["left"] for row in rows)
    assert any("camera right: camera 'right' has no calibration" in text for text in warnings)


def test_05_tf_that_comes_late_is_used_from_then_on_and_never_identity(tmp_path):
    links = [Transform("base", f"camera_{c}", BASE_CAMERA) for c in CAMERAS]
    late = (4, "/tf_static", tf(Transform("base", "lidar", BASE_LIDAR), *links))
    rows, _ = offline_answers(tmp_path, write_bag(tmp_path / "bag", fixed=False, extra=[late]))
    assert [sorted(row["placed"]) for row in rows] == [[]] * 4 + [sorted(CAMERAS)] * 4
    assert "not in the TF tree" in rows[0]["masked"]["left"]


def test_11_a_camera_info_of_zeros_costs_its_view_until_a_good_one_comes(tmp_path):
    topic, larger = "/camera/left/camera_info", model("left", 128.0, (128, 96))
    messages = [
        make("sensor_msgs/msg/CameraInfo", **{**camera_info_values(camera), **changes})
        for camera, changes in ((model("left"), {}), (model("left"), {"k": np.zeros(9)}), (larger, {}))
    ]
    extra = [(frame, topic, message) for frame, message in zip((0, 3, 5), messages, strict=True)]
    bag = write_bag(tmp_path / "bag", info=False, extra=extra)
    rows, warnings = offline_answers(tmp_path, bag)
    assert [row["placed"].get("left", {}).get("fx") for row in rows] == [100.0] * 3 + [None] * 2 + [64.0] * 3
    assert "uncalibrated" in rows[3]["masked"]["left"] and any("uncalibrated" in text for text in warnings)


def test_a_rig_stands_in_for_topics(tmp_path):
    mounts = tuple(CameraMount(c, f"/{c}", BASE_CAMERA, model(c)) for c in CAMERAS)
    write_rig(RigFile("r", "lidar", (), mounts), tmp_path / "rig.yaml")
    bag = write_bag(tmp_path / "bag", fixed=False, info=False)
    rows, warnings = offline_answers(tmp_path, bag, **{"calibration.rig": str(tmp_path / "rig.yaml")})
    assert not warnings and all(row["placed"].keys() == set(CAMERAS) for row in rows)
    with pytest.raises(CalibrationError, match="there is no rig at"):
        offline(bag, None, [run_on(bag, **{"calibration.rig": "no/such.yaml"})])


@pytest.mark.ros
def test_live_equals_offline_while_the_calibration_changes(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    from perception_nodes.nodes.replay import replay

    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 41) % 100))
    moved = from_euler(-1.4, 0.0, -1.5, (1.7, 0.2, 1.5))
    bag = write_bag(tmp_path / "bag", frames=12, extra=[
        (3, "/tf_static", tf(Transform("base", "camera_left", moved))),
        (5, "/camera/right/camera_info", make("sensor_msgs/msg/CameraInfo")),
        (7, "/tf_static", b"\x00\x01\x00\x00\x09\x00\x00\x00"),
        (9, "/tf", tf(Transform("lidar", "radar", moved, START_NS))),
    ])  # fmt: skip
    live = replay(bag, tmp_path / "live", [run_on(bag)], rate=0)
    rows, _ = offline_answers(tmp_path, bag)
    assert answers(tmp_path / "live") == rows and len(rows) == 12 == live.frames_out
    poses = [row["placed"]["left"]["pose"][0][3] for row in rows]
    assert len(set(poses[:3])) == 1 and len(set(poses[3:])) == 1 and poses[0] != poses[3]


@pytest.mark.ros
def test_a_replay_from_the_middle_has_the_latched_transforms_of_the_begin(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    from perception_nodes.nodes.replay import replay

    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 43) % 100))
    bag = write_bag(tmp_path / "bag")
    offline(bag, tmp_path / "offline", [run_on(bag)], start=0.35)
    replay(bag, tmp_path / "live", [run_on(bag)], rate=0, start=0.35)
    rows = answers(tmp_path / "offline")
    assert answers(tmp_path / "live") == rows and [len(row["placed"]) for row in rows] == [2] * 4


def test_the_graph_the_policy_and_the_declaration_know_of_the_calibration(tmp_path):
    assert system_node(CALIBRATED_TOY).remaps["~/input/left/camera_info"] == "/camera/left/camera_info"
    assert "~/input/left/camera_info" not in system_node(FUSED_TOY).remaps
    assert {"/tf", "/tf_static", "/camera/left/camera_info"} <= set(subscribed(CALIBRATED_TOY))
    run = run_on(write_bag(tmp_path / "bag"))
    assert run.calibration == {
        "tf_static": "/tf_static",
        "left/camera_info": "/camera/left/camera_info",
        "right/camera_info": "/camera/right/camera_info",
    }
    assert run_node(run).remaps["~/input/left/camera_info"] == "/camera/left/camera_info"
    from dataclasses import replace

    with pytest.raises(SystemError, match="CalibratedConfig"):
        replace(CALIBRATED_TOY, config=FusedConfig)
    with pytest.raises(ConfigError, match="calibration"):
        run_on(tmp_path / "bag", **{"calibration.riig": "x"}).config  # noqa: B018
