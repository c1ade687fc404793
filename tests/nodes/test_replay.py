"""A bag through player, node and recorder on real DDS."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.replay import replay
from perception_nodes.systems import spvcnn
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun
from tests.nodes.bags import write_bag
from tests.nodes.conftest import DOMAIN, HeightSession

pytestmark = pytest.mark.ros


PATIENT = {"stream.queue": 50, "qos.input.depth": 50, "qos.output.depth": 50}  # nothing is lost on a busy machine


def clouds(session, **parameters):
    """The segmentation system on /lidar/points, with a session or what makes one."""
    make = session if callable(session) else lambda config: session
    return [SystemRun(spvcnn.SYSTEM, {"points": "/lidar/points"}, parameters, make)]


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + DOMAIN % 100))


class MixSession(HeightSession):
    """Labels and scores that depend on every input bit."""

    def step(self, xyz, intensity):
        label = (np.abs(xyz.view(np.uint32)).sum(axis=1) + intensity.view(np.uint32)) % 19
        return SimpleNamespace(label=label.astype(np.uint8), score=intensity / 2)


def answers(bag):
    with BagReader(bag) as reader:
        found = {}
        for message in reader.messages(["/perception/segmentation"]):
            cloud = reader.decode(message.raw, message.type)
            raw = read_layout(cloud)
            found[cloud.header.stamp.sec * 10**9 + cloud.header.stamp.nanosec] = {
                name: raw.column(name).copy() for name in raw.fields
            }
        return found


def test_the_same_bag_gives_the_same_output_live_or_offline(tmp_path):
    bag = write_bag(tmp_path / "drive")
    live = replay(bag, tmp_path / "live", clouds(MixSession(), **PATIENT), rate=2.0)
    off = offline(bag, tmp_path / "offline", clouds(MixSession()))
    assert (live.frames_in, live.frames_out, live.dropped) == (6, 6, 0)
    assert (off.frames_in, off.frames_out) == (6, 6)
    one, two = answers(tmp_path / "live"), answers(tmp_path / "offline")
    assert list(one) == list(two) and len(one) == 6
    for stamp, columns in one.items():
        assert list(columns) == list(two[stamp])
        for name, column in columns.items():
            np.testing.assert_array_equal(column, two[stamp][name])
    assert 0 < live.latency_ms["p50"] <= live.latency_ms["p99"] < 5000


def test_the_record_holds_labels_class_table_timing_and_diagnostics(tmp_path):
    bag = write_bag(tmp_path / "drive", frames=12)
    replay(bag, tmp_path / "out", clouds(HeightSession(), **PATIENT), rate=5.0)
    with BagReader(tmp_path / "out") as reader:
        topics = reader.topics()
        assert topics["/perception/segmentation"].count == 12
        assert topics["/perception/segmentation/classes"].count == 1
        assert topics["/diagnostics"].count >= 1
        assert topics["/spvcnn_node/debug/processing_time/total_ms"].count == 12
        assert topics["/spvcnn_node/debug/pipeline_latency_ms"].count == 12
        note = json.loads(reader.notes["replay"])
    assert note["frames_in"] == 12 and note["dropped"] == 0


def test_rate_zero_drops_nothing_however_slow_the_network(tmp_path):
    bag = write_bag(tmp_path / "drive", frames=5, hz=100.0)
    result = replay(bag, None, clouds(HeightSession(delay_s=0.05)), rate=0)
    assert (result.frames_in, result.frames_out) == (5, 5)


def test_a_patient_replay_keeps_its_rate_and_drops_nothing_where_a_network_is_slower(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=8)
    slow = replay(bag, None, clouds(HeightSession(delay_s=0.2)), rate=5.0, patient=True)
    assert (slow.frames_in, slow.frames_out, slow.dropped) == (8, 8, 0) and slow.wall_s >= 8 * 0.2
    fast = replay(bag, None, clouds(HeightSession()), rate=1.0, patient=True)
    assert fast.dropped == 0 and fast.wall_s >= 0.7  # no faster than the bag


def test_a_failed_replay_leaves_nothing_half_written(tmp_path):
    bag = write_bag(tmp_path / "drive")

    def broken(config):
        raise RuntimeError("the weights are broken")

    with pytest.raises(NodeError, match="spvcnn_node could not be started: the weights are broken"):
        replay(bag, tmp_path / "out", clouds(broken))
    with pytest.raises(BagError, match="absent"):
        replay(tmp_path / "absent", tmp_path / "out", clouds(broken))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive"]


def test_a_listener_sees_every_answer_and_the_topics_it_asked_for(tmp_path):
    bag = write_bag(tmp_path / "drive", frames=5)
    seen = []
    replay(
        bag,
        None,
        clouds(HeightSession()),
        rate=0,
        topics=("/lidar/points",),
        listener=lambda topic, kind, message, stamp: seen.append((topic, kind.split("/")[-1], stamp)),
    )
    kinds = {(topic, kind) for topic, kind, _ in seen}
    assert {("/perception/segmentation", "PointCloud2"), ("/lidar/points", "PointCloud2")} <= kinds
    assert sum(topic == "/perception/segmentation" for topic, _, _ in seen) == 5
    assert all(stamp > 10**18 for topic, _, stamp in seen if topic == "/perception/segmentation")
