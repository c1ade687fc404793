"""What is written is read back, streamed, with QoS; nothing half-written is ever left in place."""

import os
import tracemalloc

import numpy as np
import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.qos import TopicQos, default_qos
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import from_bytes, make, to_bytes
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.point_cloud import decode_point_cloud2
from tests.bags.bagmaker import START, STEP, fill, make_bag, sweep


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_bag_survives_in_every_storage(tmp_path, storage, compression):
    path = make_bag(tmp_path / "bag", storage=storage, compression=compression)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]
    suffix = ".mcap" if storage == "mcap" else ".db3"
    assert sorted(p.name for p in path.iterdir()) == [f"bag{suffix}", "metadata.yaml"]
    with BagReader(path) as bag:
        assert (bag.count, bag.start_ns, bag.end_ns) == (11, START, START + 9 * STEP)
        assert bag.duration_s == pytest.approx(0.9) and bag.unknown() == []
        assert bag.topics()["/lidar/points"].count == 10 and bag.topics()["/lidar/points"].known
        read = list(bag.messages(["/lidar/points"]))
        assert [m.stamp_ns for m in read] == [START + i * STEP for i in range(10)]
        for i, message in enumerate(read):
            assert bytes(message.raw) == to_bytes(sweep(i))
            assert len(decode_point_cloud2(bag.decode(message.raw, message.type))) == 50


def test_the_same_content_is_the_same_bytes(tmp_path):
    first, second = (make_bag(tmp_path / n / "bag") for n in "ab")
    assert (first / "bag.mcap").read_bytes() == (second / "bag.mcap").read_bytes()


def test_start_and_duration_cut_a_window(tmp_path):
    with BagReader(make_bag(tmp_path / "bag")) as bag:
        stamps = [m.stamp_ns - START for m in bag.messages(["/lidar/points"], start=0.25, duration=0.3)]
        assert stamps == [3 * STEP, 4 * STEP, 5 * STEP]
        assert len(list(bag.messages(start=0.85))) == 1 and not list(bag.messages(start=5.0))


def test_latched_topics_are_transient_local_and_the_bag_says_so(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        fill(bag, 1)
        bag.write("/perception/segmentation/classes", make("std_msgs/msg/String", data="{}"), START)
        bag.add_topic("/odd", "std_msgs/msg/String", TopicQos(reliable=False, latched=False, depth=3))
        bag.write("/odd", make("std_msgs/msg/String", data="x"), START)
    for source in (tmp_path / "bag", tmp_path / "bag" / "bag.mcap"):
        with BagReader(source) as bag:
            qos = {name: t.qos for name, t in bag.topics().items()}
        assert qos["/tf_static"].latched and qos["/perception/segmentation/classes"].latched
        assert not qos["/lidar/points"].latched and qos["/lidar/points"].reliable
        assert qos["/odd"] == TopicQos(reliable=False, latched=False, depth=3)


def test_qos_that_a_bag_does_not_say_is_chosen_by_name_and_type():
    assert default_qos("/tf_static", "tf2_msgs/msg/TFMessage").latched
    assert default_qos("/ground_truth/map/walkway", "nav_msgs/msg/OccupancyGrid").latched
    assert default_qos("/a/classes", "std_msgs/msg/String").latched
    assert not default_qos("/tf", "tf2_msgs/msg/TFMessage").latched


def test_notes_travel_with_the_bag(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        fill(bag, 1)
        bag.note("seed", "7")
    with BagReader(tmp_path / "bag") as bag:
        assert bag.notes == {"seed": "7"}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path, storage, error):
    with pytest.raises(error):
        with BagWriter(tmp_path / "bag", storage) as bag:
            fill(bag)
            assert not (tmp_path / "bag").exists()
            raise error
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writers_folder_is_swept_by_the_next_one(tmp_path):
    dead = tmp_path / ".bag.999999999.abc.partial"
    alive = tmp_path / f".bag.{os.getpid()}.abc.partial"
    other = tmp_path / ".bag2.999999999.abc.partial"
    for folder in (dead, alive, other):
        folder.mkdir()
    make_bag(tmp_path / "bag", sweeps=1)
    assert not dead.exists() and alive.exists() and other.exists()


def test_an_existing_bag_is_kept_unless_it_may_be_overwritten(tmp_path):
    make_bag(tmp_path / "bag", sweeps=3)
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "bag")
    with pytest.raises(ValueError), BagWriter(tmp_path / "bag", overwrite=True):
        raise ValueError
    with BagReader(tmp_path / "bag") as bag:
        assert bag.count == 4
    make_bag(tmp_path / "bag", sweeps=5, overwrite=True)
    with BagReader(tmp_path / "bag") as bag:
        assert bag.count == 6


def test_an_empty_bag_can_be_read(tmp_path):
    make_bag(tmp_path / "bag", sweeps=0)
    with BagWriter(tmp_path / "nothing"):
        pass
    with BagReader(tmp_path / "nothing") as bag:
        assert bag.count == 0 and list(bag.messages()) == [] and bag.duration_s == 0 and bag.start_ns == 0


def test_wrong_use_is_said_in_one_sentence(tmp_path):
    with pytest.raises(BagError, match="unknown bag storage 'rar'"):
        BagWriter(tmp_path / "a", "rar")
    with pytest.raises(BagError, match="cannot have"):
        BagWriter(tmp_path / "a#b", "sqlite3")
    with pytest.raises(BagError, match="unknown bag compression"):
        BagWriter(tmp_path / "a", compression="gzip")
    with BagWriter(tmp_path / "a") as bag:
        with pytest.raises(BagError, match="bytes need"):
            bag.write("/a", b"123", 1)
        with pytest.raises(BagError, match="nowhere/msg/Nothing is not known"):
            bag.write("/a", b"123", 1, "nowhere/msg/Nothing")
        bag.write("/a", to_bytes(make("std_msgs/msg/String", data="x")), 1, "std_msgs/msg/String")
        with pytest.raises(BagError, match="holds std_msgs/msg/String"):
            bag.write("/a", make("std_msgs/msg/Bool"), 1)
        with pytest.raises(BagError, match="not a rosbags message"):
            bag.write("/b", object(), 1)
    with pytest.raises(BagError, match="closed"):
        bag.write("/a", make("std_msgs/msg/String"), 1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BagError, match="cannot write"):
        BagWriter(tmp_path / "file" / "bag")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_memory_is_bounded_whatever_the_length(tmp_path, storage):
    """64 MB go through a writer and a reader that hold a few of them."""
    tracemalloc.start()
    try:
        make_bag(tmp_path / "bag", sweeps=40, points=100_000, storage=storage)
        with BagReader(tmp_path / "bag") as bag:
            total = sum(len(m.raw) for m in bag.messages())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 60_000_000 and peak < 25_000_000


def test_messages_of_two_topics_come_in_order_of_time(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for i in (3, 1, 2, 0):
            bag.write(f"/{'ab'[i % 2]}", make("std_msgs/msg/String", data=str(i)), START + i)
    with BagReader(tmp_path / "bag") as bag:
        assert [m.stamp_ns - START for m in bag.messages()] == [0, 1, 2, 3]


def test_every_field_has_a_default_and_survives():
    for name in ("sensor_msgs/msg/CameraInfo", "visualization_msgs/msg/Marker", "nav_msgs/msg/Odometry",
                 "vision_msgs/msg/Detection3DArray", "vision_msgs/msg/LabelInfo", "rosgraph_msgs/msg/Clock",
                 "diagnostic_msgs/msg/DiagnosticArray"):  # fmt: skip
        assert to_bytes(from_bytes(to_bytes(make(name)), name)) == to_bytes(make(name))
    odometry = make("nav_msgs/msg/Odometry", pose={"covariance": np.arange(36)})
    assert from_bytes(to_bytes(odometry), odometry.__msgtype__).pose.covariance[35] == 35.0
