"""Scores and cards of event networks."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.facts import load_facts
from models.tsm.build import build_network, facts_of
from models.tsm.spec import TsmSpec
from perception_nodes.classes import EVENTS
from tests.training.video.test_world import cache
from training.video import evaluate as evaluate_tsm
from training.video import trainer as tsm
from training.video.event_scores import both_ways, confusion, cost, score, spread


def one_hot(*ids: int) -> np.ndarray:
    return np.eye(len(EVENTS), dtype=np.float32)[list(ids)]


def test_scores_of_hand_made_answers():
    labels = np.array([0, 2, 2, 3, 7])
    events = [(), ("ego_turning_left",), ("ego_turning_left", "ego_braking"), ("ego_turning_right",), ("cut_out",)]
    found = score(one_hot(0, 2, 1, 2, 7), labels, events)
    assert found["top1"] == 0.6 and found["top1_any"] == 0.8
    assert found["per_event"]["ego_turning_left"] == {"right": 0.5, "clips": 2}
    assert found["mean_class"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    # within the pair: both left ones are right (one by a tie of zeros), the right one is wrong
    assert found["mirrored"] == {"ego_turning_left/ego_turning_right": 0.5} and found["mirrored_top1"] == 0.5


def test_whoever_looks_at_the_last_frame_alone_tells_half_of_the_clips_both_ways():
    left, right, into, out = (
        EVENTS.index(n) for n in ("ego_turning_left", "ego_turning_right", "cut_in_from_left", "cut_out")
    )
    labels = np.array([left, right, left, into])
    logits = np.random.default_rng(0).normal(size=(4, len(EVENTS))).astype(np.float32)
    turns, cuts = "ego_turning_left/ego_turning_right", "cut_in_from_left/cut_in_from_right"
    assert both_ways(logits, logits, labels) == {turns: 0.5, cuts: 0.5}
    forward, backward = one_hot(left, right, right, into), one_hot(right, right, right, out)
    # right: both ways, forward alone, backward alone; the cut-in both ways
    assert both_ways(forward, backward, labels) == {turns: round(4 / 6, 4), cuts: 1.0}


def test_the_interval_holds_the_share_and_shrinks_with_more_drives():
    right = np.tile([True, True, False, True], 40)
    few, many = (spread(right, np.arange(160) // size) for size in (40, 2))
    assert few == (0.75, 0.75)  # every drive alike
    assert many[0] < 0.75 < many[1]


def test_confusions_count_truth_by_answer():
    found = confusion(np.array([1, 1, 0]), np.array([1, 0, 0]))
    assert found[1, 1] == 1 and found[0, 1] == 1 and found[0, 0] == 1 and found.sum() == 3


def test_the_shift_costs_no_parameters_and_no_multiplications():
    image = {"size": [64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "period_s": 0.2, "fit": "stretch"}
    found = {}
    for architecture, mode in (("tsm", "online"), ("tsm", "offline"), ("tsn", "none")):
        spec = TsmSpec("mobilenetv2", mode, 12, segments=2, architecture=architecture)
        facts = facts_of(spec, "random:x", None, image)
        found[mode] = cost(build_network(facts, 0), facts, 2, repeats=1)
    assert len({(f["params"], f["macs_per_frame"]) for f in found.values()}) == 1
    assert "frame_ms" in found["online"] and "frame_ms" not in found["offline"]


def test_a_checkpoint_becomes_a_model_with_scores_and_a_card(tmp_path: Path):
    root = cache(cache(tmp_path / "video"), "test")
    small = [
        "batch=2",
        "steps=1",
        "size=[32, 64]",
        "stored=[32, 64]",
        "norm=frozen",
        "imagenet=false",
        "supervise=frame",
    ]
    runs = str(tmp_path / "runs")
    options = [text for s in small for text in ("--set", s)]
    for name in ("tsm-events-mobilenetv2",):
        assert tsm.main(["--model", name, "--cache", str(root), "--out", runs, *options]) == 0
    file = f"{runs}/tsm-events-mobilenetv2.checkpoint.safetensors"
    out = tmp_path / "weights"
    common = ["--cache", str(root), "--twins", str(tmp_path / "twins"), "--every", "1"]
    assert evaluate_tsm.main([file, "--land", "tsm-events-mobilenetv2", "--out", str(out), *common]) == 0
    folder = out / "tsm-events-mobilenetv2"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["split"] == "test" and 0 <= metrics["events"]["top1"] <= 1 and metrics["test"]["clips"] == 6
    assert metrics["variants"]["tsm-events-mobilenetv2"]["training"]["steps"] == 1
    assert load_facts(folder).metrics["top1"] == metrics["events"]["top1"]
    assert "Held-out worlds" in (folder / "CARD.md").read_text() and (folder / "confusion.png").stat().st_size > 1000
    assert evaluate_tsm.main([str(folder), "--land", "x", *common]) == 0


def test_a_gain_is_of_the_same_clips_and_its_interval_of_whole_drives():
    labels, drive = np.zeros(6, np.int64), np.array([0, 0, 0, 1, 1, 1])
    plain = evaluate_tsm.Answered(np.array([0, 0, 1, 1, 1, 1]), labels, drive, None)
    better = evaluate_tsm.Answered(np.array([0, 0, 0, 0, 1, 1]), labels, drive, None)
    gain, low, high = better.over(plain)  # one clip more of three in each drive, so drives drawn again change nothing
    assert gain == pytest.approx(1 / 3, abs=1e-4) and low == pytest.approx(gain) and high == pytest.approx(gain)
    assert plain.over(plain) == (0.0, 0.0, 0.0)
