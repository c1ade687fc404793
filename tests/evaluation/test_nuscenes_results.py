"""Result files in the devkit's format: written and read back, and what is refused."""

import json

import numpy as np
import pytest

from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.nuscenes_results import read_results, write_results
from perception_nodes.messages.detections import Detections3D


def boxes():
    return Detections3D.build(
        "global", 0, [(400.5, 1100.25, 1.0), (410, 1090, 0.5)], [(4, 2, 1.5), (0.5, 0.6, 1.8)], [0.7, -2.0],
        ["car", "pedestrian"], velocity=[(3, 1), (np.nan, np.nan)], score=[0.25, 0.75],
        attribute=["vehicle.stopped", ""],
    )  # fmt: skip


def test_a_result_file_comes_back_and_holds_the_devkits_fields(tmp_path):
    path = write_results(tmp_path / "r.json", {"a": boxes(), "b": boxes().select(np.zeros(2, bool))}, use_lidar=True)
    row = json.loads(path.read_text())["results"]["a"][1]
    assert row["size"] == [2.0, 4.0, 1.5] and row["rotation"] == pytest.approx([np.cos(0.35), 0, 0, np.sin(0.35)])
    assert row["sample_token"] == "a" and row["attribute_name"] == "vehicle.stopped"
    frames, meta = read_results(path)
    assert meta["use_lidar"] and not meta["use_camera"] and len(frames["b"]) == 0
    back = frames["a"]  # best first
    assert back.category == ("pedestrian", "car") and back.score.tolist() == [0.75, 0.25]
    assert np.allclose(back.centre, boxes().centre[::-1]) and np.allclose(back.size, boxes().size[::-1])
    assert np.allclose(back.yaw, boxes().yaw[::-1]) and back.velocity.tolist() == [[0, 0], [3, 1]]
    assert back.attribute == ("pedestrian.standing", "vehicle.stopped")


def test_only_the_best_500_boxes_of_known_classes_are_written(tmp_path):
    many = Detections3D.build(
        "global", 0, np.zeros((600, 3)), np.ones((600, 3)), np.zeros(600), ["tram"] + ["car"] * 599,
        score=np.linspace(1, 0, 600),
    )  # fmt: skip
    frames, _ = read_results(write_results(tmp_path / "r.json", {"a": many}))
    assert len(frames["a"]) == 500 and frames["a"].score[0] < 1 and set(frames["a"].category) == {"car"}


def test_files_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(EvaluationError, match="cannot read the result file"):
        read_results(path)
    good = json.loads(write_results(path, {"a": boxes()}).read_text())
    for content, words in (
        ("{", "not JSON"),
        ("[]", "not a nuScenes result file"),
        (json.dumps({"results": {"a": [{**good["results"]["a"][0], "detection_name": "tram"}]}}), "no class 'tram'"),
        (json.dumps({"results": {"a": [{**good["results"]["a"][0], "rotation": [0, 0, 0, 0]}]}}), "sample a"),
        (json.dumps({"results": {"a": [{"size": [1, 1, 1]}]}}), "KeyError 'rotation'"),
        (json.dumps({"results": {"a": 3}}), "sample a"),
    ):
        path.write_text(content)
        with pytest.raises(EvaluationError, match=words):
            read_results(path)
    with pytest.raises(ValueError, match="use_sonar"):
        write_results(path, {}, use_sonar=True)
