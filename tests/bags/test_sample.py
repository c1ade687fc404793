"""The recorded sample that comes with the repository is whole and can be labelled and scored."""

import json
from pathlib import Path

import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.systems.evaluate import evaluate
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs

SAMPLE = Path(__file__).resolve().parents[2] / "bags" / "sample"


def test_the_sample_holds_every_topic_of_a_simulated_drive():
    with BagReader(SAMPLE) as bag:
        topics = bag.topics()
        assert topics["/lidar/points"].count == topics["/ground_truth/segmentation"].count == 5
        assert {"/tf", "/tf_static", "/odometry", "/ground_truth/boxes", "/ground_truth/events"} <= set(topics)
        assert bag.unknown() == []


def test_the_sample_labelled_offline_by_the_released_model_is_scored(tmp_path):
    from models.facts import list_models

    if "spvcnn-lite" not in list_models():
        pytest.skip("models/weights/spvcnn-lite is absent")
    with BagReader(SAMPLE) as bag:
        result = offline(SAMPLE, tmp_path / "out", find_runs(bag, ("spvcnn",)))
    assert result.frames_out == 5 and result.trained
    metrics = json.loads((evaluate(tmp_path / "out", SAMPLE, tmp_path / "results") / "metrics.json").read_text())
    assert metrics["frames"] == {"in": 5, "out": 5, "dropped": 0}
    assert metrics["segmentation"]["iou"]["road"] > 0.3  # far above chance, and far from what a wrong class table gives
