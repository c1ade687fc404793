"""Training of video networks: what a step learns, resuming, several processes, configuration."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.tsm.builder import build_tsm
from models.tsm.spec import TsmSpec
from training.common.config_files import merged
from training.common.loop import train
from training.video import processes as tsm_processes
from training.video import trainer as tsm
from training.video.clips import ListClips
from training.video.config import ClipOptimiser, VideoTrainConfig, load_config
from training.video.start import start_from
from training.video.trainee import clip_loss, parameter_groups

SMALL = {"batch": 2, "segments": 4, "size": (32, 32), "steps": 4, "norm": "frozen", "imagenet": False, "dropout": 0.3}


def trainer(folder: Path, **changes) -> tsm.VideoTrainer:
    config = merged(VideoTrainConfig(), {**SMALL, **changes}, "test")
    listed = folder / "list.txt"
    if not listed.is_file():
        tsm_processes.made_up(folder, videos=3, frames=6)
    facts = tsm.network_facts("tsm-jester-online", config, ("right", "left", "still"))
    return tsm.VideoTrainer("tsm-jester-online", config, ListClips(listed, None, 3, 4), facts, tsm.Process())


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path):
    whole = trainer(tmp_path)
    straight = train(whole, tmp_path / "whole")
    first = trainer(tmp_path)
    with first:
        losses = [first.step(k / 4) for k in range(2)]
    (tmp_path / "half").mkdir()
    first.save(tmp_path / "half")
    second = trainer(tmp_path)
    second.resume(tmp_path / "half")
    assert second.step_number == 2
    losses += train(second, tmp_path / "half")
    assert [row["loss"] for row in losses] == pytest.approx([row["loss"] for row in straight], abs=1e-6)


def test_an_extra_lesson_survives_an_interruption_and_is_not_released(tmp_path: Path):
    straight = train(trainer(tmp_path, motion=2.0), tmp_path)
    first = trainer(tmp_path, motion=2.0)
    with first:
        losses = [first.step(k / 4) for k in range(2)]
    first.save(tmp_path)
    second = trainer(tmp_path, motion=2.0)
    second.resume(tmp_path)
    losses += train(second, tmp_path)
    assert [row["loss"] for row in losses] == pytest.approx([row["loss"] for row in straight], abs=1e-6)
    assert all(row["motion"] > 0 for row in losses)
    assert not any("maps" in key for key in second.trainee.network.state_dict())
    with pytest.raises(ModelError, match="with auxiliary layers"):
        trainer(tmp_path).resume(tmp_path)


def test_every_process_takes_its_part_of_the_same_batch(tmp_path: Path):
    one = trainer(tmp_path)
    whole = one.batch(3)[0]
    parts = []
    for rank in range(2):
        one.process = tsm.Process(rank, 2)
        parts.append(one.batch(3)[0])
    assert (np.concatenate(parts) == whole).all()


def test_two_processes_have_the_losses_of_one(capsys):
    assert tsm_processes.main(["--steps", "2", "--batch", "2", "--size", "32"]) == 0
    said = capsys.readouterr().out
    assert float(said.split("largest difference")[1]) < 1e-5
    assert said.count("clips/s") == 2


def test_fixed_layers_keep_their_weights_and_the_rest_learns(tmp_path: Path):
    one = trainer(tmp_path, freeze=3, fixed_depthwise=True)
    before = {k: v.clone() for k, v in one.trainee.network.state_dict().items()}
    with one:
        one.step(0.0)
    changed = {k for k, v in one.trainee.network.state_dict().items() if not torch.equal(v, before[k])}
    assert "new_fc.weight" in changed
    assert not any(k.startswith(("base_model.features.0.", "base_model.features.2.")) for k in changed)
    assert not any("running" in k for k in changed)
    depthwise = [k for k, v in before.items() if v.ndim == 4 and v.shape[1] == 1]
    assert depthwise and not changed & set(depthwise)


def test_the_loss_of_a_causal_network_is_over_the_frames_with_a_past():
    logits = torch.zeros(1, 4, 3)
    logits[0, 0, 0] = 50.0  # wrong, but has no history
    labels = torch.tensor([[1, 1, 1, 1]])
    assert float(clip_loss(logits, labels, least_history=1)) == pytest.approx(np.log(3), abs=1e-5)
    assert float(clip_loss(logits, labels)) > 5
    assert float(clip_loss(torch.tensor([[0.0, 9.0, 0.0]]), labels)) < 0.01  # clip: the last frame's label


def test_biases_and_the_classifier_learn_faster_and_only_kernels_decay(tmp_path: Path):
    network = trainer(tmp_path).trainee.network
    groups = {(g["rate"], g["weight_decay"]): g["params"] for g in parameter_groups(network, ClipOptimiser())}
    assert set(groups) == {(1.0, 5e-4), (1.0, 0.0), (5.0, 5e-4), (10.0, 0.0)}
    assert [p.shape[0] for p in groups[5.0, 5e-4]] == [3]


def test_the_official_schedule_drops_twice():
    config = ClipOptimiser()
    assert [round(config.factor(p), 4) for p in (0.0, 0.39, 0.41, 0.79, 0.81)] == [1.0, 1.0, 0.1, 0.1, 0.01]


def test_configs_in_the_repository_are_read_and_bad_keys_are_named(tmp_path: Path):
    for path in Path("config/training").glob("tsm_*.yaml"):
        load_config(path)
    bad = tmp_path / "bad.yaml"
    bad.write_text("batches: 3\n")
    with pytest.raises(ModelError, match="unknown keys batches"):
        load_config(bad)
    bad.write_text("norm: loud\n")
    with pytest.raises(ModelError, match="norm is 'loud'"):
        load_config(bad)


@pytest.mark.parametrize("architecture", ["tsm", "tsm-i3d", "tsm-lstm", "tsm-two-stream"])
def test_other_networks_start_from_a_2d_one(architecture: str):
    source = build_tsm(TsmSpec("mobilenetv2", "none", 5, architecture="tsn"), seed=1)
    mode, channels = ("offline", 3) if architecture == "tsm" else ("none", 13 if "two" in architecture else 3)
    network = build_tsm(TsmSpec("mobilenetv2", mode, 5, architecture=architecture, in_channels=channels), seed=2)
    left = start_from(network, source.state_dict())
    assert all("lstm" in key or "new_fc" in key for key in left)
    if architecture == "tsm-i3d":  # equal frames give the 2D network's answer away from the ends
        clip = torch.randn(1, 1, 3, 32, 32).expand(1, 25, 3, 32, 32)
        assert torch.allclose(network.frame_logits(clip)[0, 12], source.frame_logits(clip)[0, 12], atol=1e-4)


def test_weights_of_another_backbone_are_refused():
    with pytest.raises(ModelError, match="expected weights of the same backbone"):
        start_from(build_tsm(TsmSpec("mobilenetv2", "online", 5)), {"base_model.conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nothing"], "no preset 'nothing'"),
        (["--cache", "/nowhere"], "make some: python -m training.video.world"),
        (["--list", "/nowhere/list.txt"], "no list"),
        (["--set", "sizes=3"], "unknown keys sizes"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(tmp_path: Path, capsys, arguments, said):
    assert tsm.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
