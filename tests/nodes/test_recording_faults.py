"""What goes wrong while a replay is recorded: absent types, stamps that are none, a full disk."""

import errno
import os
import subprocess

import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.bags.writer import BagWriter
from perception_nodes.commands.replay import print_result
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.nodes.replay import replay
from perception_nodes.systems import spvcnn, tsm
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.tsm.declaration import networks_of
from tests.nodes.bags import START_NS, points, write_bag
from tests.nodes.cameras import LevelSession, write_camera_bag
from tests.nodes.conftest import DOMAIN, HeightSession
from tests.nodes.test_live_equals_offline import OneBox
from tests.nodes.test_replay import answers

pytestmark = pytest.mark.ros
CLOUD = "sensor_msgs/msg/PointCloud2"


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 31) % 100))


def clouds():
    return [SystemRun(spvcnn.SYSTEM, {"points": "/lidar/points"}, {}, lambda config: HeightSession())]


def write_spoilt(path, spoil, frames=6):
    """A bag of clouds; `spoil` maps a cloud's number to what is stored in its place."""
    with BagWriter(path) as bag:
        for i in range(frames):
            stamp = START_NS + i * 10**8
            raw = to_bytes(make_point_cloud2(point_cloud2_layout(points(i)), "lidar", stamp))
            bag.write("/lidar/points", spoil.get(i, lambda raw: raw)(raw), stamp, CLOUD)
    return path


def bad_stamp(raw):
    return raw[:8] + (3_000_000_000).to_bytes(4, "little") + raw[12:]


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("rate", [0.0, 1.0, None])
@pytest.mark.parametrize("spoil", [bad_stamp, lambda raw: raw[:7]])
def test_a_message_without_a_valid_stamp_costs_itself_and_is_counted(tmp_path, rate, spoil, number):
    bag = write_spoilt(tmp_path / "bag", {number: spoil})
    out = tmp_path / "out"
    result = offline(bag, out, clouds()) if rate is None else replay(bag, out, clouds(), rate=rate)
    assert (result.frames_in, result.frames_out, result.dropped) == (6, 5, 1)
    assert any("nanosec is 3000000000" in text or "7 bytes" in text for text in result.warnings), result.warnings


def test_types_that_are_not_installed_are_shown_and_recorded_and_cost_nothing_else(tmp_path):
    boxes = "/perception/detections2d"
    bag = write_camera_bag(tmp_path / "bag", frames=5)
    topics = {"front": "/camera/front/image/compressed"}
    run = SystemRun(tsm.SYSTEM, topics, {}, lambda c: networks_of(c, LevelSession(), OneBox()), every_output=True)
    shown = []
    result = replay(bag, tmp_path / "out", [run], rate=0, listener=lambda topic, kind, m, at: shown.append((topic, m)))
    assert (result.frames_in, result.frames_out) == (5, 5)
    with BagReader(tmp_path / "out") as reader:
        counts = {name: topic.count for name, topic in reader.topics().items()}
    assert counts["/perception/events"] == counts[boxes] == 5
    assert [len(m.detections) for topic, m in shown if topic == boxes] == [1] * 5


def test_a_listener_that_fails_costs_no_recorded_message(tmp_path):
    def closed(*row):
        raise ConnectionError("the viewer was closed")

    result = replay(write_bag(tmp_path / "bag"), tmp_path / "out", clouds(), rate=0, listener=closed)
    assert len(answers(tmp_path / "out")) == 6
    assert any("could not be shown: the viewer was closed" in text for text in result.warnings)


def test_a_full_disk_ends_the_replay_at_once_with_the_systems_words(tmp_path, monkeypatch):
    written = BagWriter.write

    def full(self, topic, message, stamp_ns, type_name=None):
        if topic == "/perception/segmentation":
            monkeypatch.setattr(
                self._writer, "write", lambda *row: _raise(OSError(errno.ENOSPC, "No space left on device"))
            )
        written(self, topic, message, stamp_ns, type_name)

    bag = write_bag(tmp_path / "bag", frames=200)
    monkeypatch.setattr(BagWriter, "write", full)
    began = []
    with pytest.raises(BagError, match=r"cannot write to .*/out: No space left on device; nothing was left behind"):
        replay(bag, tmp_path / "out", clouds(), rate=1.0, progress=began.append)
    assert max(began, default=0.0) < 10.0  # of 20 s
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]


def _raise(error):
    raise error


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_disk_that_is_really_full_leaves_nothing_behind(tmp_path, storage):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk]).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        with pytest.raises(BagError, match=r"(No space left|disk is full).*nothing was left behind"):
            with BagWriter(disk / "out", storage=storage) as bag:
                for i in range(400):
                    bag.write("/text", make("std_msgs/msg/String", data="x" * 10_000), START_NS + i)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_damaged_pictures_are_named_by_their_stamps_in_the_summary(tmp_path, capsys):
    bag = tmp_path / "bag"
    with BagReader(write_camera_bag(tmp_path / "good", frames=5)) as good, BagWriter(bag) as out:
        for i, m in enumerate(good.messages()):
            message = good.decode(m.raw, m.type)
            if i in (1, 3):
                message.data = message.data[: len(message.data) // 3]
            out.write(m.topic, message, m.stamp_ns)
    runs = [SystemRun(tsm.SYSTEM, {"front": m.topic}, {}, lambda c: networks_of(c, LevelSession()))]
    for result in (replay(bag, None, runs, rate=0), offline(bag, None, runs)):
        print_result(result, runs)
        said = capsys.readouterr().out
        assert "tsm_node: 3 of 5 pictures answered, 2 dropped" in said
        first = START_NS + 10**8
        assert said.count(f"(stamp {first // 10**9}.") == 2 and "camera front: " in said
