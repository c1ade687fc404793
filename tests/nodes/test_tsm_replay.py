"""Pictures through player, tsm_node and recorder on real DDS: equal to the offline run, alone and beside the LiDAR."""

import json

import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.nodes.replay import replay
from perception_nodes.streaming.bag_inputs import camera_name, find_inputs
from perception_nodes.streaming.offline import offline
from perception_nodes.streaming.video_plan import VideoPlan
from tests.nodes.bags import write_bag
from tests.nodes.cameras import LevelSession, write_camera_bag
from tests.nodes.conftest import DOMAIN, HeightSession

PATIENT = {"stream.queue": 50, "qos.input.depth": 50, "qos.output.depth": 50}  # nothing is lost on a busy machine


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 57) % 100))


def plan(cameras=("front",), **changes):
    topics = {name: f"/camera/{name}/image/compressed" for name in cameras}
    given = {"model": "by hand", "parameters": PATIENT, "session_factory": lambda config: LevelSession()}
    return VideoPlan(topics, **(given | changes))


def events(bag):
    with BagReader(bag) as reader:
        rows = [json.loads(reader.decode(m.raw, m.type).data) for m in reader.messages(["/perception/events"])]
        return sorted(rows, key=lambda row: (row["stamp"], row["camera"]))


def both(path, frames):
    """A bag with clouds and pictures."""
    with BagWriter(path) as bag:
        parts = (write_bag(path.parent / "clouds", frames=frames), write_camera_bag(path.parent / "pictures", frames))
        rows = []
        for part in parts:
            with BagReader(part) as reader:
                rows += [(m.stamp_ns, m.topic, m.raw, m.type) for m in reader.messages()]
        for stamp, topic, raw, kind in sorted(rows, key=lambda row: row[:2]):
            bag.write(topic, raw, stamp, kind)
    return path


@pytest.mark.ros
@pytest.mark.parametrize("rate", [0.0, 2.0])
def test_the_same_bag_gives_the_same_events_live_or_offline(tmp_path, rate):
    pytest.importorskip("rclpy")
    cameras = ("front", "left", "right")
    bag = write_camera_bag(tmp_path / "drive", frames=10, cameras=cameras, skip={("left", 4), ("right", 7)})
    live = replay(bag, tmp_path / "live", rate=rate, segmentation=False, video=plan(cameras))
    off = offline(bag, tmp_path / "offline", segmentation=False, video=plan(cameras))
    assert (live.frames_in, live.frames_out) == (28, 28) == (off.frames_in, off.frames_out)
    assert events(tmp_path / "live") == events(tmp_path / "offline")
    assert list(live.nodes) == ["tsm_node"] and 0 < live.latency_ms["p50"] < 5000
    with BagReader(tmp_path / "live") as reader:
        assert reader.topics()["/perception/events/classes"].count == 1
        assert reader.topics()["/tsm_node/debug/processing_time/total_ms"].count == 10
        assert json.loads(reader.notes["replay"])["nodes"]["tsm_node"]["frames_out"] == 28


@pytest.mark.ros
def test_clouds_and_pictures_of_one_bag_go_to_their_nodes(tmp_path):
    pytest.importorskip("rclpy")
    bag = both(tmp_path / "drive", 8)
    found = replay(
        bag, tmp_path / "out", rate=0, parameters=PATIENT, session_factory=lambda config: HeightSession(), video=plan()
    )
    assert list(found.nodes) == ["spvcnn_node", "tsm_node"]
    assert all((node.frames_in, node.frames_out) == (8, 8) for node in found.nodes.values())
    off = offline(bag, tmp_path / "off", session=HeightSession(), video=plan())
    assert all((node.frames_in, node.frames_out) == (8, 8) for node in off.nodes.values())
    assert events(tmp_path / "out") == events(tmp_path / "off") and len(events(tmp_path / "out")) == 8


@pytest.mark.ros
def test_a_slow_network_at_rate_zero_drops_nothing(tmp_path):
    pytest.importorskip("rclpy")
    bag = write_camera_bag(tmp_path / "drive", frames=5, hz=100.0)
    slow = plan(session_factory=lambda config: LevelSession(delay_s=0.05), parameters={})
    result = replay(bag, rate=0, segmentation=False, video=slow)
    assert (result.frames_in, result.frames_out) == (5, 5)


def test_the_inputs_of_a_bag_are_found_by_type(tmp_path):
    with BagReader(write_camera_bag(tmp_path / "one", cameras=("left", "front"))) as reader:
        assert find_inputs(reader).cameras == {"front": "/camera/front/image/compressed"}
        assert find_inputs(reader).points == ""
        assert list(find_inputs(reader, cameras=("left", "front")).cameras) == ["left", "front"]
        with pytest.raises(BagError, match="no camera 'rear'; its cameras are front, left"):
            find_inputs(reader, cameras=("rear",))
        with pytest.raises(BagError, match="no topic of type sensor_msgs/msg/PointCloud2"):
            find_inputs(reader, nodes=("spvcnn",))
    with BagReader(both(tmp_path / "two", 2)) as reader:
        assert find_inputs(reader).points == "/lidar/points" and list(find_inputs(reader).cameras) == ["front"]
        assert find_inputs(reader, nodes=("tsm",)).points == ""
        with pytest.raises(BagError, match="no node 'gan'; choose from spvcnn, tsm"):
            find_inputs(reader, nodes=("gan",))


@pytest.mark.parametrize(
    ("topic", "name"),
    [("/camera/front/image/compressed", "front"), ("/cam2/image_raw", "cam2"), ("/image", "camera"),
     ("/kitti/camera/color_left/image_raw", "kitti_color_left"), ("/camera/0/image", "camera_0")],
)  # fmt: skip
def test_cameras_are_named_by_their_topics(topic, name):
    assert camera_name(topic) == name
