"""Street crops, batches and the training loop, on a street made by hand."""

import json

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_facts, verify
from models.pvcnn.crops import SIDE
from perception_nodes.classes import IGNORE
from tests.training.street import street
from training.common.loop import train
from training.common.seeds import split_of
from training.common.trainee import OptimiserConfig
from training.points import batches as point_batches
from training.points import evaluate as evaluate_pvcnn
from training.points.batches import NONE, CropAugment
from training.points.street_crops import LEAST, MOST, REACH, crops_of, cut, load, read_crops, write_crops
from training.points.trainer import PointTrainConfig, PointTrainer, main


@pytest.fixture(scope="module")
def crops():
    return cut([street(seed, 6000) for seed in range(2)], per_sweep=4, seed=0, rare=0.0)


def small(**numbers):
    defaults = {"batch": 2, "points": 128, "steps": 4}
    return PointTrainConfig(**{**defaults, **numbers}, optimiser=OptimiserConfig(lr=5e-3, ema=0.5))


def test_crops_hold_what_is_near_and_say_which_points(crops):
    sweep = street(0, 6000)
    assert len(crops) >= 4
    for crop in crops:
        assert LEAST <= len(crop) <= MOST
        assert (np.linalg.norm(crop.xyz[:, :2] - crop.centre, axis=1) < REACH).all()
    first = crops[0]
    assert np.array_equal(sweep.metres()[first.index], first.xyz)
    assert np.array_equal(sweep.label[first.index], first.label)


def test_a_sweep_without_labels_or_points_gives_no_crops():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-20, 20, (3000, 3)).astype(np.float32)
    nothing = np.full(3000, IGNORE, np.uint8)
    assert list(crops_of(xyz, xyz[:, 0], nothing, 5, rng)) == []
    assert list(crops_of(xyz[:50], xyz[:50, 0], np.zeros(50, np.uint8), 5, rng)) == []


def test_crops_come_back_from_their_file(crops, tmp_path):
    write_crops(tmp_path / "train_7.npz", crops)
    again = load(tmp_path, "train")
    assert [len(c) for c in again] == [len(c) for c in crops]
    assert np.allclose(again[1].xyz, crops[1].xyz, atol=1 / 256) and np.array_equal(again[1].label, crops[1].label)
    assert (again[0].pattern, again[0].sweep) == (crops[0].pattern, crops[0].sweep)
    with pytest.raises(ValueError, match="holds no val crops: make them with"):
        load(tmp_path, "val")
    (tmp_path / "test_7.npz").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="holds no crops"):
        read_crops(tmp_path / "test_7.npz")


def test_batches_follow_from_seed_and_step(crops):
    one, two, other = (point_batches.batch(crops, 2, 64, step, 0, CropAugment()) for step in (3, 3, 4))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])
    assert one[0].shape == (2, 7, 64) and one[1].shape == (2, 64) and np.isfinite(one[0]).all()


def test_an_undisturbed_square_keeps_places_and_labels(crops):
    features, labels = point_batches.sample(crops[0], 256, np.random.default_rng(0), NONE)
    assert (np.abs(features[:2] * 4.8) <= SIDE / 2 + 1e-3).all()
    road = labels == 8
    assert road.any() and np.allclose(features[2][road] * 4.8, -1.7, atol=0.01)
    assert set(np.unique(labels)) <= set(np.unique(crops[0].label))


def test_splits_of_worlds_are_those_of_every_training():
    assert (split_of(0), split_of(900_000), split_of(950_000)) == ("train", "val", "test")


@pytest.mark.parametrize("name", ["pvcnn-lite", "pointnet-lite", "voxel-lite"])
def test_networks_learn_a_street(name, crops):
    torch.manual_seed(0)
    trainer = PointTrainer(name, small(steps=12), crops, [])
    losses = [trainer.step(k / 12)[name] for k in range(12)]
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])


def test_a_resumed_training_is_the_same_as_one_that_was_not_broken(crops, tmp_path):
    whole = PointTrainer("pointnet-lite", small(), crops, crops[:1])
    (tmp_path / "whole").mkdir()
    train(whole, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    first = PointTrainer("pointnet-lite", small(), crops, [])
    for k in range(2):
        first.step(k / 4)
    first.save(tmp_path / "parts")
    second = PointTrainer("pointnet-lite", small(), crops, [])
    second.resume(tmp_path / "parts")
    train(second, tmp_path / "parts")
    for key, value in whole.trainee.network.state_dict().items():
        assert torch.equal(value, second.trainee.network.state_dict()[key]), key
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert any("validation" in line for line in lines)


def test_a_checkpoint_is_released_with_its_story(crops, tmp_path):
    trainer = PointTrainer("voxel-lite", small(), crops, [])
    trainer.step(0.0)
    trainer.save(tmp_path)
    facts, training = evaluate_pvcnn.RELEASE(tmp_path / "voxel-lite.checkpoint.safetensors", tmp_path / "weights")
    assert verify(facts.folder).architecture == "voxel-unet" and load_facts(facts.folder).trained
    assert training["steps"] == 1 and training["crops to draw from"] == len(crops)
    (tmp_path / "other.checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="'other' is not known here"):
        evaluate_pvcnn.RELEASE(tmp_path / "other.checkpoint.safetensors", tmp_path)


def test_without_crops_the_command_says_how_to_make_them(tmp_path, capsys):
    assert main(["--crops", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "python -m training.points.street_crops" in capsys.readouterr().err


def test_a_card_says_what_was_not_scored(crops, tmp_path):
    facts = load_facts("random:pvcnn-lite")
    from models.pvcnn.build import build_network

    scores = evaluate_pvcnn.crop_scores(build_network(facts, 0), crops[:3], 64, lambda: None)
    assert scores["crops"] == 3 and 0 <= scores["accuracy"] <= 1 and scores["by_pattern"].keys() == {"hand"}
    metrics = {"crops": scores, "crops_real": scores, "training": {"steps": 1}, "parameters": 5, "sweeps": 0}
    metrics |= {"macs": {"points": 64, "crop": 10**9}, "command": "python …", "date": "today"}
    text = evaluate_pvcnn.card(facts, metrics)
    assert "Not scored on whole sweeps" in text and "3 crops of real sweeps" in text and "steps: 1" in text
    assert evaluate_pvcnn.real_crops(tmp_path) == []
