"""Scores with answers known by hand."""

import numpy as np
import pytest

from perception_nodes.classes import IGNORE
from perception_nodes.evaluation import segmentation_report
from perception_nodes.evaluation.segmentation import SegmentationScorer, confusion, iou, map_labels, mean_iou

NAMES = ("car", "road", "pole")


def test_iou_of_a_hand_counted_case():
    truth = np.array([0, 0, 0, 1, 1, 1, 1])
    predicted = np.array([0, 0, 1, 1, 1, 1, 0])
    values = iou(confusion(truth, predicted, 3))
    assert values == [2 / 4, 3 / 5, None]
    assert mean_iou(values) == pytest.approx((0.5 + 0.6) / 2)


def test_ignored_truth_does_not_count_and_unclassified_points_count_as_misses():
    matrix = confusion(np.array([IGNORE, 0, 0]), np.array([0, IGNORE, 0]), 3)
    assert matrix.sum() == 2 and matrix[0, 3] == 1
    assert iou(matrix)[0] == 0.5


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="found 2 truth labels and 3 predictions"):
        confusion(np.zeros(2, int), np.zeros(3, int), 3)


def test_absent_classes_are_no_data_not_zero():
    scorer = SegmentationScorer(NAMES)
    assert scorer.metrics()["miou"] == "no data"
    scorer.add(np.zeros((4, 3), np.float32), np.array([1, 1, 1, 1]), np.array([1, 1, 1, 1]))
    metrics = scorer.metrics()
    assert metrics["miou"] == 1.0 and metrics["iou"]["pole"] == "no data"


def test_the_mean_of_the_common_classes_says_of_how_many_it_is():
    scorer = SegmentationScorer(("car", "road", "pole", "truck"))
    truth = np.array([0, 0, 1, 1, 3])
    scorer.add(np.zeros((5, 3), np.float32), truth, truth)
    metrics = scorer.metrics()
    assert (metrics["miou10"], metrics["miou10_classes"]) == (1.0, 2)  # no pole in the truth; a truck is not of the ten
    assert segmentation_report.context(metrics)["common"] == "2 of the ten classes common in streets"
    rows = segmentation_report.tables(metrics)[0].columns[0]._cells
    assert "mean of 2 of the ten classes common in streets" in rows


def test_scores_are_split_by_range_and_by_beam_pattern():
    xyz = np.array([[1, 0, 0], [15, 0, 0], [30, 0, 0], [60, 0, 0], [np.nan, 0, 0]], np.float32)
    scorer = SegmentationScorer(NAMES)
    scorer.add(xyz, np.array([0, 0, 0, 0, 0]), np.array([0, 0, 1, 1, 1]), beams="64-beam")
    scorer.add(xyz, np.array([1, 1, 1, 1, 1]), np.array([1, 1, 1, 1, 1]), beams="32-beam")
    metrics = scorer.metrics()
    assert metrics["by_range"]["10-20 m"]["iou"]["car"] == 1.0
    assert metrics["by_range"]["over 40 m"]["iou"]["car"] == 0.0
    assert metrics["by_beams"]["64-beam"]["points"] == 5
    assert sum(part["points"] for part in metrics["by_range"].values()) == metrics["points"] == 10


def test_class_tables_that_cannot_be_mapped_are_refused_by_name():
    assert list(map_labels(np.array([0, 1, IGNORE]), ("road", "car"), NAMES)) == [1, 0, IGNORE]
    with pytest.raises(ValueError, match="lane-marking"):
        map_labels(np.array([0]), ("lane-marking",), NAMES)
