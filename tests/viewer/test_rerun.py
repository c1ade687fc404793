"""Looking at bags in rerun: files offline, a viewer bound to this machine only."""

import json
import socket

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.viewer.log import ViewerError

pytest.importorskip("rerun")


def small_bag(path):
    xyz = np.random.default_rng(0).normal(0, 10, (300, 3)).astype(np.float32)
    columns = {"x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2]}
    label = np.zeros(300, np.uint8)
    with BagWriter(path) as bag:
        for i in range(3):
            stamp = 10**9 + i * 10**8
            bag.write("/lidar/points", make_point_cloud2(point_cloud2_layout(columns), "lidar", stamp), stamp)
            truth = point_cloud2_layout({"label": label, "instance": label.astype(np.uint16)})
            bag.write("/ground_truth/segmentation", make_point_cloud2(truth, "lidar", stamp), stamp)
            labelled = point_cloud2_layout({**columns, "label": label, "score": label.astype(np.float32)})
            bag.write("/perception/segmentation", make_point_cloud2(labelled, "lidar", stamp), stamp)
            bag.write("/spvcnn_node/debug/pipeline_latency_ms", make("std_msgs/msg/Float64", data=1.0), stamp)
    return path


def test_a_bag_becomes_an_rrd_file(tmp_path, capsys):
    from perception_nodes.viewer.view import view

    view(small_bag(tmp_path / "bag"), save=tmp_path / "look.rrd")
    assert (tmp_path / "look.rrd").stat().st_size > 10_000
    assert "perception view" in capsys.readouterr().out


def test_a_bag_with_nothing_to_look_at_is_refused(tmp_path):
    from perception_nodes.viewer.view import view

    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/note", make("std_msgs/msg/String", data=json.dumps({})), 1)
    with pytest.raises(ViewerError, match="no topic to look at"):
        view(tmp_path / "bag", save=tmp_path / "look.rrd")


def test_the_live_viewer_listens_on_this_machine_only_and_ends_with_us():
    from perception_nodes.viewer.live import LiveViewer

    viewer = LiveViewer("test", window=False)
    try:
        listening = [line.split()[1] for line in open("/proc/net/tcp").readlines()[1:] if line.split()[3] == "0A"]
        port = f"{viewer.port:04X}"
        addresses = {a.split(":")[0] for a in listening if a.endswith(port)}
        assert addresses == {"0100007F"}
        assert not [line for line in open("/proc/net/tcp6").readlines()[1:] if line.split()[1].endswith(port)]
    finally:
        viewer.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", viewer.port)) != 0
