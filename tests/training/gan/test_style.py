"""Exact pairs and the training of styles: what is the same in a pair, what a run learns, resumes and releases."""

import json

import cv2
import numpy as np
import pytest
import torch

from models.facts import ModelError, load_network
from models.gan.session import StyleSession
from training.common.loop import Limits, train
from training.common.trainee import OptimiserConfig
from training.gan import style_evaluate
from training.gan.pairs import DONE, HEIGHT, LIGHTS, STYLES, WIDTH, Pairs, conditions_of, draw_world, write_picture
from training.gan.pairs import main as generate
from training.gan.style import StyleConfig, StyleTrainer

SMALL = StyleConfig(
    steps=60, styles=("night",), width=8, blocks=1, batch=2, crop=(64, 36), perceptual=0.0, smooth=0.0,
    optimiser=OptimiserConfig(lr=6e-3, weight_decay=0.0, warmup=0.1),
)  # fmt: skip


def darker(rgb):
    """The toy style: a third of the light."""
    return (rgb / 3).astype(np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Worlds of a toy style: night is a third of the day's light."""
    tmp_path = tmp_path_factory.mktemp("style")
    rng = np.random.default_rng(0)
    for split, seed in (("train", 0), ("train", 1), ("val", 900_000), ("test", 950_000)):
        folder = tmp_path / "pairs" / split / f"{seed:06d}"
        folder.mkdir(parents=True)
        for i in range(3):
            rgb = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            for style in LIGHTS:
                write_picture(folder / f"{i:04d}_front_{style}.jpg", rgb if style == "day" else darker(rgb))
        np.savez(folder / DONE, range=np.ones((1, 3, 4, 2), np.float16), intensity=np.zeros((1, 3, 4, 2), np.uint8))
    return tmp_path / "pairs"


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    """A short training: (its folder, its trainer, its losses)."""
    torch.manual_seed(0)
    out, trainer = tmp_path_factory.mktemp("run"), StyleTrainer(SMALL, pairs)
    return out, trainer, train(trainer, out, Limits())


@pytest.mark.slow
def test_a_pair_shows_one_moment_geometry_stays_and_light_differs(tmp_path):
    draw_world(3, tmp_path / "train" / "000003", moments=1)
    found = Pairs(tmp_path, "train")
    assert len(found) == 2  # cameras
    day = found.picture(0).astype(float)
    assert day.shape == (HEIGHT, WIDTH, 3)
    bright = {style: found.picture(0, style).mean() for style in LIGHTS}
    assert bright["night"] < 0.6 * bright["day"] and len({round(b) for b in bright.values()}) == len(LIGHTS)
    edges = {s: cv2.Laplacian(cv2.GaussianBlur(found.picture(0, s), (5, 5), 0).mean(2), cv2.CV_64F) for s in LIGHTS}
    assert np.corrcoef(edges["day"].ravel(), edges["dusk"].ravel())[0, 1] > 0.3
    (sweeps,) = found.sweeps()
    assert sweeps.range.shape[:2] == (1, 3) and sweeps.conditions == ("day", "rain", "fog")
    day_range, fog = sweeps.range[0, 0], sweeps.range[0, 2]
    both = (day_range > 0) & (fog > 0)
    assert (np.abs(day_range - fog)[both] < 0.3).mean() > 0.9  # the same firing in every condition
    assert (fog > 0).sum() < (day_range > 0).sum()


def test_conditions_follow_from_the_seed_and_unknown_styles_are_refused_by_name():
    from perception_nodes.simulator.scene import Conditions

    assert conditions_of("night", Conditions(), 4).daytime == "night"
    assert conditions_of("fog", Conditions(), 4) == conditions_of("fog", Conditions(), 4)
    assert conditions_of("rain", Conditions(), 4).sun_elevation == conditions_of("day", Conditions(), 4).sun_elevation
    with pytest.raises(ValueError, match="style 'snow' is unknown: expected one of day, dusk"):
        conditions_of("snow", Conditions(), 4)


def test_missing_pairs_are_one_sentence_with_the_command(tmp_path, capsys):
    with pytest.raises(ModelError, match="python -m training.gan.pairs --split val"):
        Pairs(tmp_path, "val")
    assert generate(["--worlds", "0", "--out", str(tmp_path)]) == 2
    assert "--worlds is 0: expected 1 or more" in capsys.readouterr().err


def test_a_run_learns_the_style_of_its_pairs_and_resumes_where_it_stopped(run, pairs):
    out, trainer, losses = run
    first, last = (np.mean([loss["style-night"] for loss in part]) for part in (losses[:5], losses[-5:]))
    assert last < 0.35 * first
    again = StyleTrainer(SMALL, pairs)
    again.resume(out)
    assert again.step_number == trainer.step_number == 60
    for a, b in zip(trainer.batch(), again.batch()):
        assert torch.equal(a, b)
    with pytest.raises(ModelError, match="styles are snow: expected some of dusk, night"):
        StyleTrainer(StyleConfig(styles=("snow",)), pairs)


def test_a_checkpoint_becomes_a_model_with_scores_card_and_a_sheet_of_the_world(run, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(style_evaluate, "stream_flicker", lambda session, style: {"style": 0.1, "true": 0.2})
    checkpoint = run[0] / "style-night.checkpoint.safetensors"
    real = tmp_path / "real"
    real.mkdir()
    for i in range(3):
        write_picture(real / f"{i}.jpg", np.full((90, 200, 3), 60 * i + 40, np.uint8))
    arguments = [str(checkpoint), "--pairs", str(pairs), "--real", str(real), "--out", str(tmp_path / "weights")]
    assert style_evaluate.main([*arguments, "--look", str(tmp_path / "look")]) == 0
    folder = tmp_path / "weights" / "style-night"
    metrics = json.loads((folder / "metrics.json").read_text())
    world = metrics["world"]
    assert world["style"]["psnr"] > world["unchanged"]["psnr"] + 6 and world["pictures"] == 3
    assert metrics["real"]["pictures"] == 3 and (tmp_path / "look" / "style-night_real.jpg").is_file()
    network, facts = load_network(folder)
    assert facts.trained and network.residual.enter.out_channels == 8
    rgb = Pairs(pairs, "test").picture(0)
    styled = StyleSession(network, facts, runtime="torch").step(rgb)
    assert np.abs(styled.astype(int) - darker(rgb)).mean() < 20
    card = (folder / "CARD.md").read_text()
    assert "| whole style |" in card and "Real pictures (3 of real" in card
    assert sorted(path.name for path in folder.iterdir()) == [
        "CARD.md", "metrics.json", "model.yaml", "sheet.jpg", "weights.safetensors"
    ]  # fmt: skip


def test_every_style_has_a_light_of_its_own():
    assert len(set(LIGHTS.values())) == len(LIGHTS) and "day" not in STYLES
