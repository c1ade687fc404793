"""A system declared in one file runs live, offline, recorded, scored and shown, with no other file changed."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.graph import plans_of, resolve
from perception_nodes.nodes.replay import replay as play
from perception_nodes.policy import policy
from perception_nodes.systems.evaluate import evaluate
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun, find_runs
from tests.nodes.cameras import jpeg
from tests.nodes.conftest import DOMAIN, QUICK, cloud
from tests.nodes.test_tsm_replay import both
from tests.systems import toy

CAMERAS = {name: f"/camera/{name}/image/compressed" for name in ("front", "left")}


def drive(folder, frames=8):
    """A bag with clouds and the pictures of two cameras."""
    return both(folder / "drive", frames, cameras=tuple(CAMERAS))


def answers(bag):
    with BagReader(bag) as reader:
        return [json.loads(reader.decode(m.raw, m.type).data) for m in reader.messages([toy.TOPIC])]


@pytest.mark.ros
def test_it_runs_live_on_dds(stage):
    from sensor_msgs.msg import CompressedImage, PointCloud2
    from std_msgs.msg import String

    from perception_nodes.nodes.system_node import SystemNode

    node = stage.add(SystemNode(toy.SYSTEM, overrides={"stream.queue": 20, **QUICK}, context=stage.context))
    got = stage.listen(String, "/toy_node/output/answer")
    outs = {name: stage.publisher(CompressedImage, f"/toy_node/input/{name}/image") for name in CAMERAS}
    outs["points"] = stage.publisher(PointCloud2, "/toy_node/input/points")
    for out in outs.values():
        stage.connected(out)
    stage.until(lambda: node._out["~/output/answer"].get_subscription_count())
    for i in range(4):
        for name in CAMERAS:
            outs[name].publish(jpeg(10 + i / 10, i, size=(16, 16)))
        outs["points"].publish(cloud(10 + i / 10, n=4 + i))
    stage.until(lambda: len(got) >= 3)
    rows = [json.loads(message.data) for message in got[:3]]
    assert [row["points"] for row in rows] == [4, 5, 6]
    assert [row["stamp"] for row in rows] == [10_000_000_000, 10_100_000_000, 10_200_000_000]
    assert rows[-1]["seen"]["points"] == 3


@pytest.mark.ros
def test_it_is_recorded_and_equals_its_offline_run(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 29) % 100))
    bag = drive(tmp_path)
    with BagReader(bag) as reader:
        (run,) = find_runs(reader, ("toy",), tuple(CAMERAS), systems=(toy.SYSTEM,))
    assert dict(run.topics) == {"points": "/lidar/points", **CAMERAS}
    live = play(bag, tmp_path / "live", [run], rate=0)
    off = offline(bag, tmp_path / "offline", [run])
    assert (live.frames_in, live.frames_out) == (8, 8) == (off.frames_in, off.frames_out)
    assert answers(tmp_path / "live") == answers(tmp_path / "offline")
    assert all(set(row["brightness"]) == set(CAMERAS) for row in answers(tmp_path / "offline"))
    with BagReader(tmp_path / "live") as reader:
        assert reader.topics()[f"{toy.TOPIC}/classes"].count == 1
        assert reader.topics()["/toy_node/debug/processing_time/total_ms"].count == 8


def test_it_is_scored_and_reported(tmp_path):
    bag = drive(tmp_path)
    offline(bag, tmp_path / "out", [SystemRun(toy.SYSTEM, {"points": "/lidar/points", **CAMERAS})])
    folder = evaluate(tmp_path / "out", bag, tmp_path / "results", systems=(toy.SYSTEM,))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["toy"] == {"right": 1.0}
    assert metrics["frames"] == {"in": 8, "out": 8, "dropped": 0}
    assert "of the answers" in (folder / "report.html").read_text()


def test_it_is_in_the_graph_and_in_the_access_policy():
    plans = plans_of((toy.SYSTEM,))
    (node,) = resolve(plans["toy"], {"points": "/velodyne"})
    assert node.name == "toy_node" and node.remaps["~/input/points"] == "/velodyne"
    assert node.remaps["~/output/answer"] == toy.TOPIC.lstrip("/")  # relative: it follows the namespace
    names = [node.name for node in resolve(plans["replay"], {"bag": "x", "toys": "true"})]
    assert names == ["toy_node", "player_node"]
    nodes = [profile.get("node") for profile in ElementTree.fromstring(policy((toy.SYSTEM,)).encode()).iter("profile")]
    assert nodes == ["toy_node", "player_node", "simulator_node", "recorder"]


def test_its_panel_takes_its_topic_in_the_viewer(tmp_path):
    pytest.importorskip("rerun")
    from perception_nodes.viewer.log import Log

    made = []
    panel = replace(toy.SYSTEM.panels[0], open=lambda rr, stream: made.append(toy.ToyLog(rr, stream)) or made[0])
    log = Log("toy", save=tmp_path / "look.rrd", panels=(panel,))
    log.message(toy.TOPIC, "std_msgs/msg/String", object(), 10**9)
    log.close()
    assert made[0].shown == 1
