"""Release and evaluation: averaged weights become a model folder, scored on given sweeps, with metrics and a card."""

import json

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_network, verify
from perception_nodes.classes import POINT_CLASSES, point_class
from tests.training.street import street
from training.common.seeds import SPLITS, TEST
from training.segmentation import real_sweeps
from training.segmentation.card import class_table
from training.segmentation.evaluate import RELEASE, confusions, main
from training.segmentation.held_out import digest, read_world, world_files
from training.segmentation.real_sweeps import BoxCounts, inside, real_scores, semantickitti_scores
from training.segmentation.sweep_wire import write_sweep
from training.segmentation.trainer import TrainConfig, Trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with checkpoints of both networks after two steps, and a cache of two test worlds."""
    folder = tmp_path_factory.mktemp("run")
    trainer = Trainer(("spvcnn-lite", "minkunet-lite"), TrainConfig(batch=2, capacity=4, bf16=False))
    for seed in range(3):
        trainer.buffer.add(street(seed, 400))
    for _ in range(2):
        trainer.step(0.5)
    trainer.save(folder)
    (folder / "cache").mkdir()
    for seed in TEST[:2]:
        with (folder / "cache" / f"world_{seed}_1.sweeps").open("wb") as file:
            write_sweep(file, street(seed, 400))
    return folder


def test_both_models_are_released_and_scored_on_the_same_sweeps(run, tmp_path, capsys):
    names = ("minkunet-lite", "spvcnn-lite")
    files = [str(run / f"{name}.checkpoint.safetensors") for name in names]
    common = [
        "--out",
        str(tmp_path),
        "--worlds",
        "2",
        "--moments",
        "1",
        "--cache",
        str(run / "cache"),
        "--real",
        "/none",
    ]
    assert main([*files, *common, "--confusions"]) == 0
    assert "sim: truth -> what else it was called" in capsys.readouterr().out
    told = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in names}
    spvcnn = told["spvcnn-lite"]
    assert spvcnn["minkunet"]["sim"]["miou"] == told["minkunet-lite"]["sim"]["miou"]
    assert set(spvcnn["sim"]["iou"]) == {"car", "road", "building", "pole"} and "real" not in spvcnn
    assert spvcnn["split"] == "test" and spvcnn["seed"] == TEST[0] and spvcnn["sweeps"] == 2
    assert spvcnn["training"]["steps"] == 2 and spvcnn["command"].startswith("python -m training.segmentation.evaluate")
    facts = verify(tmp_path / "spvcnn-lite")
    assert facts.trained and facts.metrics["sim_miou"] == spvcnn["sim"]["miou"]
    card = (tmp_path / "spvcnn-lite" / "CARD.md").read_text()
    assert "Trained on a simulator only" in card and "Apache-2.0" in card and "MinkUNet of equal" in card
    assert main([str(tmp_path / "spvcnn-lite"), *common]) == 0  # again, by its folder: the training stays known
    again = json.loads((tmp_path / "spvcnn-lite" / "metrics.json").read_text())
    assert again["sim"] == spvcnn["sim"] and again["training"] == spvcnn["training"]


def test_a_release_is_calibrated_on_the_validation_split_where_that_is_asked(run, tmp_path):
    (tmp_path / "val").mkdir()
    for seed in SPLITS["val"][:2]:
        with (tmp_path / "val" / f"world_{seed}_1.sweeps").open("wb") as file:
            write_sweep(file, street(seed, 400))
    common = ["--out", str(tmp_path), "--worlds", "1", "--moments", "1", "--cache", str(run / "cache"), "--real", "/no"]
    checkpoint = str(run / "spvcnn-lite.checkpoint.safetensors")
    assert main([checkpoint, *common, "--calibrate", "2", "--validation-cache", str(tmp_path / "val")]) == 0
    training = json.loads((tmp_path / "spvcnn-lite" / "metrics.json").read_text())["training"]
    plain, _ = RELEASE(run / "spvcnn-lite.checkpoint.safetensors", tmp_path / "plain")
    biases = [load_network(folder)[0].head().bias for folder in (tmp_path / "spvcnn-lite", plain.folder)]
    moved = biases[0] - biases[1]
    told = torch.tensor([training["addends"][c.name] for c in POINT_CLASSES])
    assert training["calibrated"].startswith("on 2 sweeps of the validation split") and moved.abs().max() > 0
    torch.testing.assert_close(moved, told, atol=0.006, rtol=0)


def test_what_is_released_is_the_running_average(run, tmp_path):
    from training.common.checkpoints import read

    facts, _ = RELEASE(run / "spvcnn-lite.checkpoint.safetensors", tmp_path)
    tensors, _ = read(run / "spvcnn-lite.checkpoint.safetensors")
    network, _ = load_network(facts.folder)
    assert all(torch.equal(v, tensors[f"ema.{k}"]) for k, v in network.state_dict().items())
    with pytest.raises(ModelError, match="'other' is not known here"):
        RELEASE(run / "other.checkpoint.safetensors", tmp_path)


def test_cached_worlds_are_read_again_byte_for_byte(run):
    files = list(world_files(run / "cache", 2, 1))
    before = digest(files)
    assert digest(list(world_files(run / "cache", 2, 1))) == before
    assert [s.seed for f in files for s in read_world(f)] == list(TEST[:2])


def test_points_in_a_turned_box():
    xyz = np.array([[1.0, 1.0, 0.0], [1.4, 0.6, 0.0], [1.0, 1.0, 0.6], [2.0, 2.0, 0.0]])
    found = inside(xyz, np.array([1.0, 1.0, 0.0]), np.array([0.4, 2.0, 1.0]), np.pi / 4)
    assert found.tolist() == [True, True, False, False]


def test_box_scores_by_hand():
    class Boxes:
        centre, size, yaw = np.array([[10.0, 0, 0]]), np.array([[4.0, 2, 2]]), np.array([0.0])

    xyz = np.array([[10, 0, 0], [11, 0, 0], [20, 0, 0], [1, 0, 0]], np.float32)
    car, road = point_class("car"), point_class("road")
    counts = BoxCounts()
    counts.add(xyz, Boxes, ["car"], xyz, np.array([car, road, car, car], np.uint8))
    first = counts.scores()
    assert first == {"vehicle": {"points": 2, "right": 0.5, "outside": 0.5}}  # the point at 1 m is the ego car's
    counts.add(xyz, Boxes, ["car"], xyz, np.array([car, car, road, road], np.uint8))
    assert counts.scores() == {"vehicle": {"points": 4, "right": 0.75, "outside": 0.25}} and counts.sweeps == 2


def test_every_sweep_of_a_log_is_scored_not_the_last_alone(monkeypatch, tmp_path):
    class Boxes:
        centre, size, yaw = np.array([[10.0, 0, 0]]), np.array([[4.0, 2, 2]]), np.array([0.0])

    xyz = np.array([[10, 0, 0], [11, 0, 0]], np.float32)
    sweeps = [("log", xyz, np.full(2, intensity, np.float32), xyz, Boxes, ["car"]) for intensity in (0.9, 0.1, 0.1)]
    monkeypatch.setattr(real_sweeps, "boxed_sweeps", lambda data: iter(sweeps))
    classes = {True: point_class("car"), False: point_class("road")}
    scores, _ = real_scores(tmp_path, lambda xyz, i: np.array([classes[bool(v > 0.5)] for v in i], np.uint8))
    assert scores["boxes"]["log"]["vehicle"] == {"points": 6, "right": 0.3333, "outside": 0.0}
    assert scores["box_sweeps"] == {"log": 3}


def test_ten_class_mean_leaves_out_classes_the_truth_lacks():
    matrix = torch.zeros(19, 19, dtype=torch.long)
    matrix[8, 8], matrix[8, 12], matrix[12, 12], matrix[9, 9] = 6, 2, 2, 1
    scores = semantickitti_scores(matrix)
    assert scores["miou10"] == pytest.approx((6 / 8 + 2 / 4) / 2) and scores["iou"]["parking"] == 1.0
    assert scores["miou10_classes"] == 2  # of the ten, the truth holds road and building
    facts = RELEASE.facts("spvcnn-lite", {})
    text = "\n".join(class_table(facts, {"sim": {"iou": {}}, "real": scores}))
    assert "mIoU over 2 of the ten classes common in streets 0.625" in text
    assert any(line.startswith("road") and "building 25%" in line for line in confusions(matrix))
