"""Average precision on scenes whose answer is known by hand, and what does not count."""

import numpy as np
import pytest

from perception_nodes.evaluation.detection2d import (
    NO_DATA,
    THRESHOLDS,
    Detection2dScorer,
    TrueBoxes2D,
    hard_to_see,
    interval_of_gain,
    motion_ious,
    speed_of,
)

CAR, PERSON = 0, 1
HIGH = (0, 0, 20, 20)
RIGHT = (100, 0, 120, 20)
FAR = (200, 0, 220, 20)


def truth(*boxes, label=CAR, ignore=None, motion=None):
    n = len(boxes)
    labels = np.full(n, label) if np.isscalar(label) else np.array(label)
    return TrueBoxes2D(
        np.array(boxes, np.float32).reshape(n, 4),
        labels,
        np.zeros(n, bool) if ignore is None else np.array(ignore),
        np.full(n, np.nan) if motion is None else np.array(motion, float),
    )


def found(*rows):
    """rows (box, score) or (box, score, label)."""
    n = len(rows)
    boxes = np.array([r[0] for r in rows], np.float32).reshape(n, 4)
    label = np.array([r[2] if len(r) > 2 else CAR for r in rows], np.int64)
    return boxes, label, np.array([r[1] for r in rows], np.float32)


def scored(*pictures, names=("car", "person"), **options):
    scorer = Detection2dScorer(names, **options)
    for true, detections in pictures:
        scorer.add(true, *detections)
    return scorer.summary()


def test_finding_everything_exactly_scores_one():
    out = scored((truth(HIGH, RIGHT), found((HIGH, 0.9), (RIGHT, 0.8))))
    assert out["map"] == out["map50"] == 1.0
    assert out["ap"] == {"car": 1.0, "person": NO_DATA} and out["boxes"] == {"car": 2, "person": 0}


def test_a_false_detection_before_the_right_one_halves_precision():
    out = scored((truth(HIGH), found((FAR, 0.9), (HIGH, 0.8))))
    assert out["map50"] == 0.5


def test_a_false_detection_after_the_right_one_costs_nothing():
    assert scored((truth(HIGH), found((HIGH, 0.9), (FAR, 0.8))))["map50"] == 1.0


def test_missing_one_of_two_scores_the_recalls_up_to_one_half():
    assert scored((truth(HIGH, RIGHT), found((HIGH, 0.9))))["map50"] == round(51 / 101, 4)


def test_precision_is_the_best_at_this_recall_or_beyond():
    # right, false, right: precision 1 up to recall 1/2, then 2/3
    out = scored((truth(HIGH, RIGHT), found((HIGH, 0.9), (FAR, 0.8), (RIGHT, 0.7))))
    assert out["map50"] == round((51 + 50 * 2 / 3) / 101, 4)


def test_scores_rank_over_all_pictures():
    a = (truth(HIGH), found((HIGH, 0.3)))
    b = (truth(), found((FAR, 0.9)))
    assert scored(a, b)["map50"] == 0.5


def test_a_second_detection_of_the_same_box_is_false():
    out = scored((truth(HIGH, RIGHT), found((HIGH, 0.9), (HIGH, 0.8), (RIGHT, 0.7))))
    assert out["map50"] == round((51 + 50 * 2 / 3) / 101, 4)


def test_a_loose_box_counts_at_the_thresholds_that_it_reaches():
    # 20 x 20 against 20 x 15: IoU 0.75, reached by 0.50 ... 0.75
    out = scored((truth(HIGH), found(((0, 0, 20, 15), 0.9))))
    assert out["map50"] == 1.0 and out["map"] == pytest.approx(6 / len(THRESHOLDS))


def test_the_right_place_with_the_wrong_class_is_missed_and_false():
    out = scored((truth(HIGH, RIGHT, label=[CAR, PERSON]), found((HIGH, 0.9, PERSON), (RIGHT, 0.8, PERSON))))
    assert out["ap50"] == {"car": 0.0, "person": 0.5} and out["map50"] == 0.25


def test_an_ignored_box_is_neither_missed_nor_makes_its_detections_false():
    true = truth(HIGH, RIGHT, ignore=[True, False])
    assert scored((true, found((HIGH, 0.9), (HIGH, 0.85), (RIGHT, 0.8))))["map50"] == 1.0
    assert scored((true, found((RIGHT, 0.8))))["map50"] == 1.0


def test_a_detection_prefers_a_box_that_counts_over_an_ignored_one():
    true = truth((0, 0, 20, 21), HIGH, ignore=[True, False])
    assert scored((true, found(((0, 0, 20, 21), 0.9))))["map50"] == 1.0


def test_a_false_detection_that_is_too_small_does_not_count():
    low = (200, 0, 220, 7)
    assert scored((truth(HIGH), found((low, 0.9), (HIGH, 0.8))))["map50"] == 1.0
    assert scored((truth(HIGH), found((low, 0.9), (HIGH, 0.8))), least=(3, 5))["map50"] == 0.5


def test_no_more_than_a_hundred_detections_of_a_picture_count():
    many = [((300 + 30 * i, 0, 320 + 30 * i, 20), 0.9) for i in range(100)]
    assert scored((truth(HIGH), found(*many, (HIGH, 0.1))))["map50"] == 0.0
    assert scored((truth(HIGH), found(*many[:99], (HIGH, 0.1))))["map50"] == 0.01


def test_without_true_boxes_there_is_no_score():
    out = scored((truth(), found((HIGH, 0.9))))
    assert out["map"] == NO_DATA and out["by_motion"]["fast"] == {"map": NO_DATA, "map50": NO_DATA, "boxes": 0}


def test_each_speed_is_scored_on_its_own_boxes():
    true = truth(HIGH, RIGHT, FAR, motion=[0.95, 0.8, 0.3])
    out = scored((true, found((HIGH, 0.9), (RIGHT, 0.8))))["by_motion"]
    assert [out[s]["map50"] for s in ("slow", "medium", "fast")] == [1.0, 1.0, 0.0]
    assert [out[s]["boxes"] for s in ("slow", "medium", "fast")] == [1, 1, 1]


def test_a_false_detection_weighs_in_each_speed_by_the_share_of_its_boxes():
    true = truth(HIGH, RIGHT, motion=[0.95, 0.3])
    out = scored((true, found((FAR, 0.9), (HIGH, 0.8), (RIGHT, 0.7))))
    assert out["map50"] == round(2 / 3, 4)
    assert out["by_motion"]["slow"]["map50"] == out["by_motion"]["fast"]["map50"] == round(1 / 1.5, 4)


def test_motion_iou_of_things_that_stand_move_and_vanish():
    stands, step = np.array([[0, 0, 20, 20]], float), np.array([[10, 0, 10, 0]], float)
    mover = stands + 100
    boxes = [np.concatenate([stands, mover + i * step]) for i in range(3)] + [stands]
    tracks = [np.array([7, 9])] * 3 + [np.array([7])]
    out = motion_ious(boxes, tracks, window=2)
    assert [m[0] for m in out] == [1, 1, 1, 1]
    third = 1 / 3  # half a width of 20 px further: 10 shared, 30 together; a whole width further: nothing
    assert [m[1] for m in out[:3]] == pytest.approx([third / 2, third, third / 2])
    lonely = motion_ious([stands], [np.array([1])], window=2)
    assert np.isnan(lonely[0]).all() and list(speed_of(lonely[0])) == [""]


def test_speed_has_image_net_vids_limits():
    assert list(speed_of(np.array([0.91, 0.9, 0.7, 0.69, np.nan]))) == ["slow", "medium", "medium", "fast", ""]


def test_small_and_hidden_boxes_are_hard_to_see():
    boxes = np.array([[0, 0, 9, 7], [0, 0, 3, 8], [0, 0, 2, 30], [0, 0, 9, 30], [0, 0, 9, 30]], float)
    assert list(hard_to_see(boxes, np.array([1, 1, 1, 0.29, 0.3]))) == [True, False, True, True, False]


def test_the_interval_of_a_gain_lies_about_it_and_needs_the_same_drives():
    good, bad = Detection2dScorer(("car",)), Detection2dScorer(("car",))
    for drive in "abcd":
        good.add(truth(HIGH), *found((HIGH, 0.9)), group=drive)
        bad.add(truth(HIGH), *found((HIGH if drive < "c" else FAR, 0.9)), group=drive)
    gain = good.means()["map50"] - bad.means()["map50"]
    low, high = interval_of_gain(good, bad, draws=100)
    assert 0 <= low < gain < high <= 1
    assert interval_of_gain(good, good, draws=10) == (0.0, 0.0)
    assert good.means(groups=["a", "a"]) == {"map": 1.0, "map50": 1.0}
    with pytest.raises(ValueError, match="expected the same"):
        interval_of_gain(good, Detection2dScorer(("car",)))


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 labels need"):
        TrueBoxes2D(np.zeros((1, 4)), np.zeros(2), np.zeros(2, bool), np.zeros(2))
