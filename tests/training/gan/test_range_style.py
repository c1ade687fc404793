"""Training of LiDAR styles: what a firing's fate is, and that a run learns the shares of its pairs."""

import json

import numpy as np
import pytest
import torch

from models.gan.range_style import AIR, LOST, STAY
from training.common.loop import Limits, train
from training.common.trainee import OptimiserConfig
from training.gan import range_style_evaluate
from training.gan.pairs import DONE
from training.gan.range_style import Batch, RangeStyleConfig, RangeStyleTrainer

FAR = 40.0  # m: farther echoes are lost in the toy's rain
CONFIG = RangeStyleConfig(
    steps=200, width=8, optimiser=OptimiserConfig(lr=2e-2, weight_decay=0.0, warmup=0.05, ema=0.9)
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Toy weather: rain loses all echoes beyond 40 m, fog turns every fourth column into echoes at 5 m."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for split, seed in (("train", 0), ("train", 1), ("test", 950_000)):
        clear = rng.uniform(10, 70, (1, 96, 16)).astype(np.float32)
        rain, fog = np.where(clear > FAR, 0, clear), clear.copy()
        fog[:, ::4] = 5.0
        level = np.full(clear.shape, 100, np.uint8)
        folder = root / split / f"{seed:06d}"
        folder.mkdir(parents=True)
        (folder / "0000_front_day.jpg").touch()
        ranges = np.stack([clear, rain, fog], 1).astype(np.float16)
        np.savez(folder / DONE, range=ranges, intensity=np.stack([level, level // 2, level], 1))
    return root


def test_a_firing_stays_is_lost_or_comes_from_the_air():
    clear, weather = torch.tensor([10.0, 10.0, 10.0]), torch.tensor([9.8, 0.0, 4.0])
    batch = Batch(clear, torch.ones_like(clear), weather, torch.ones_like(clear))
    assert batch.fate.tolist() == [STAY, LOST, AIR]


def test_a_run_learns_which_echoes_are_lost_and_is_released_with_its_shares(pairs, tmp_path):
    torch.manual_seed(0)
    trainer = RangeStyleTrainer(CONFIG, pairs)
    losses = train(trainer, tmp_path / "run", Limits())
    for name in ("style-rain-lidar", "style-fog-lidar"):
        assert np.mean([loss[name] for loss in losses[-5:]]) < 0.7 * losses[0][name]
    checkpoint = tmp_path / "run" / "style-rain-lidar.checkpoint.safetensors"
    assert range_style_evaluate.main([str(checkpoint), "--pairs", str(pairs), "--out", str(tmp_path / "weights")]) == 0
    folder = tmp_path / "weights" / "style-rain-lidar"
    world = json.loads((folder / "metrics.json").read_text())["world"]
    assert world["true"]["30-60 m"]["lost"] == pytest.approx(2 / 3, abs=0.05) and world["true"]["0-15 m"]["lost"] == 0
    assert world["style"]["0-15 m"]["lost"] < 0.15 and world["style"]["60-120 m"]["lost"] > 0.85
    assert world["intensity"]["style"] == pytest.approx(world["intensity"]["true"], abs=0.03)
    assert "| 30-60 m |" in (folder / "CARD.md").read_text()
    again = RangeStyleTrainer(CONFIG, pairs)
    again.resume(tmp_path / "run")
    for a, b in zip(trainer.batches(), again.batches()):
        assert torch.equal(a.distance, b.distance) and torch.equal(a.styled_distance, b.styled_distance)
