"""The training loop on a hand-made street: it learns, resumes on the same trajectory, and survives bad numbers."""

from dataclasses import replace

import pytest
import torch

from models.facts import ModelError
from tests.training.street import street
from training.common.config_files import load_yaml_config
from training.common.trainee import one_cycle
from training.segmentation.sweep_buffer import compact
from training.segmentation.trainer import TrainConfig, Trainer

CPU = torch.device("cpu")
TINY = TrainConfig(batch=2, capacity=4, bf16=False)


def trainer(names=("spvcnn-lite",), config=TINY) -> Trainer:
    torch.manual_seed(0)
    made = Trainer(names, config)
    for seed in range(3):
        made.buffer.add(street(seed, 400))
    return made


def test_both_networks_learn_from_the_same_batches():
    made = trainer(("spvcnn-lite", "minkunet-lite"))
    losses = [made.step(0.1) for _ in range(8)]
    for name in ("spvcnn-lite", "minkunet-lite"):
        assert losses[-1][name] < losses[0][name] - 0.3
    scores = made.scores([("hand", compact(street(9, 400), CPU))])
    assert set(scores) == {"spvcnn-lite", "minkunet-lite"} and 0.0 <= scores["spvcnn-lite"]["miou"] <= 1.0


def test_a_resumed_run_follows_the_same_losses(tmp_path):
    first = trainer()
    for _ in range(3):
        first.step(0.1)
    first.save(tmp_path)
    expected = [first.step(0.2)["spvcnn-lite"] for _ in range(3)]
    second = trainer()
    second.resume(tmp_path)
    second.buffer.counts = first.buffer.counts.clone()
    assert [second.step(0.2)["spvcnn-lite"] for _ in range(3)] == expected
    assert second.trainees[0].step_count == 6


def test_a_loss_that_is_not_a_number_is_skipped():
    made = trainer()
    trainee = made.trainees[0]
    before = {k: v.clone() for k, v in trainee.network.state_dict().items()}
    loss = sum(p.sum() for p in trainee.network.parameters()) * float("nan")
    assert not trainee.learn(loss, 0.5) and trainee.skipped == 1
    assert all(torch.equal(v, before[k]) for k, v in trainee.network.state_dict().items())


def test_resuming_from_another_network_is_refused(tmp_path):
    trainer().save(tmp_path)
    for kind in ("checkpoint", "optimiser"):
        (tmp_path / f"spvcnn-lite.{kind}.safetensors").rename(tmp_path / f"minkunet-lite.{kind}.safetensors")
    with pytest.raises(ModelError, match="holds another network"):
        trainer(("minkunet-lite",)).resume(tmp_path)
    with pytest.raises(ModelError, match="no .*spvcnn-lite.checkpoint.*earlier run"):
        trainer().resume(tmp_path)


def test_unknown_config_keys_are_refused_by_name(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("batch: 4\noptimiser: {lr: 0.001}\n")
    assert load_yaml_config(TrainConfig(), path) == replace(
        TrainConfig(), batch=4, optimiser=replace(TrainConfig().optimiser, lr=0.001)
    )
    path.write_text("optimiser: {learning_rate: 0.001}\n")
    with pytest.raises(ModelError, match="unknown keys learning_rate"):
        load_yaml_config(TrainConfig(), path)


def test_one_cycle_rises_then_falls():
    rates = [one_cycle(p / 100, 0.06) for p in range(101)]
    assert max(rates) == pytest.approx(1.0, abs=0.01) and rates.index(max(rates)) == 6 and rates[-1] < 0.01
