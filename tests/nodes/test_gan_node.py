"""gan_node on real DDS: own topics, headers untouched, settings while pictures flow, live equal to offline."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.messages.image import decode_image
from perception_nodes.nodes.replay import replay
from perception_nodes.systems import gan
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun
from tests.nodes.cameras import jpeg, raw, write_camera_bag
from tests.nodes.conftest import DOMAIN, QUICK, stamp_s

pytestmark = pytest.mark.ros
INPUT, STYLE = "/gan_node/input/image", "/gan_node/output/style"
TONE = {"style.name": "random:gan-tone-residual", "model.runtime": "torch", "model.threads": 1}


def start(stage, topic=INPUT, **overrides):
    from perception_nodes.nodes.system_node import SystemNode

    ros = {"cli_args": ["--ros-args", "-r", f"~/input/image:={topic}"], "context": stage.context}
    given = {"stream.queue": 20, "qos.output.depth": 20, **QUICK, **TONE, **overrides}
    return stage.add(SystemNode(gan.SYSTEM, overrides=given, **ros))


def listening(stage, node, kind, name):
    got = stage.listen(kind, name.replace("~", "/gan_node"))
    stage.until(lambda: node._out[name].get_subscription_count())
    return got


def test_headers_stay_strength_0_is_the_message_itself_and_settings_change_without_a_lost_frame(stage):
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    node = start(stage)
    pictures = listening(stage, node, Image, "~/output/image")
    rows = listening(stage, node, String, "~/output/style")
    out = stage.publisher(Image, INPUT)
    stage.connected(out)
    sent = []
    for i in range(12):
        if i == 4:
            assert node.set_parameters([Parameter("style.strength", value=0.0)])[0].successful
        if i == 8:
            for name, value in (("style.strength", 1.0), ("style.resolution", 32)):
                assert node.set_parameters([Parameter(name, value=value)])[0].successful
        sent.append(raw(10 + i / 10, 4, encoding="bgr8"))
        out.publish(sent[-1])
        stage.until(lambda n=i + 1: len(pictures) >= n and len(rows) >= n)
    assert [stamp_s(p) for p in pictures] == pytest.approx([10 + i / 10 for i in range(12)])
    assert {p.header.frame_id for p in pictures} == {"camera_front"}
    assert all(bytes(p.data) == bytes(s.data) and p.encoding == "bgr8" for p, s in zip(pictures[4:8], sent[4:8]))
    told = [json.loads(row.data) for row in rows]
    assert [row["style"] for row in told] == [TONE["style.name"]] * 4 + [""] * 4 + [TONE["style.name"]] * 4
    assert told[-1]["resolution"] in (0, 32)  # 0 where the new one is still being compiled
    assert node.health.counter("processing", "dropped_overload") == 0 and stage.faults == []
    refused = node.set_parameters([Parameter("style.name", value="snow")])[0]
    assert not refused.successful and "no style 'snow': trained styles are" in refused.reason


def test_compressed_pictures_and_the_comparison_come_on_topics_of_their_own(stage):
    from sensor_msgs.msg import CompressedImage

    node = start(stage, topic="/pictures/gan")
    pictures = listening(stage, node, CompressedImage, "~/output/image/compressed")
    both = listening(stage, node, CompressedImage, "~/output/comparison")
    out = stage.publisher(CompressedImage, "/pictures/gan")
    stage.connected(out)
    out.publish(jpeg(3.5, 5))
    stage.until(lambda: pictures and both)
    assert stamp_s(pictures[0]) == 3.5 and decode_image(pictures[0]).rgb.shape == (48, 64, 3)
    assert decode_image(both[0]).rgb.shape == (48 + 26, 2 * 64 + 8, 3)
    assert any("untrained" in status.message for status in node.health.report() if status.name == "model")


def test_live_and_offline_send_the_same_bytes(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 29) % 100))
    cameras = ("front", "left")
    bag = write_camera_bag(tmp_path / "bag", frames=4, cameras=cameras)
    topics = {name: f"/camera/{name}/image/compressed" for name in cameras}
    run = SystemRun(gan.SYSTEM, topics, {**TONE, "style.resolution": 32}, every_output=True)
    offline(bag, tmp_path / "offline", [run])
    replay(bag, tmp_path / "live", [run], rate=0.0)
    found = []
    for name in ("offline", "live"):
        with BagReader(tmp_path / name) as reader:
            own = [t for t in reader.topics() if "gan_node/output" in t or t.startswith("/perception/style")]
            found.append({t: [raw for *_, raw in reader.messages([t])] for t in sorted(own)})
    assert found[0] == found[1] and {len(v) for v in found[0].values()} == {4, 8}
    assert sorted(found[0]) == [
        *(f"/gan_node/output/{c}/image{end}" for c in cameras for end in ("", "/compressed")),
        "/perception/style",
        "/perception/style/comparison",
    ]


def test_a_damaged_picture_is_dropped_and_named_and_the_next_is_restyled(stage):
    from sensor_msgs.msg import Image

    node = start(stage)
    pictures = listening(stage, node, Image, "~/output/image")
    out = stage.publisher(Image, INPUT)
    stage.connected(out)
    out.publish(raw(1.0, encoding="rgb4"))
    out.publish(raw(1.1))
    stage.until(lambda: pictures)
    assert stamp_s(pictures[0]) == 1.1 and node.health.counter("input", "rejected") == 1
    assert np.frombuffer(pictures[0].data, np.uint8).size == 48 * 64 * 3
