"""Detection heads and suppression on maps whose boxes are known by hand."""

import math

import numpy as np
import pytest
import torch

from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.center_head import CenterHead, Task
from models.bevfusion.nms import circle_nms, rotated_iou, rotated_nms
from models.bevfusion.transfusion_head import TransFusionHead

CODER = BoxCoder((-8.0, -6.0), (0.1, 0.1), score_threshold=0.1)  # cells of 0.8 m
SQUARE = np.array([0.0, 0.0, 2.0, 2.0, 0.0])


@pytest.mark.parametrize(
    "other, expected",
    [
        ((0, 0, 2, 2, 0), 1.0),
        ((1, 0, 2, 2, 0), 1 / 3),
        ((2.1, 0, 2, 2, 0), 0.0),
        ((9, 0, 2, 2, 0), 0.0),
        ((0, 0, 2, 2, math.pi / 2), 1.0),
        ((0, 0, 2, 2, math.pi / 4), 1 / math.sqrt(2)),  # an octagon of 8 (sqrt 2 - 1) m²
        ((0, 0, 1, 1, 0.3), 1 / 4),
        ((0, 0, 4, 1, math.pi / 2), 2 / 6),
    ],
)
def test_overlap_of_turned_rectangles(other, expected):
    assert rotated_iou(SQUARE, np.array(other, float)) == pytest.approx(expected, abs=1e-9)
    assert rotated_iou(np.array(other, float), SQUARE) == pytest.approx(expected, abs=1e-9)


def test_yaw_turns_clockwise():
    long = np.array([0.0, 0.0, 0.2, 8.0, math.pi / 4])  # along +y, turned clockwise: towards +x +y
    assert rotated_iou(long, np.array([2.0, 2.0, 1.0, 1.0, 0.0])) > 0
    assert rotated_iou(long, np.array([-2.0, 2.0, 1.0, 1.0, 0.0])) == 0


def test_the_best_box_removes_what_it_overlaps():
    boxes = np.array([[0, 0, 2, 2, 0], [0.2, 0, 2, 2, 0], [5, 0, 2, 2, 0], [1.9, 0, 2, 2, 0]], np.float32)
    scores = np.array([0.5, 0.9, 0.1, 0.4], np.float32)
    assert rotated_nms(boxes, scores, 0.2, 83).tolist() == [1, 3, 2]
    assert rotated_nms(boxes, scores, 0.2, 1).tolist() == [1]


def test_circle_suppression_compares_squared_distances():
    centres = np.array([[0, 0], [1.9, 0], [2.1, 0], [0, 0.5]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert circle_nms(centres, scores, 4.0, 83).tolist() == [0, 2]
    assert circle_nms(centres, scores, 4.0, 1).tolist() == [0]


def maps(rows=20, columns=15, classes=1):
    plain = {name: torch.zeros(1, n, rows, columns) for name, n in (("reg", 2), ("height", 1), ("dim", 3), ("rot", 2))}
    return {**plain, "vel": torch.zeros(1, 2, rows, columns), "heatmap": torch.full((1, classes, rows, columns), -9.0)}


def test_center_head_reads_boxes_off_its_maps():
    head = CenterHead(4, CODER, (Task(1, squared_distance=1.0), Task(2, scales=(1.0, 1.0))))
    first, second = maps(), maps(classes=2)
    second["heatmap"][0, 1, 3, 7] = 2.0  # row is x, column is y
    second["reg"][0, :, 3, 7] = torch.tensor([0.25, 0.5])
    second["height"][0, 0, 3, 7] = 1.0
    second["dim"][0, :, 3, 7] = torch.tensor([2.0, 4.0, 1.5]).log()
    second["rot"][0, :, 3, 7] = torch.tensor([math.sin(0.4), math.cos(0.4)])
    second["vel"][0, :, 3, 7] = torch.tensor([5.0, -1.0])
    ((boxes, scores, labels),) = head.decode([first, second])
    expected = [3.25 * 0.8 - 8.0, 7.5 * 0.8 - 6.0, 0.25, 2.0, 4.0, 1.5, 0.4, 5.0, -1.0]
    torch.testing.assert_close(boxes, torch.tensor([expected]), rtol=1e-4, atol=1e-4)
    assert labels.tolist() == [2]  # the second class of the second task
    assert scores.item() == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())


def test_center_head_has_the_released_keys():
    keys = set(CenterHead(256, CODER).state_dict())
    assert {"shared_conv.conv.weight", "shared_conv.bn.bias", "task_heads.5.vel.0.conv.weight"} <= keys
    assert {"task_heads.0.reg.0.bn.running_var", "task_heads.4.heatmap.1.bias"} <= keys
    assert CenterHead(256, CODER).task_heads[5].get_parameter("heatmap.1.weight").shape == (2, 64, 3, 3)


def test_peaks_are_the_largest_of_their_window_and_never_on_the_border():
    head = TransFusionHead(4, 10, CODER, queries=3, channels=16, heads=2, hidden=8)
    heat = torch.zeros(1, 10, 6, 6)
    heat[0, 0, 2, 2], heat[0, 0, 2, 3], heat[0, 0, 0, 4] = 0.9, 0.8, 0.7
    heat[0, 8, 2, 2], heat[0, 8, 2, 3], heat[0, 8, 0, 4] = 0.9, 0.8, 0.7  # pedestrians: nothing is suppressed
    found = head.peaks(heat)
    assert torch.argwhere(found[0, 0]).tolist() == [[2, 2]]
    assert torch.argwhere(found[0, 8]).tolist() == [[0, 4], [2, 2], [2, 3]]


def test_queries_start_at_the_best_peaks_and_score_only_their_own_class():
    head = TransFusionHead(4, 10, CODER, queries=2, channels=16, heads=2, hidden=8).eval()
    heatmap = torch.full((1, 10, 6, 5), -12.0)
    heatmap[0, 3, 2, 1], heatmap[0, 9, 0, 0] = 3.0, 1.0
    with torch.inference_mode():
        found = head.query(torch.randn(1, 16, 6, 5), heatmap)
        assert found.labels.tolist() == [[3, 9]]
        ((boxes, scores, labels),) = head.decode(found)
    assert (scores[labels == 3] < torch.sigmoid(torch.tensor(3.0))).all()
    assert set(labels.tolist()) <= {3, 9}
