"""Agreement of two recordings, on messages whose agreement is known by hand."""

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.evaluation.agreement import agreements
from perception_nodes.evaluation.robustness import Variant, as_metrics, flat_scores, is_detail, write_report
from perception_nodes.messages.detections import Detections3D, detections3d_values
from perception_nodes.messages.detections2d import Detections2D, detections2d_values
from perception_nodes.messages.events import CameraEvent, event_values
from perception_nodes.messages.grid import Grid, grid_values
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout

SECOND = 10**9


def boxes2d(stamp, left, category="car", score=0.9):
    box = np.array([[left, 0, left + 10, 10], [100, 0, 110, 10]], np.float32)
    values = detections2d_values(
        Detections2D.build("camera_front", stamp, (200, 100), box, [category, "person"], np.array([score, 0.8]))
    )
    return make("vision_msgs/msg/Detection2DArray", **values)


def boxes3d(stamp, x):
    size, zero = np.ones((1, 3)), np.zeros(1)
    boxes = Detections3D.build("base_link", stamp, np.array([[x, 0, 0]]), size, zero, ["car"], score=np.array([0.9]))
    return make("vision_msgs/msg/Detection3DArray", **detections3d_values(boxes))


def labels(stamp, label):
    fields = {"xyz": np.zeros((4, 3), np.float32), "label": np.array(label, np.uint8)}
    return make_point_cloud2(point_cloud2_layout(fields), "lidar", stamp)


def cells(stamp, mask):
    return make(
        "nav_msgs/msg/OccupancyGrid", **grid_values(Grid(np.array([mask], bool), 0.5, (0.0, 0.0), 0.0, "m", stamp))
    )


def event(stamp, name):
    return make("std_msgs/msg/String", **event_values(CameraEvent(stamp, "front", name, 0.9, {name: 0.9}, True)))


def bag(path, rows):
    with BagWriter(path) as out:
        for topic, stamp, message in rows:
            out.write(topic, message, stamp)
    return BagReader(path)


def both(tmp_path, make_one, before, after):
    """Agreement of one topic; a row each of (stamp, value)."""
    with (
        bag(tmp_path / "a", [("/x", s, make_one(s, v)) for s, v in before]) as a,
        bag(tmp_path / "b", [("/x", s, make_one(s, v)) for s, v in after]) as b,
    ):
        (found,) = agreements(a, b)
    return found


def test_points_agree_by_the_share_of_equal_labels_and_a_missing_answer_agrees_by_0(tmp_path):
    found = both(tmp_path, labels, [(1, [1, 2, 3, 4]), (2, [1, 1, 1, 1])], [(1, [1, 2, 3, 9])])
    assert [(row.agreement, row.stamp_ns) for row in found.rows] == [(0.75, 1), (0.0, 2)]
    assert found.mean == 0.375 and found.worst(1)[0].stamp_ns == 2


@pytest.mark.parametrize(
    ("left", "expected"),
    [(0, 1.0), (3, 1.0), (6, 0.5)],  # IoU 1, 7 / 13 and 4 / 16
)
def test_boxes_in_pictures_agree_by_f1(tmp_path, left, expected):
    found = both(tmp_path, boxes2d, [(SECOND, 0)], [(SECOND, left)])
    assert found.rows == ((expected, SECOND, "camera_front"),)


@pytest.mark.parametrize(("x", "expected"), [(1.9, 1.0), (2.1, 0.0)])
def test_boxes_in_space_agree_within_two_metres(tmp_path, x, expected):
    assert both(tmp_path, boxes3d, [(1, 0.0)], [(1, x)]).mean == expected


def test_map_layers_agree_by_their_overlap_and_two_empty_ones_agree(tmp_path):
    before, after = [(1, [1, 1, 0, 0]), (2, [0, 0, 0, 0])], [(1, [0, 1, 1, 0]), (2, [0, 0, 0, 0])]
    found = both(tmp_path, cells, before, after)
    assert [row.agreement for row in found.rows] == pytest.approx([1 / 3, 1.0])


def test_events_agree_where_they_are_the_same(tmp_path):
    before, after = [(1, "cut_out"), (2, "ego_braking")], [(1, "cut_out"), (2, "cut_out")]
    assert [row.agreement for row in both(tmp_path, event, before, after).rows] == [1.0, 0.0]


def test_scores_are_flat_numbers_without_counts_and_the_report_shows_what_changed(tmp_path):
    metrics = {"segmentation": {"miou": 0.5, "sweeps": 3, "iou": {"car": 0.75, "bus": "no data"}}, "frames": {"x": 0.5}}
    scores = flat_scores(metrics, ["segmentation", "events"])
    assert scores == {"segmentation.miou": 0.5, "segmentation.iou.car": 0.75}
    assert is_detail("segmentation.iou.car") and not is_detail("segmentation.miou")
    original = Variant("original", scores, {"a_node": {"p50": 3.0}})
    night = Variant("night", {"segmentation.miou": 0.25}, {"a_node": {}}, {"/x": {"mean": 0.5, "messages": 2}})
    found = as_metrics(original, [night])
    assert found["styles"]["night"]["change"] == {"segmentation.miou": -0.25}
    page = write_report(tmp_path, "drive <1>", original, [night], ["a note"]).read_text()
    assert "drive &lt;1&gt;" in page and "-0.250" in page and "no data" in page and "a note" in page
    empty = write_report(tmp_path, "drive", Variant("original", {}, {}), [night], []).read_text()
    assert "The bag holds no ground truth" in empty
