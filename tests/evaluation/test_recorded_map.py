"""Map layers: IoU at the best threshold over a set, and recorded grids against a true map in another frame."""

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import apply, from_euler
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.map_iou import MapIouScorer
from perception_nodes.evaluation.map_report import map_scorer
from perception_nodes.evaluation.recorded_map import TrueMap
from perception_nodes.evaluation.scorer import Recording
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.grid import Cells, Grid, grid_values
from perception_nodes.messages.map_shapes import MapShapes, map_shapes_values, read_map_shapes
from perception_nodes.messages.transforms import Transform, tf_values

STAMPS = [10**9, 10**9 + 2 * 10**8]
POSES = [from_euler(0, 0, 0.4, (100.0, 50.0, 0)), from_euler(0, 0, 0.8, (104.0, 52.0, 0))]
SQUARE = np.array([(95.0, 45.0), (110.0, 45.0), (110.0, 60.0), (95.0, 60.0)])
HOLE = np.array([(100.0, 50.0), (104.0, 50.0), (104.0, 54.0), (100.0, 54.0)])
SHAPES = MapShapes({"drivable_area": [[SQUARE, HOLE]], "walkway": []}, {"divider": [SQUARE[:2]]}, "map")
ROWS, CELL = 60, 0.5


def test_each_class_counts_at_its_own_best_threshold_over_the_whole_set():
    scorer = MapIouScorer(("walkway", "divider", "stop_line"))
    known = np.ones((1, 4), bool)
    for percent in ([90, 44, 44, 0], [90, 90, 44, 44]):
        scorer.frames += 1
        scorer.add("walkway", np.array([percent], np.int8), np.array([[1, 1, 0, 0]], bool), known)
    true, part = np.array([[1, 1, 0, 0]], bool), np.array([[1, 1, 1, 0]], bool)
    scorer.add("divider", np.array([[60, -1, 0, 99]], np.int8), true, part)
    got = scorer.metrics()
    # 35 %: 4 right, 3 false, 0 missed · 50 %: 3 right, 0 false, 1 missed
    assert got["iou_at"]["walkway"]["0.35"] == pytest.approx(4 / 7, abs=1e-6) and got["iou"]["walkway"] == 0.75
    assert got["threshold"] == {"walkway": 0.45, "divider": 0.35} and got["iou"]["divider"] == 0.5
    assert got["iou"]["stop_line"] == "no data" and got["miou"] == 0.625 and got["frames"] == 2
    assert MapIouScorer(("a",)).metrics()["miou"] == "no data"
    curve = got["recall_precision"]["walkway"]  # one point a threshold
    assert curve[0] == [1.0, pytest.approx(4 / 7, abs=1e-4)] and curve[3] == [0.75, 1.0] and len(curve) == 7


def test_the_report_draws_precision_over_recall_of_each_class(tmp_path):
    from perception_nodes.evaluation.map_report import map_scorer
    from perception_nodes.evaluation.report import write

    scorer = MapIouScorer(("walkway", "stop_line"))
    scorer.add("walkway", np.array([[90, 44, 44, 0]], np.int8), np.array([[1, 1, 0, 0]], bool), np.ones((1, 4), bool))
    frames = {"in": 1, "out": 1, "dropped": 0}
    metrics = {"map": scorer.metrics(), "frames": frames, "latency": {"pipeline_ms": "no data"}}
    page = write(tmp_path, metrics, [], {}, [map_scorer()]).read_text()
    assert page.count("<polyline") == 1 and "<title>walkway</title>" in page
    assert f'points="400,{round(280 - 280 * 2 / 3)} ' in page  # recall 1, precision 2/3 at 0.35
    assert page.count('aria-label="precision over recall of map cells"') == 1 and "&lt;svg" not in page


def in_square(xy, square):
    low, high = square.min(0), square.max(0)
    return ((xy >= low) & (xy <= high)).all(-1)


def test_shapes_are_drawn_where_the_cells_middles_lie():
    place = POSES[0] @ from_euler(0, 0, 0, (-15.0, -15.0, 0))
    mask = SHAPES.mask("drivable_area", (ROWS, ROWS), CELL, place)
    r, c = np.mgrid[0:ROWS, 0:ROWS]
    middles = np.stack([(c + 0.5) * CELL, (r + 0.5) * CELL, 0 * c], -1).reshape(-1, 3)
    xy = apply(place, middles)[:, :2]
    expected = (in_square(xy, SQUARE) & ~in_square(xy, HOLE)).reshape(ROWS, ROWS)
    assert (mask != expected).sum() <= 0.1 * expected.sum()  # cells on the edges may differ
    edge = np.abs(xy[:, None, :] - np.concatenate([SQUARE, HOLE])[None]).min((1, 2)) < CELL
    assert ((mask != expected).ravel() & ~edge).sum() == 0
    assert not SHAPES.mask("walkway", (4, 4), CELL, place).any()


def test_shapes_travel_as_json_and_what_is_none_is_refused():
    text = lambda content: make("std_msgs/msg/String", **json_values(content))  # noqa: E731
    back = read_map_shapes(make("std_msgs/msg/String", **map_shapes_values(SHAPES)))
    assert back.frame_id == "map" and back.classes() == ("drivable_area", "walkway", "divider")
    assert np.array_equal(back.polygons["drivable_area"][0][1], HOLE)
    for content in ({}, {"polygons": {"a": [[]]}, "lines": {}, "frame_id": "m"}, {"polygons": 3, "lines": {}},
                    {"polygons": {"a": [[[[1, 2, 3]]]]}, "lines": {}, "frame_id": "m"}):  # fmt: skip
        with pytest.raises(MessageError, match="a map of shapes should hold"):
            read_map_shapes(text(content))


def bags(folder, shapes=True, grids=(), wrong=0, with_tf=True, frame="base_link"):
    corner = from_euler(0, 0, 0, (-15.0, -15.0, 0))
    with BagWriter(folder / "truth") as bag:
        for stamp, pose in zip(STAMPS, POSES):
            if with_tf:
                link = Transform("map", "base_link", pose, stamp)
                bag.write("/tf", make("tf2_msgs/msg/TFMessage", **tf_values([link])), stamp)
        if shapes:
            bag.write("/ground_truth/map/shapes", make("std_msgs/msg/String", **map_shapes_values(SHAPES)), STAMPS[0])
        for grid in grids:
            values = make("nav_msgs/msg/OccupancyGrid", **grid_values(grid))
            bag.write("/ground_truth/map/drivable_area", values, STAMPS[0])
        bag.write("/empty", make("std_msgs/msg/String", data=""), STAMPS[0])
    with BagWriter(folder / "out") as bag:
        for stamp, pose in zip(STAMPS, POSES):
            for name in ("drivable_area", "divider", "walkway"):
                mask = SHAPES.mask(name, (ROWS, ROWS), CELL, pose @ corner)
                mask[:, :wrong] = ~mask[:, :wrong]
                grid = grid_values(Grid(mask, CELL, (-15.0, -15.0), 0.0, frame, stamp))
                bag.write(f"/perception/map/{name}", make("nav_msgs/msg/OccupancyGrid", **grid), stamp)
    (folder / "pictures").mkdir()
    return Recording(BagReader(folder / "out"), BagReader(folder / "truth"), folder, 1)


def test_a_map_that_is_right_at_every_pose_scores_one(tmp_path):
    scored = map_scorer().score(bags(tmp_path))
    assert scored.metrics["iou"]["drivable_area"] == scored.metrics["iou"]["divider"] == 1.0
    assert scored.metrics["iou"]["walkway"] == "no data" and scored.metrics["frames"] == 2
    assert len(scored.pictures) == 1 and (tmp_path / scored.pictures[0][0]).stat().st_size > 1000
    scorer = map_scorer()
    assert scorer.context(scored.metrics)["rows"][0]["half"] == 1.0 and len(scorer.tables(scored.metrics)) == 1


def test_wrong_cells_cost_iou(tmp_path):
    assert map_scorer().score(bags(tmp_path, wrong=10)).metrics["iou"]["drivable_area"] < 0.9


def test_a_true_grid_is_looked_up_and_cells_outside_it_do_not_count(tmp_path):
    fine = SHAPES.mask("drivable_area", (150, 150), 0.1, from_euler(0, 0, 0, (95.0, 45.0, 0)))
    grid = Grid(fine, 0.1, (95.0, 45.0), 0.0, "map", STAMPS[0])
    metrics = map_scorer().score(bags(tmp_path, shapes=False, grids=[grid])).metrics
    assert metrics["iou"]["drivable_area"] > 0.97 and metrics["iou"]["divider"] == "no data"
    truth = TrueMap(BagReader(tmp_path / "truth"))
    said = Cells(np.zeros((ROWS, ROWS), np.int8), CELL, (-15.0, -15.0), 0.0, "base_link", STAMPS[0])
    _, known = truth.beside("drivable_area", said)
    assert known.sum() * CELL**2 == pytest.approx(15 * 15, rel=0.02)


def test_what_is_missing_is_named(tmp_path):
    for i, (more, words) in enumerate((({"with_tf": False}, "/tf says nothing"), ({"frame": "radar"}, "radar"))):
        (tmp_path / str(i)).mkdir()
        with pytest.raises(EvaluationError, match=words):
            map_scorer().score(bags(tmp_path / str(i), **more))
    (tmp_path / "none").mkdir()
    recording = bags(tmp_path / "none", shapes=False)
    assert map_scorer().score(recording).metrics == {"miou": "no data", "frames": 0}
    assert "not scored" in map_scorer().tables({"miou": "no data", "frames": 0})[0]
    with pytest.raises(EvaluationError, match="no /other/<class> recorded"):
        map_scorer("/other").score(recording)
