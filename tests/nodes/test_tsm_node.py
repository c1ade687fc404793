"""tsm_node on real DDS: what goes in, what comes out; and as a process."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from perception_nodes.classes import EVENTS as EVENT_NAMES
from tests.nodes.cameras import LevelSession, jpeg, raw
from tests.nodes.conftest import DOMAIN, QUICK, stamp_s, status, tsm_node

pytestmark = pytest.mark.ros
INPUT, EVENTS = "/tsm_node/input/image", "/tsm_node/output/events"


def start(stage, session=None, detector=None, topic=INPUT, **overrides):

    session = session or LevelSession()
    given = {"stream.queue": 20, **QUICK, **overrides}
    ros = {"cli_args": ["--ros-args", "-r", f"~/input/image:={topic}"], "context": stage.context}
    return stage.add(tsm_node(session, detector, overrides=given, **ros))


def wired(stage, node, kind, topic=INPUT):
    """A publisher that the node has found, with somebody listening to its events."""
    from std_msgs.msg import String

    got = stage.listen(String, EVENTS)
    out = stage.publisher(kind, topic)
    stage.connected(out)
    stage.until(lambda: node._out["~/output/events"].get_subscription_count())
    return out, got


@pytest.mark.parametrize(("make", "transport"), [(raw, "auto"), (raw, "raw"), (jpeg, "auto"), (jpeg, "compressed")])
def test_raw_and_compressed_pictures_are_told_apart_by_type(stage, make, transport):
    from sensor_msgs.msg import CompressedImage, Image
    from std_msgs.msg import String

    # A topic of its own: the middleware keeps a topic's type for as long as the process lives.
    topic = f"/pictures/{make.__name__}"
    node = start(stage, topic=topic, **{"input.transport": transport})
    out, got = wired(stage, node, Image if make is raw else CompressedImage, topic)
    out.publish(make(100.25, 4))
    stage.until(lambda: got)
    row = json.loads(got[0].data)
    assert (row["stamp"], row["camera"], row["event"]) == (100_250_000_000, "front", "lead_vehicle_braking")
    assert row["score"] == pytest.approx(0.501) and sum(row["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert isinstance(got[0], String)


def test_the_debug_picture_is_drawn_only_where_somebody_looks(stage):
    from sensor_msgs.msg import CompressedImage, Image

    node = start(stage, LevelSession(trained=False), **{"debug.width": 64})
    out, got = wired(stage, node, CompressedImage)
    out.publish(jpeg(1.0, 2, size=(100, 200)))
    stage.until(lambda: got)
    pictures = stage.listen(Image, "/tsm_node/debug/image")
    stage.until(lambda: node._out["~/debug/image"].get_subscription_count())
    out.publish(jpeg(1.1, 2, size=(100, 200)))
    stage.until(lambda: pictures)
    time.sleep(0.1)
    (picture,) = pictures
    assert (picture.width, picture.height, picture.encoding) == (64, 32, "rgb8") and stamp_s(picture) == 1.1
    assert picture.header.frame_id == "camera_front"
    pixels = np.frombuffer(picture.data, np.uint8).reshape(32, 64, 3).astype(int)
    assert ((pixels[..., 0] - pixels[..., 1]) > 100).any()  # the red warning


def test_a_topic_that_cannot_be_subscribed_is_said_and_the_node_lives_on(stage):
    """In one process the middleware refuses a second type under one name."""
    from sensor_msgs.msg import Image

    stage.publisher(Image, "/pictures/other")
    node = start(stage, topic="/pictures/other", **{"input.transport": "compressed"})
    stage.until(lambda: node.health.counter("input", "refused_topics"))
    assert stage.faults == []


class OneBox:
    """A detector that finds one box, a quarter of the picture."""

    facts = SimpleNamespace(trained=True, classes=({"name": "car", "rgb": (255, 0, 0)},))

    def step(self, frames, stamps_ns=None):
        box = {c: np.array([[0, 0, f.shape[1] / 2, f.shape[0] / 2]], np.float32) for c, f in frames.items()}
        score = np.array([0.9], np.float32)
        return {c: SimpleNamespace(box=b, score=score, category=("car",)) for c, b in box.items()}

    def reset(self, camera=None):
        pass


def test_boxes_go_out_as_markers_and_to_whoever_records(stage):
    from sensor_msgs.msg import CompressedImage
    from visualization_msgs.msg import MarkerArray

    from perception_nodes.bags.typestore import from_bytes
    from perception_nodes.messages.detections2d import read_detections2d

    node = start(stage, detector=OneBox())
    found = []
    node.uninstalled_listener = lambda *row: found.append(row)
    markers = stage.listen(MarkerArray, "/tsm_node/output/markers")
    out, _ = wired(stage, node, CompressedImage)
    stage.until(lambda: node._out["~/output/markers"].get_subscription_count())
    out.publish(jpeg(1.0, 7))
    stage.until(lambda: markers and found)
    assert [m.ns for m in markers[0].markers] == ["events/front", "events/front", "events/front/boxes"]
    assert markers[0].markers[1].text == "cut_out 0.50"
    topic, raw = found[0]
    boxes = read_detections2d(from_bytes(raw, "vision_msgs/msg/Detection2DArray"))
    assert (topic, boxes.stamp_ns) == ("/tsm_node/output/detections", 10**9)
    assert boxes.box.tolist() == [[0.0, 0.0, 32.0, 24.0]]


def test_until_warm_only_that_is_said_and_held_answers_are_marked_and_not_timed(stage):
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Float64, String
    from visualization_msgs.msg import MarkerArray

    node = start(stage, LevelSession(warm_after=2, period=2), detector=OneBox())
    total = stage.listen(Float64, "/tsm_node/debug/processing_time/total_ms")
    markers = stage.listen(MarkerArray, "/tsm_node/output/markers")
    got = stage.listen(String, EVENTS)
    out = stage.publisher(CompressedImage, INPUT)
    stage.connected(out)
    names = ("~/output/events", "~/output/markers")
    stage.until(lambda: all(node._out[name].get_subscription_count() for name in names))
    stage.until(lambda: node._timing._publishers["~/debug/processing_time/total_ms"].get_subscription_count())
    for i in range(6):
        out.publish(jpeg(1 + i / 10, i))
        stage.until(lambda n=i + 1: len(got) >= n)
    rows = [json.loads(message.data) for message in got]
    assert [row["event"] for row in rows] == ["warming_up"] * 2 + [EVENT_NAMES[2]] * 2 + [EVENT_NAMES[4]] * 2
    assert [row["held"] for row in rows] == [False, True] * 3 and rows[0]["scores"] == rows[1]["scores"] == {}
    assert [row["stamp"] for row in rows] == [round((1 + i / 10) * 1e9) for i in range(6)]
    stage.until(lambda: node.health.counter("processing", "held") == 3)
    assert node.health.counter("processing", "processed") == 3
    stage.until(lambda: len(total) == 3 and len(markers) == 3)
    assert markers[0].markers[1].text == "warming up"


def test_while_nobody_listens_nothing_is_computed_and_the_past_is_forgotten(stage):
    from sensor_msgs.msg import CompressedImage

    session = LevelSession()
    node = start(stage, session)
    out = stage.publisher(CompressedImage, INPUT)
    stage.connected(out)
    out.publish(jpeg(1.0))
    stage.until(lambda: node.health.counter("processing", "not_wanted"))
    assert session.remembered == {} and session.resets[-1] is None


def test_the_node_says_what_it_runs_and_how_much_it_remembers(stage):
    from diagnostic_msgs.msg import DiagnosticArray

    health = stage.listen(DiagnosticArray, "/diagnostics")
    start(stage)
    stage.until(lambda: status(health, "model")[2].get("engine") == "by hand")
    assert "cache_bytes" in status(health, "model")[2]


def test_a_real_network_runs_in_the_node_and_its_randomness_is_said(stage):
    """`random:…` weights through the whole path: two cameras, an own cache each."""
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import String


    overrides = {
        "stream.queue": 20, **QUICK, "cameras": ["front", "rear"], "model.name": "random:tsm-events-mobilenetv2",
        "model.runtime": "torch", "model.threads": 1, "qos.output.depth": 20,
    }  # fmt: skip
    node = stage.add(tsm_node(overrides=overrides, context=stage.context))
    got = stage.listen(String, EVENTS)
    outs = {c: stage.publisher(CompressedImage, f"/tsm_node/input/{c}/image") for c in ("front", "rear")}
    for out in outs.values():
        stage.connected(out)
    stage.until(lambda: node._out["~/output/events"].get_subscription_count())
    for i in range(3):
        for camera, out in outs.items():
            out.publish(jpeg(10 + i / 5, i + (camera == "rear"), size=(96, 160)))
        stage.until(lambda n=2 * i + 2: len(got) >= n, timeout=60.0)
    rows = [json.loads(m.data) for m in got]
    assert [row["camera"] for row in rows] == ["front", "rear"] * 3
    assert all((row["event"], row["scores"], row["warm"]) == ("warming_up", {}, False) for row in rows)
    assert node.session.session.cache_bytes > 0
    assert any("untrained" in s.message for s in node.health.report() if s.name == "model")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"cameras": ["a b"]}, "camera 'a b': expected names"),
        ({"cameras": ["a", "a"]}, "each once"),
        ({"collect.min_cameras": 3}, "collect.min_cameras is 3, with 1 cameras"),
        ({"model.runtime": "tvm"}, "model.runtime"),
        ({"modle.name": "x"}, "did you mean 'model.name'"),
    ],
)
def test_bad_parameters_are_one_sentence(stage, overrides, sentence):
    from perception_nodes.config import ConfigError

    with pytest.raises(ConfigError) as told:
        tsm_node(overrides=overrides, context=stage.context)
    assert sentence in str(told.value)


@pytest.mark.parametrize("name", ["absent", "random:spvcnn-lite"])
def test_a_network_that_is_no_video_network_fails_to_configure_with_one_sentence(stage, name):
    from rclpy.lifecycle import TransitionCallbackReturn


    node = stage.add(tsm_node(overrides={**QUICK, "model.name": name}, context=stage.context), start=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "no model 'absent'" in node.last_error or "no video network" in node.last_error


def test_the_access_policy_covers_the_node(stage):
    from perception_nodes.graph import PLANS, resolve
    from perception_nodes.nodes.compose import ros_arguments
    from tests.nodes.test_security import held_by_the_policy

    resolved = resolve(PLANS["tsm"], {})[0]
    for cameras in (["front"], ["front", "left"]):
        node = tsm_node(
            LevelSession(),
            overrides=resolved.parameters | {"cameras": cameras, "input.transport": "compressed"},
            cli_args=ros_arguments(resolved),
            use_global_arguments=False,
            context=stage.context,
        )
        held_by_the_policy(stage, stage.add(node))
        stage.clear()
        del node
        gc.collect()  # a node is gone when nothing refers to it


PROCESS = """
import sys
from perception_nodes.nodes.main import run
from tests.nodes.cameras import LevelSession
from tests.nodes.conftest import tsm_node
def make(**kwargs):
    return tsm_node(LevelSession(), **kwargs)
raise SystemExit(run([make], sys.argv))
"""


def test_ctrl_c_leaves_no_traceback_and_no_child(monkeypatch):
    from tests.nodes.test_process import active, children_of

    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 71) % 100))
    command = [sys.executable, "-c", PROCESS, "--ros-args", "-p", "input.transport:=raw"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        active(child, INPUT, timeout=90.0)
        os.killpg(child.pid, signal.SIGINT)
        said, _ = child.communicate(timeout=120)
        assert child.returncode == 0 and "Traceback" not in said and not children_of(child.pid), said
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
