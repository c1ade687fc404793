"""The nuScenes detection protocol: equal to the official devkit, and right where the answer is known by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from perception_nodes.evaluation.detection3d import Detection3dScorer, countable
from perception_nodes.evaluation.nuscenes_protocol import ERRORS, NUSCENES, attributes_by_speed
from perception_nodes.messages.detections import Detections3D

VECTORS = json.loads(Path(__file__).with_name("nuscenes_vectors.json").read_text())
DEVKIT_NAMES = dict(zip(ERRORS, ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")))


def boxes_of(rows):
    column = lambda key, default=None: [row.get(key, default) for row in rows]  # noqa: E731
    return Detections3D.build(
        "base_link", 0, column("centre"), column("size"), column("yaw"), column("category", "rack"),
        velocity=[v or (np.nan, np.nan) for v in column("velocity")], score=column("score", 1.0),
        points=column("points", -1), attribute=column("attribute", ""),
    )  # fmt: skip


def one(name, *rows, **more):
    """Boxes of one class at (x, y, score)."""
    n = len(rows)
    return Detections3D.build(
        "base_link", 0, [(x, y, 1.0) for x, y, _ in rows], np.full((n, 3), 2.0), np.zeros(n), [name] * n,
        score=[s for *_, s in rows], velocity=np.zeros((n, 2)), **more,
    )  # fmt: skip


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_every_figure_equals_the_official_devkits(case):
    scorer, counted = Detection3dScorer(), np.zeros(2, int)
    for frame in case["frames"]:
        truth, found, racks = (boxes_of(frame[key]) for key in ("truth", "found", "racks"))
        scorer.add(truth, found, racks)
        counted += [len(countable(boxes, NUSCENES, racks)) for boxes in (truth, found)]
    expected, said = case["expected"], scorer.official()
    assert counted.tolist() == expected["counted"]
    assert said.map == pytest.approx(expected["map"], abs=1e-9)
    assert said.nds == pytest.approx(expected["nds"], abs=1e-9)
    for name, row in expected["ap"].items():
        assert {f"{d:g}": v for d, v in said.ap[name].items()} == pytest.approx(row, abs=1e-9), name
        errors = [np.nan if expected["errors"][name][DEVKIT_NAMES[e]] is None else
                  expected["errors"][name][DEVKIT_NAMES[e]] for e in ERRORS]  # fmt: skip
        assert said.errors[name] == pytest.approx(errors, abs=1e-9, nan_ok=True), name
    assert said.means == pytest.approx([expected["means"][DEVKIT_NAMES[e]] for e in ERRORS], abs=1e-9)


def test_a_perfect_answer_scores_one_and_an_empty_one_zero():
    truth = one("car", (10, 0, 1.0), (20, 5, 1.0), attribute=["vehicle.parked"] * 2)
    perfect, empty = Detection3dScorer(), Detection3dScorer()
    perfect.add(truth, truth)
    empty.add(truth, one("car"))
    good, bad = perfect.metrics(), empty.metrics()
    assert good["map_present"] == good["nds_present"] == 1.0 and good["map"] == 0.1  # nine classes are absent
    assert bad["map_present"] == bad["nds_present"] == 0.0 and len(bad["absent"]) == 9
    assert good["ap"]["car"] == 1.0 and good["ap"]["bus"] == "no data"
    assert Detection3dScorer().metrics()["nds"] == "no data"


def test_each_error_is_what_its_name_says():
    truth = Detections3D.build("base_link", 0, [(10, 0, 1)], [(4, 2, 2)], [0.0], ["car"], velocity=[(3, 0)],
                               attribute=["vehicle.moving"])  # fmt: skip
    found = Detections3D.build("base_link", 0, [(10.3, 0.4, 9)], [(2, 2, 2)], [-3.0], ["car"], velocity=[(3, 2)],
                               attribute=["vehicle.parked"])  # fmt: skip
    scorer = Detection3dScorer()
    scorer.add(truth, found)
    assert scorer.official(("car",)).errors["car"] == pytest.approx([0.5, 0.5, 3.0, 2.0, 1.0])


def test_a_match_is_nearer_than_the_threshold_and_takes_a_true_box_once():
    scorer = Detection3dScorer()
    scorer.add(one("car", (10, 0, 1)), one("car", (11, 0, 0.9), (10, 0, 0.8)))
    ap = scorer.official(("car",)).ap["car"]
    # The sure one takes the true box. The other is false: it lowers the precision at full recall alone, 1 of 90 places.
    assert ap[2.0] == pytest.approx((89 + (0.5 - 0.1) / 0.9) / 90)
    assert ap[1.0] == ap[0.5] < 0.6  # at exactly 1 m it is not a match


def test_boxes_belong_to_rings_by_where_the_true_box_is():
    scorer = Detection3dScorer()
    scorer.add(one("car", (9.5, 0, 1), (25, 0, 1)), one("car", (10.5, 0, 0.9), (35, 0, 0.95)))
    rings = scorer.by_range()
    assert rings["0-10 m"]["ap"]["car"] == pytest.approx(0.5)  # found at 1 m: right at 2 and 4 m alone
    assert rings["10-20 m"]["map"] == "no data" and rings["20-30 m"]["ap"]["car"] == 0.0
    assert [r["boxes"] for r in rings.values()] == [1, 0, 1, 0, 0]


def test_vehicles_without_enough_points_are_neither_missed_nor_false():
    truth = one("car", (10, 0, 1), (20, 0, 1), (30, 0, 1), (45, 0, 1), points=[5, 4, 9, 50])
    found = one("car", (10, 0, 0.9), (20, 0, 0.8), (45, 0, 0.7), (35, 0, 0.2))
    scorer = Detection3dScorer()
    scorer.add(truth, found)
    got = scorer.vehicles()
    assert got["boxes"] == 2 and got["recall"] == 0.5 and got["precision_best_f1"] == 1.0


def test_attributes_by_speed_and_what_is_refused():
    boxes = Detections3D.build(
        "b", 0, np.zeros((4, 3)), np.ones((4, 3)), np.zeros(4), ["bus", "bicycle", "pedestrian", "barrier"],
        velocity=[(0.3, 0), (0.1, 0), (np.nan, np.nan), (9, 9)],
    )  # fmt: skip
    assert attributes_by_speed(boxes) == ("vehicle.moving", "cycle.without_rider", "pedestrian.standing", "")
    with pytest.raises(ValueError, match="501 boxes in one frame"):
        Detection3dScorer().add(one("car"), one("car", *[(1, 1, 0.5)] * 501))
    with pytest.raises(ValueError, match="not a finite number"):
        Detection3dScorer().add(one("car"), one("car", (1, 1, np.nan)))
