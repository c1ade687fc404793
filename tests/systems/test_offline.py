"""The offline run: bad bags and bad messages."""

from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs
from tests.nodes.bags import START_NS, points, write_bag
from tests.nodes.conftest import HeightSession


def label(bag, out=None):
    """The segmentation system with a session known by hand on whatever clouds the bag holds."""
    with BagReader(bag) as reader:
        runs = [replace(run, open_session=lambda config: HeightSession()) for run in find_runs(reader, ("spvcnn",))]
    return offline(bag, out, runs)


def test_a_bad_message_costs_its_frame_alone(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for i in range(4):
            stamp = START_NS + i * 10**8
            message = make_point_cloud2(point_cloud2_layout(points(i)), "lidar", stamp)
            if i == 1:
                message.row_step = 3
            bag.write("/lidar/points", message, stamp)
    result = label(tmp_path / "bag", tmp_path / "out")
    assert (result.frames_in, result.frames_out, result.dropped) == (4, 3, 1)
    assert any("row_step" in w for w in result.warnings)


def test_a_bag_without_points_says_what_it_holds(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/chatter", make("std_msgs/msg/String", data="x"), START_NS)
    with pytest.raises(BagError, match=r"no topic of type sensor_msgs/msg/PointCloud2.*/chatter"):
        label(tmp_path / "bag", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_only_cloud_topic_is_found_by_itself(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for topic in ("/velodyne_points", "/ground_truth/segmentation"):
            cloud = make_point_cloud2(point_cloud2_layout(points(1)), "velodyne", START_NS)
            bag.write(topic, cloud, START_NS)
    assert label(tmp_path / "bag").frames_out == 1


def test_two_cloud_topics_must_be_told_apart(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for topic in ("/front", "/rear"):
            bag.write(topic, make_point_cloud2(point_cloud2_layout(points(1)), "l", START_NS), START_NS)
    with pytest.raises(BagError, match=r"/front, /rear"):
        label(tmp_path / "bag")


def test_memory_does_not_hold_the_bag(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=40, n=20_000)
    with BagReader(bag) as reader:
        size = sum(len(m.raw) for m in reader.messages())
    import tracemalloc

    tracemalloc.start()
    label(bag, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 12e6 and peak < size


def test_same_labels_for_equal_clouds(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=2)
    label(bag, tmp_path / "a")
    label(bag, tmp_path / "b")
    with BagReader(tmp_path / "a") as a, BagReader(tmp_path / "b") as b:
        one = [m.raw for m in a.messages(["/perception/segmentation"])]
        two = [m.raw for m in b.messages(["/perception/segmentation"])]
    assert one == two and len(one) == 2
    assert np.frombuffer(one[0], np.uint8).size > 500 * 21
