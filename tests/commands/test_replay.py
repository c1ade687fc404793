"""`perception replay`: what it refuses before the work begins, and how."""

import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.commands.replay import ReplayError, run
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from tests.nodes.bags import START_NS, points, write_bag


@pytest.mark.parametrize("start", [100.0, -1.0])
def test_a_start_outside_the_bag_is_refused_with_the_bags_name_and_length(tmp_path, start):
    bag = write_bag(tmp_path / "drive", frames=6)
    with pytest.raises(ReplayError, match=rf"found --start {start:g}, but {bag} is 0\.5 s long: expected 0 to 0\.5"):
        run(bag, start=start, root=tmp_path / "results")


def test_a_part_without_a_message_is_told_with_the_users_bag(tmp_path):
    bag = tmp_path / "drive"
    with BagWriter(bag) as out:
        out.write("/lidar/points", make_point_cloud2(point_cloud2_layout(points(0)), "lidar", START_NS), START_NS)
        out.write("/chatter", make("std_msgs/msg/String", data="x"), START_NS + 10**10)
    with pytest.raises(ReplayError, match=rf"{bag}: no message on /lidar/points from 5 s to its end"):
        run(bag, start=5.0, offline=True, root=tmp_path / "results")


def test_the_topic_of_the_clouds_can_be_chosen_and_a_wrong_one_is_refused(tmp_path):
    bag = tmp_path / "drive"
    with BagWriter(bag) as out:
        for topic in ("/front", "/rear"):
            out.write(topic, make_point_cloud2(point_cloud2_layout(points(1)), "lidar", START_NS), START_NS)
    with pytest.raises(BagError, match=r"/front, /rear: name one of them with --points"):
        run(bag, offline=True, root=tmp_path / "results")
    with pytest.raises(BagError, match=r"has no points on /top; its PointCloud2 topics are /front, /rear"):
        run(bag, points="/top", offline=True, root=tmp_path / "results")
    folder = run(bag, points="/rear", offline=True, root=tmp_path / "results")
    assert folder is not None and (folder / "report.html").is_file()
