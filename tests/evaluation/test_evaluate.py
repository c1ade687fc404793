"""From recorded bags to results/<stamp>/: what is scored, what is refused, what is left behind."""

import json

import numpy as np
import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.recorded import OUTPUT, POINTS, TRUTH
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.systems.evaluate import evaluate

NAMES = [c.name for c in POINT_CLASSES]
STAMPS = [1_000_000_000 + i * 100_000_000 for i in range(4)]


def points(seed, count=500):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-30, 30, (count, 3)).astype(np.float32)
    return {"x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2], "ring": rng.integers(0, 32, count).astype(np.uint16)}


def label(seed, count=500):
    return np.random.default_rng(seed + 100).integers(0, 19, count).astype(np.uint8)


def cloud(columns, stamp):
    return make_point_cloud2(point_cloud2_layout(columns), "lidar", stamp)


def table(names):
    rows = [{"id": i, "name": n} for i, n in enumerate(names)]
    return make("std_msgs/msg/String", data=json.dumps({"classes": rows}))


def truth_bag(path):
    with BagWriter(path) as bag:
        bag.write(f"{TRUTH}/classes", table(NAMES), STAMPS[0])
        for i, stamp in enumerate(STAMPS):
            bag.write(POINTS, cloud(points(i), stamp), stamp)
            bag.write(TRUTH, cloud({"label": label(i), "instance": np.zeros(500, np.uint16)}, stamp), stamp)
    return path


def output_bag(path, answered=STAMPS, wrong=0, names=NAMES, with_table=True, count=500):
    with BagWriter(path) as bag:
        if with_table:
            bag.write(f"{OUTPUT}/classes", table(names), STAMPS[0])
        for i, stamp in enumerate(STAMPS):
            if stamp in answered:
                predicted = label(i, count)
                predicted[:wrong] = (predicted[:wrong] + 1) % 19
                score = np.ones(count, np.float32)
                bag.write(OUTPUT, cloud({**points(i, count), "label": predicted, "score": score}, stamp), stamp)
                value = make("std_msgs/msg/Float64", data=40.0 + i)
                bag.write("/spvcnn_node/debug/pipeline_latency_ms", value, stamp)
    return path


def test_perfect_outputs_score_one_and_the_folder_holds_what_figures_md_asks_for(tmp_path):
    truth = truth_bag(tmp_path / "truth")
    folder = evaluate(output_bag(tmp_path / "out"), truth, root=tmp_path / "results")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["segmentation"]["miou"] == 1.0 and metrics["segmentation"]["iou"]["car"] == 1.0
    assert metrics["frames"] == {"in": 4, "out": 4, "dropped": 0}
    assert metrics["latency"]["pipeline_ms"]["p50"] == 41.5
    assert metrics["segmentation"]["by_beams"]["32-beam"]["points"] == 2000
    assert (tmp_path / "results" / "latest" / "report.html").read_text().count("<figure>") == 4
    assert len(list((folder / "pictures").glob("*.jpg"))) == 4


def test_dropped_frames_and_wrong_labels_are_counted(tmp_path):
    folder = evaluate(
        output_bag(tmp_path / "out", answered=STAMPS[:3], wrong=250), truth_bag(tmp_path / "truth"), tmp_path / "r"
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["frames"] == {"in": 4, "out": 3, "dropped": 1}
    assert metrics["segmentation"]["accuracy"] == 0.5


def test_without_ground_truth_the_scores_are_no_data(tmp_path):
    folder = evaluate(output_bag(tmp_path / "out"), None, tmp_path / "r")
    assert json.loads((folder / "metrics.json").read_text())["segmentation"]["miou"] == "no data"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"answered": []}, "perception"),
        ({"with_table": False}, "class table"),
        ({"names": [*NAMES[:-1], "lane-marking"]}, "lane-marking"),
        ({"count": 499}, "found 499 output points and 500"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_leaves_nothing_behind(tmp_path, output, words):
    with pytest.raises(EvaluationError, match=words):
        evaluate(output_bag(tmp_path / "out", **output), truth_bag(tmp_path / "truth"), tmp_path / "r")
    assert not list((tmp_path / "r").glob("*")) if (tmp_path / "r").exists() else True


def test_a_missing_bag_is_refused(tmp_path):
    with pytest.raises(BagError, match="nowhere"):
        evaluate(tmp_path / "nowhere", None, tmp_path / "r")


def test_ground_truth_of_another_drive_is_refused(tmp_path):
    with BagWriter(tmp_path / "truth") as bag:
        bag.write(f"{TRUTH}/classes", table(NAMES), 5)
        bag.write(POINTS, cloud(points(0), 5), 5)
        bag.write(TRUTH, cloud({"label": label(0), "instance": np.zeros(500, np.uint16)}, 5), 5)
    with pytest.raises(EvaluationError, match="the bag that was replayed"):
        evaluate(output_bag(tmp_path / "out"), tmp_path / "truth", tmp_path / "r")
