"""Known answers of the measures by which a runtime in bf16 is compared with torch."""

import numpy as np
import pytest

from models.tsm.agreement import same_class, same_detections


def test_the_best_class_counts_and_one_as_good_counts_as_well():
    expected = np.array([[[0.0, 3.0, 0.0]], [[2.0, 1.999, 0.0]], [[0.0, 0.0, 4.0]], [[3.0, 0.0, 0.0]]], np.float32)
    found = np.array([[[0.0, 9.0, 0.0]], [[0.0, 1.0, 0.0]], [[5.0, 0.0, 4.0]], [[3.0, 0.0, 0.0]]], np.float32)
    assert same_class([found], [expected]) == 0.75
    assert same_class([expected], [expected]) == 1.0


@pytest.fixture
def dense():
    """Scores [1, 1, A, K] and boxes of 40 places, of which 10 are strong in both classes."""
    rng = np.random.default_rng(0)
    scores = np.full((1, 1, 40, 2), 0.01, np.float32)
    scores[0, 0, :10] = rng.uniform(0.5, 0.9, (10, 2))
    corner = np.arange(40, dtype=np.float32)[:, None] * 10
    return scores, np.concatenate([corner, corner, corner + 8, corner + 8], 1)[None, None]


def test_equal_detections_agree_and_small_changes_keep_them(dense):
    scores, boxes = dense
    assert same_detections([scores, boxes], [scores, boxes]) == 1.0
    assert same_detections([scores * np.float32(0.95), boxes + 0.2], [scores, boxes]) == 1.0


def test_lost_moved_and_invented_detections_lower_the_agreement(dense):
    scores, boxes = dense
    lost, moved, invented = scores.copy(), boxes.copy(), scores.copy()
    lost[0, 0, :2] = 0.01
    moved[0, 0, :2] += 5
    invented[0, 0, 20:22] = 0.95
    for found in ([lost, boxes], [scores, moved], [invented, boxes]):
        assert same_detections(found, [scores, boxes]) == pytest.approx(0.8)
