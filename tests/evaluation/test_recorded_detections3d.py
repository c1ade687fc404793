"""Recorded 3-D boxes of a bag scored against its ground truth, through the evaluator and into the report."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import from_euler, invert
from perception_nodes.evaluation import report
from perception_nodes.evaluation.detection3d_report import OUTPUT, detection3d_scorer
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.nuscenes_results import read_results
from perception_nodes.evaluation.recorded_boxes import TRUTH
from perception_nodes.evaluation.scorer import UNTRAINED, Recording
from perception_nodes.messages.detections import Detections3D, attributes_values, detections3d_values
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values

STAMPS = [10**9 + i * 10**8 for i in range(3)]
MAP_FROM_BASE = from_euler(0, 0, np.pi / 2, (10.0, 20.0, 0.0))
BASE_FROM_LIDAR = from_euler(0, 0, 0.5, (1.0, 0.0, 1.8))


def boxes(stamp, frame="base_link", shift=0.0, names=("car", "pedestrian", "car"), score=0.9):
    n = len(names)
    return Detections3D.build(
        frame, stamp, [(8 + 7 * i + shift, 2.0 * i - 2, 1) for i in range(n)], [(4, 2, 1.6)] * n, [0.3] * n, names,
        velocity=[(2, 0)] * n, score=[score] * n, points=[9] * n,
    )  # fmt: skip


def write_boxes(bag, topic, said, with_attributes=True):
    bag.write(topic, make("vision_msgs/msg/Detection3DArray", **detections3d_values(said)), said.stamp_ns)
    if with_attributes:
        text = make("std_msgs/msg/String", **attributes_values(said))
        bag.write(f"{topic}/attributes", text, said.stamp_ns + 5)  # a node sends them a moment later


def bags(folder, found, truth=None, with_tf=True, with_attributes=True):
    truth = [boxes(s) for s in STAMPS] if truth is None else truth
    with BagWriter(folder / "truth") as bag:
        if with_tf:
            link = Transform("base_link", "lidar", BASE_FROM_LIDAR, STAMPS[0])
            bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf_values([link])), STAMPS[0])
            for stamp in STAMPS:
                pose = Transform("map", "base_link", MAP_FROM_BASE, stamp)
                bag.write("/tf", make("tf2_msgs/msg/TFMessage", **tf_values([pose])), stamp)
            bag.write("/ground_truth/sample_token", make("std_msgs/msg/String", data="token 0"), STAMPS[0])
            bag.note("map_origin", json.dumps({"xyz": [1000, 0, 0]}))
        for each in truth:
            xyz = np.random.default_rng(0).uniform(-40, 40, (300, 3)).astype(np.float32)
            cloud = make_point_cloud2(point_cloud2_layout({"xyz": xyz}), "lidar", each.stamp_ns)
            bag.write("/lidar/points", cloud, each.stamp_ns)
            write_boxes(bag, TRUTH, each)
    with BagWriter(folder / "out") as bag:
        for each in found:
            write_boxes(bag, OUTPUT, each, with_attributes)
    (folder / "results" / "pictures").mkdir(parents=True)
    return Recording(BagReader(folder / "out"), BagReader(folder / "truth"), folder / "results", 2, UNTRAINED)


def test_boxes_in_the_lidars_frame_are_compared_in_base_link(tmp_path):
    found = [boxes(s).moved("lidar", invert(BASE_FROM_LIDAR)) for s in STAMPS]
    scored = detection3d_scorer().score(bags(tmp_path, found))
    assert scored.metrics["map_present"] == 1.0 and scored.metrics["nds_present"] == pytest.approx(1.0, abs=1e-3)
    assert scored.metrics["boxes"]["car"] == 6 and scored.metrics["attributes"] == "by speed"
    assert (scored.answered, scored.given) == (3, 3)
    frames, _ = read_results(tmp_path / "results/detections_nuscenes.json")
    assert list(frames) == ["token 0", str(STAMPS[1]), str(STAMPS[2])]
    x, y, _ = boxes(0).centre[0]
    assert any(np.allclose(c[:2], (1010 - y, 20 + x)) for c in frames["token 0"].centre)


def test_the_worst_frame_is_drawn_first_and_the_report_holds_tables_and_curves(tmp_path):
    found = [boxes(STAMPS[0]), boxes(STAMPS[1], names=()), boxes(STAMPS[2], names=("car",))]
    recording = bags(tmp_path, found)
    scorer = detection3d_scorer()
    scored = scorer.score(recording)
    assert [caption.split(",")[0] for _, caption in scored.pictures] == [
        "the worst frame: 1.100 s", "the worst frame but 1: 1.200 s"]  # fmt: skip
    assert "3 of 3 boxes missed" in scored.pictures[0][1]
    assert all((recording.folder / file).stat().st_size > 2000 for file, _ in scored.pictures)
    json.dumps(scored.metrics, allow_nan=False)
    frames = {"frames": {"in": 3, "out": 3, "dropped": 0}, "latency": {"pipeline_ms": "no data"}}
    page = report.write(recording.folder, {**frames, "detection3d": scored.metrics}, scored.pictures, {}, [scorer])
    text = page.read_text()
    assert text.count("<polyline") == 2 and "construction_vehicle" in text and "20-30 m" in text
    assert len(scorer.tables(scored.metrics)) == 3


def test_without_attributes_the_velocity_is_unknown_and_its_error_one(tmp_path):
    metrics = detection3d_scorer().score(bags(tmp_path, [boxes(s) for s in STAMPS], with_attributes=False)).metrics
    assert metrics["errors"]["car"]["ave"] == 1.0 and metrics["map_present"] == 1.0


def test_without_ground_truth_nothing_is_scored(tmp_path):
    recording = bags(tmp_path, [boxes(s) for s in STAMPS])
    scorer = detection3d_scorer()
    metrics = scorer.score(Recording(recording.out, None, recording.folder, 2)).metrics
    assert metrics["nds"] == "no data" and "not scored" in scorer.tables(metrics)[0]
    assert scorer.cards(metrics)[0][1] == "no data" and scorer.context(metrics) == {"rows": []}


@pytest.mark.parametrize(
    ("found", "more", "words"),
    [
        ([], {}, "no message|nothing"),
        ([boxes(7)], {}, "Give the bag that was replayed"),
        ([boxes(STAMPS[0], frame="radar")], {}, "radar"),
        ([boxes(STAMPS[0], names=["car"] * 501)], {}, "501 boxes"),
    ],
)
def test_what_cannot_be_scored_is_refused(tmp_path, found, more, words):
    with pytest.raises(EvaluationError, match=words):
        detection3d_scorer().score(bags(tmp_path, found, **more))
