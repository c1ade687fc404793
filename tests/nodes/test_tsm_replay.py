"""Pictures through player, tsm_node and recorder on real DDS: equal to the offline run, alone and beside the LiDAR."""

import json

import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.nodes.replay import replay
from perception_nodes.streaming.bag_inputs import camera_name
from perception_nodes.systems import spvcnn, tsm
from perception_nodes.systems.evaluate import evaluate
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun, find_runs
from perception_nodes.systems.tsm.declaration import networks_of
from tests.nodes.bags import write_bag
from tests.nodes.cameras import LevelSession, write_camera_bag
from tests.nodes.conftest import DOMAIN, HeightSession

PATIENT = {"stream.queue": 50, "qos.input.depth": 50, "qos.output.depth": 50}  # nothing is lost on a busy machine


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 57) % 100))


def pictures(cameras=("front",), parameters=PATIENT, **session):
    topics = {name: f"/camera/{name}/image/compressed" for name in cameras}
    given = {"model.name": "by hand", **parameters}
    return SystemRun(tsm.SYSTEM, topics, given, lambda config: networks_of(config, LevelSession(**session)))


def clouds():
    return SystemRun(spvcnn.SYSTEM, {"points": "/lidar/points"}, PATIENT, lambda config: HeightSession())


def events(bag):
    with BagReader(bag) as reader:
        rows = [json.loads(reader.decode(m.raw, m.type).data) for m in reader.messages(["/perception/events"])]
        return sorted(rows, key=lambda row: (row["stamp"], row["camera"]))


def both(path, frames, cameras=("front",)):
    """A bag with clouds and pictures."""
    with BagWriter(path) as bag:
        parts = (
            write_bag(path.parent / "clouds", frames=frames),
            write_camera_bag(path.parent / "pictures", frames, cameras=cameras),
        )
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
    live = replay(bag, tmp_path / "live", [pictures(cameras)], rate=rate)
    off = offline(bag, tmp_path / "offline", [pictures(cameras)])
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
    found = replay(bag, tmp_path / "out", [clouds(), pictures()], rate=0)
    assert list(found.nodes) == ["spvcnn_node", "tsm_node"]
    assert all((node.frames_in, node.frames_out) == (8, 8) for node in found.nodes.values())
    off = offline(bag, tmp_path / "off", [clouds(), pictures()])
    assert all((node.frames_in, node.frames_out) == (8, 8) for node in off.nodes.values())
    assert events(tmp_path / "out") == events(tmp_path / "off") and len(events(tmp_path / "out")) == 8


@pytest.mark.ros
def test_a_slow_network_at_rate_zero_drops_nothing(tmp_path):
    pytest.importorskip("rclpy")
    bag = write_camera_bag(tmp_path / "drive", frames=5, hz=100.0)
    result = replay(bag, None, [pictures(parameters={}, delay_s=0.05)], rate=0)
    assert (result.frames_in, result.frames_out) == (5, 5)


def test_the_inputs_of_a_bag_are_found_by_type(tmp_path):
    front, left = "/camera/front/image/compressed", "/camera/left/image/compressed"
    with BagReader(write_camera_bag(tmp_path / "one", cameras=("left", "front"))) as reader:
        (run,) = find_runs(reader)
        assert (run.system.name, dict(run.topics)) == ("tsm", {"front": front})
        (run,) = find_runs(reader, cameras=("left", "front"))
        assert list(run.topics.items()) == [("left", left), ("front", front)]
        assert run.config.cameras == ["left", "front"] and run.config.detector.min_score == 0.05
        with pytest.raises(BagError, match="no camera 'rear'; its cameras are front, left"):
            find_runs(reader, cameras=("rear",))
        with pytest.raises(BagError, match="no topic of type sensor_msgs/msg/PointCloud2"):
            find_runs(reader, ("spvcnn",))
    with BagReader(both(tmp_path / "two", 2)) as reader:
        found = {run.system.name: dict(run.topics) for run in find_runs(reader)}
        fused = {"points": "/lidar/points", "front": front}  # every camera of the bag
        assert found == {"spvcnn": {"points": "/lidar/points"}, "tsm": {"front": front}, "bevfusion": fused}
        assert [run.system.name for run in find_runs(reader, ("tsm",))] == ["tsm"]
        (run,) = find_runs(reader, ("spvcnn",), options={"model": "other", "threads": 1, "video_model": "x"})
        assert (run.config.model.name, run.config.model.threads) == ("other", 1)
        with pytest.raises(BagError, match="no node 'radar'; choose from spvcnn, tsm"):
            find_runs(reader, ("radar",))


@pytest.mark.parametrize(
    ("topic", "name"),
    [("/camera/front/image/compressed", "front"), ("/cam2/image_raw", "cam2"), ("/image", "camera"),
     ("/kitti/camera/color_left/image_raw", "kitti_color_left"), ("/camera/0/image", "camera_0")],
)  # fmt: skip
def test_cameras_are_named_by_their_topics(topic, name):
    assert camera_name(topic) == name


def test_held_and_cold_pictures_are_counted_apart_live_and_offline(tmp_path):
    """They are neither answered nor dropped, and a held answer's latency is not a latency."""
    bag = write_camera_bag(tmp_path / "bag", frames=9)
    runs = [pictures(warm_after=2, period=2)]
    off = offline(bag, tmp_path / "off", runs)
    live = replay(bag, tmp_path / "live", runs, rate=0)
    for result in (off, live):
        assert (result.frames_in, result.frames_out, result.dropped) == (9, 4, 0)
        assert result.apart == {"held": 4, "warming_up": 1}
    with BagReader(tmp_path / "live") as reader:
        assert reader.topics()["/tsm_node/debug/processing_time/total_ms"].count == 5
    metrics = json.loads((evaluate(tmp_path / "live", bag, tmp_path / "r") / "metrics.json").read_text())
    assert metrics["frames"] == {"in": 9, "out": 4, "dropped": 0, "apart": {"held": 4, "warming_up": 1}}
