"""The faults that bevfusion_node must survive, each made to happen on real DDS, the diagnostic included.

test_bevfusion_node.py has 3, 4, 5, 8, 10, 11, 13 and 19; tests/systems/test_bevfusion.py has them offline.
"""

import json
import os
import signal
import time

import numpy as np
import pytest

from tests.nodes.bevfusion_bench import LIDAR, NODE, Bench, Probe, write_rig_file
from tests.nodes.conftest import status
from tests.nodes.test_process import active, children_of, start  # noqa: F401  (a fixture)
from tests.systems.bevfusion import CAMERAS, cloud

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A rig YAML with the LiDAR and both cameras."""
    return write_rig_file(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def bench(stage, rig):
    return lambda **changes: Bench(stage, **{"rig": rig, "network": Probe(), **changes})


def stamps(rows):
    return [row["stamp_ns"] / 1e9 for row in rows]


def test_01_looping_a_bag_gives_the_same_answer_each_loop(stage, rig):
    b = Bench(stage, rig)  # the small random network: its boxes are compared
    for _ in range(3):
        b.drive(12)
    rows = b.answered(36)
    assert rows[:12] == rows[12:24] == rows[24:] and all(row["velocity"] for row in rows)
    b.says("input", 1, "jumped back", time_jumps=2 * (1 + len(CAMERAS)))


def test_02_a_gap_resets_the_network_and_lost_sweeps_are_counted(bench):
    network = Probe()
    b = bench(network=network)
    b.drive(5)
    b.answered(5)
    before = network.resets
    b.drive(1, start=12.4)
    assert stamps(b.answered(6))[-1] == 12.4 and network.resets == before + 1
    b.says("input", 1, "gap", missed_frames=19 * (1 + len(CAMERAS)))


def test_06_an_empty_cloud_is_answered_with_an_empty_result_and_a_warning(bench):
    b = bench(sensors=(LIDAR,), **{"collect.wait_s": 0.01})
    empty = {"xyz": np.zeros((0, 3), np.float32), "intensity": np.zeros(0, np.float32)}
    b.send(LIDAR, 10.0, columns=empty)
    b.send(LIDAR, 10.1)
    rows = b.answered(2)
    assert [row["points_used"] for row in rows] == [0, 400]
    b.says("input", 1, "the answer is empty", nothing_seen=1)


def test_07_points_that_are_not_finite_do_not_reach_the_network(bench):
    network = Probe()
    b = bench(network=network)
    spoilt = cloud(0)
    spoilt["xyz"][::4] = np.nan
    for camera in CAMERAS:
        b.send(camera, 10.0)
    b.send(LIDAR, 10.0, columns=spoilt, is_dense=True)  # a lie
    assert b.answered(1)[0]["points_used"] == 300 and np.isfinite(network.given[-1]["points"]).all()


def test_09_a_cloud_without_intensity_gives_zeros_and_one_warning(bench):
    network = Probe()
    b = bench(network=network, sensors=(LIDAR,), **{"collect.wait_s": 0.01})
    for at in (10.0, 10.1):
        b.send(LIDAR, at, columns={"xyz": cloud(0)["xyz"]})
    b.answered(2)
    assert not network.given[-1]["points"][:, 3].any()
    b.says("input", 1, "no intensity", no_intensity=2)


def test_12_an_overloaded_node_keeps_the_newest_sweep_and_counts_what_it_dropped(bench):
    b = bench(network=Probe(delay_s=0.1), sensors=(LIDAR,), **{
        "stream.queue": 1, "latency.warn_ms": 20.0, "latency.error_ms": 60.0, "collect.wait_s": 0.0,
    })  # fmt: skip
    now = b.stage.client.get_clock().now().nanoseconds * 1e-9
    for i in range(10):
        b.send(LIDAR, now + i / 1000)
    b.stage.until(lambda: b.answers and stamps(b.answered(1))[-1] == pytest.approx(now + 0.009, abs=1e-4))
    dropped = b.node.health.counter("processing", "dropped_overload")
    assert dropped + len(b.answers) == 10 and dropped >= 5
    b.says("processing", 2, "above 60 ms")


def test_14_more_points_than_planned_are_capped_alike_each_time_with_a_warning(bench):
    network = Probe()
    b = bench(network=network, sensors=(LIDAR,), **{"input.max_points": 50, "collect.wait_s": 0.01})
    for at in (10.0, 10.1):
        b.send(LIDAR, at, columns=cloud(3))
    b.answered(2)
    first, second = (given["points"] for given in network.given[-2:])
    assert len(first) == 50 and np.array_equal(first, second)
    b.says("input", 1, "400 points; 50", capped=2)


def test_14_out_of_memory_costs_the_sweep_and_says_what_to_do(bench):
    network = Probe()
    b = bench(network=network)
    network.error = MemoryError()
    b.drive(1)
    b.says("processing", 2, "Name fewer cameras, send smaller pictures", out_of_memory=1)
    network.error = None
    b.drive(1, start=10.1)
    assert stamps(b.answered(1)) == [10.1]


def test_15_a_signal_ends_the_process_with_code_0_without_traceback_and_child(start):  # noqa: F811
    given = ["-p", "model.name:=random:bevfusion-lite-tiny", "-p", "model.runtime:=torch", "-p", "cameras:=[front]"]
    command = ("-m", "perception_nodes.nodes.bevfusion_node", "--ros-args", *given)
    begun = {n: start(*command, "-r", f"~/input/points:=/p{n:d}") for n in (signal.SIGINT, signal.SIGTERM)}
    for number, child in begun.items():
        active(child, f"/p{number:d}", timeout=150.0)  # both import torch, perhaps beside other work
    for number, child in begun.items():
        os.killpg(child.pid, number)
    for child in begun.values():
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0 and "Traceback" not in said and not children_of(child.pid), said


def test_16_a_camera_with_another_qos_is_named_with_both_policies(bench, stage):
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CompressedImage

    b = bench(sensors=(LIDAR,), **{"qos.input.reliability": "reliable"})
    topic = f"{NODE}/input/left/image"
    stage.publisher(CompressedImage, topic, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    b.says("qos", 1, f"{topic}: reliability does not match")
    text = status(b.health, "qos")[1]
    assert "publisher offers best_effort" in text and "subscriber asks for reliable" in text


def test_17_large_pictures_and_clouds_all_arrive_over_best_effort(bench):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    network = Probe()
    b = bench(network=network, qos=QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    noise = np.random.default_rng(0).integers(0, 256, (640, 1024, 3), np.uint8)  # a JPEG of 0.7 MB
    large = cloud(0, points=60_000)
    for i in range(8):
        for camera in CAMERAS:
            b.send(camera, 10 + i / 10, rgb=noise)
        b.send(LIDAR, 10 + i / 10, columns=large)
    rows = b.answered(8)
    assert all(row["cameras"] == list(CAMERAS) and row["points_used"] == 60_000 for row in rows)
    assert b.node.health.counter("input", "lost_in_transport") == 0
    assert network.given[-1]["images"]["left"].shape == (640, 1024, 3)


def test_20_class_tables_travel_latched_and_name_the_classes_of_the_boxes(stage, rig):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES

    b = Bench(stage, rig)
    b.drive(1)
    b.answered(1)  # the tables were sent before anybody listened
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for output, classes in (("detections", BOX_CLASSES), ("map_image", MAP_CLASSES)):
        got = stage.listen(String, f"{NODE}/output/{output}/classes", latched)
        stage.until(lambda got=got: got)
        rows = json.loads(got[0].data)["classes"]
        assert [(row["id"], row["name"]) for row in rows] == [(i, c.name) for i, c in enumerate(classes)]


def test_21_simulated_time_without_a_clock_and_stamps_of_another_time_are_said(bench):
    b = bench(**{"use_sim_time": True, "diagnostics.clock_patience_s": 0.2})
    b.says("clock", 1, "nothing comes on /clock")
    assert "use_sim_time:=false" in status(b.health, "clock")[1]


def test_21_stamps_of_another_time_are_said(bench):
    b = bench()
    b.drive(1)
    b.says("clock", 1, "use_sim_time:=true")


def test_22_duplicates_and_messages_out_of_order_are_dropped_and_counted(bench):
    b = bench()
    b.drive(4)
    for name, at in ((LIDAR, 10.3), ("left", 10.3), ("left", 10.2), (LIDAR, 10.2)):
        b.send(name, at)
    b.drive(2, start=10.4)
    rows = b.answered(6)
    time.sleep(0.1)
    assert stamps(b.answered(6)) == pytest.approx([10 + i / 10 for i in range(6)])
    assert all(row["cameras"] == list(CAMERAS) for row in rows)
    b.says("input", 1, "duplicate", duplicates=2, out_of_order=2)


def test_bad_input_a_rig_without_cameras_masks_every_view_and_says_what_to_add(stage, tmp_path):
    b = Bench(stage, write_rig_file(tmp_path, cameras=()), network=Probe())
    b.drive(1)
    assert b.answered(1)[0]["cameras"] == []
    b.says("camera left", 1, "give a rig YAML with cameras.left (size, intrinsics, base_from_camera)")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cameras": []}, "no camera is named: give one or more"),
        ({"cameras": ["front", "front"]}, "camera 'front': expected names .* each once"),
        ({"calibration.rig": "/nowhere.yaml"}, "there is no rig at /nowhere.yaml; see config/rigs/"),
        ({"model.name": "random:spvcnn-lite"}, "is a spvcnn: expected a bevfusion or bevfusion-lite"),
        ({"model.name": "bevfusion-det.pth"}, "perception weights import bevfusion-det.pth"),
        ({"model.name": "absent"}, "no model 'absent': expected one of"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence_that_says_what_to_give(given, sentence, tmp_path, monkeypatch):
    from models.facts import ModelError
    from perception_nodes.calibration.errors import CalibrationError
    from perception_nodes.config import ConfigError, build_config
    from perception_nodes.systems import bevfusion
    from perception_nodes.systems.runner import Runner

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bevfusion-det.pth").write_bytes(b"PK\x03\x04")
    given = {"model.name": "random:bevfusion-lite-tiny", "model.runtime": "torch", **given}
    with pytest.raises((ConfigError, CalibrationError, ModelError), match=sentence) as error:
        Runner(bevfusion.SYSTEM, build_config(bevfusion.SYSTEM.config, given, "bevfusion_node"))
    assert "\n" not in str(error.value)
