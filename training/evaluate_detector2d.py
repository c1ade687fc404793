"""Scores video detectors on clips of held-out worlds, and releases checkpoints.

    python -m training.evaluate_detector2d runs/detector2d/tsn-detector-lite.checkpoint.safetensors \\
        runs/detector2d/tsm-detector-lite.checkpoint.safetensors
    python -m training.evaluate_detector2d tsn-detector-lite tsm-detector-lite

A checkpoint's averaged weights are first written to `--out`/<name> (weights.safetensors, model.yaml). Then all models
see the same clips of the test split frame by frame, as the node would; metrics.json and CARD.md go beside the weights.
Give the twins together: each one's card then tells of both.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.facts import WEIGHTS, ModelError, ModelFacts, load_facts, load_network, save_facts
from models.official import save_model
from models.tsm.detector_build import ARCHITECTURE, PRESETS, build_network, facts_of, load_weights
from models.tsm.detector_session import VideoDetector
from perception_nodes.evaluation.detection2d import (
    SPEEDS,
    WINDOW_S,
    Detection2dScorer,
    TrueBoxes2D,
    hard_to_see,
    interval_of_gain,
    motion_ious,
)
from training.detector2d_card import card, table
from training.detector2d_clips import truth_of
from training.evaluate_spvcnn import Progress, hardware
from training.seeds import TEST
from training.trainee import averaged_weights
from training.video_cache import BOX_NAMES, RATE, Clip, VideoCache

SUFFIX = ".checkpoint.safetensors"
DATA = (
    "front-camera video of the embedded driving world (training/video_world.py), seeds 0 to 899999, 384 x 192 px, 5 "
    "frames/s; backbone started from ImageNet weights of EfficientNet-Lite0; no real video."
)
MOTION_WINDOW = max(1, round(WINDOW_S * RATE))  # frames


def score_clips(
    detector: VideoDetector, clips: Sequence[Clip], scorer: Detection2dScorer, show: Callable[[], None] = lambda: None
) -> list[float]:
    """Streams clips through a detector, from empty caches each, and counts every frame; `show` after each clip.
    Returns the network's seconds per frame."""
    seconds = []
    for clip in clips:
        rows = [clip.boxes(i) for i in range(len(clip))]
        motion = motion_ious([r.box for r in rows], [r.track for r in rows], MOTION_WINDOW)
        detector.reset()
        for i, row in enumerate(rows):
            boxes, label, share = truth_of(row)
            truth = TrueBoxes2D(boxes, label, hard_to_see(boxes, share), motion[i])
            found = detector.step(clip.image(i))
            seconds.append(detector.seconds["network"])
            scorer.add(truth, found.box, found.label, found.score, group=str(clip.facts.seed))
        show()
    return seconds


def release(checkpoint: Path, out: Path) -> tuple[ModelFacts, dict[str, Any]]:
    """(facts, what is known of the training) of a checkpoint whose averaged weights are now in `out`/<name>."""
    name = checkpoint.name[: -len(SUFFIX)]
    if name not in PRESETS:
        raise ModelError(f"{checkpoint}: {name!r} is no preset; known: {', '.join(PRESETS)}")
    state, notes = averaged_weights(checkpoint)
    facts = replace(facts_of(PRESETS[name], name), trained=True, training_data=DATA)
    network = build_network(facts)
    load_weights(network, state, str(checkpoint))
    training = {
        "minutes": round(float(notes.get("elapsed", 0.0)) / 60, 1),
        "steps": notes.get("steps"),
        "frames": notes.get("frames"),
        "clips_in_cache": notes.get("clips"),
        "started_from": notes.get("started_from", "ImageNet"),
        "hardware": hardware(checkpoint.parent).split(", None")[0],
    }
    return save_model(network, facts, out / name), training


def evaluate(models: list[tuple[ModelFacts, dict[str, Any]]], clips: list[Clip], runtime: str, threads: int) -> tuple:
    """({name: metrics}, {name: scorer}) of models on the same clips."""
    found, scorers = {}, {}
    for facts, training in models:
        detector = VideoDetector.from_weights(facts.folder, runtime, threads)
        scorers[facts.name] = Detection2dScorer(BOX_NAMES)
        seconds = score_clips(detector, clips, scorers[facts.name], Progress(facts.name, len(clips)).step)
        network, _ = load_network(facts.folder)
        found[facts.name] = {
            "detection2d": scorers[facts.name].summary(),
            "params": sum(p.numel() for p in network.parameters()),
            "cache_bytes": detector.cache_bytes,
            "network_ms": round(1e3 * float(np.median(seconds)), 2),
            "engine": detector.engine,
            "training": training or _kept(facts).get("training", {}),
        }
    return found, scorers


def gains(new: Detection2dScorer, old: Detection2dScorer) -> dict[str, Any]:
    """What the shift brings at each speed: points of map50 and map, and the 90 % interval over draws of test drives."""
    out: dict[str, Any] = {}
    for speed in ("", *SPEEDS):
        row: dict[str, Any] = {}
        for key in ("map", "map50"):
            a, b = new.means(speed)[key], old.means(speed)[key]
            if a is None or b is None:
                continue
            row[key] = round(a - b, 4)
            interval = interval_of_gain(new, old, key, speed)
            if interval is not None:
                row[f"{key}_interval"] = [round(v, 4) for v in interval]
        out[speed or "all"] = row
    return out


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_detector2d",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="+", help=f"names, model folders, or <name>{SUFFIX} files (released to --out)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of model folders")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="video cache")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--clips", type=int, default=0, help="the first so many clips (0: all)")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    options = parse(arguments)
    try:
        clips = list(VideoCache(options.cache, options.split))[: options.clips or None]
        models = [release(Path(m), options.out) if m.endswith(SUFFIX) else (load_facts(m), {}) for m in options.models]
        wrong = [facts.name for facts, _ in models if facts.architecture != ARCHITECTURE]
        if wrong:
            raise ModelError(f"{', '.join(wrong)}: no video detector ({ARCHITECTURE})")
        found, scorers = evaluate(models, clips, options.runtime, options.threads)
        common = {
            "command": " ".join(["python -m training.evaluate_detector2d", *(arguments or sys.argv[1:])]),
            "split": options.split,
            "seed": TEST[0] if options.split == "test" else min(c.facts.seed for c in clips),
            "clips": len(clips),
            "drives": len({c.facts.seed for c in clips}),
            "frames": sum(map(len, clips)),
            "date": datetime.date.today().isoformat(),
        }
        names = {facts.network["mode"]: facts.name for facts, _ in models}
        if len(models) == 2 and len(names) == 2:
            common["gain"] = gains(scorers[names["online"]], scorers[names["none"]])
        for facts, _ in models:
            _write(facts, {**found[facts.name], **common}, {n: m for n, m in found.items() if n != facts.name})
        print("\n".join(table({n: m["detection2d"] for n, m in found.items()})))
        print(json.dumps(common.get("gain", {}), indent=1))
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _kept(facts: ModelFacts) -> dict[str, Any]:
    """The metrics.json of an earlier evaluation; empty where there is none."""
    try:
        return json.loads((Path(facts.folder) / "metrics.json").read_text())
    except (OSError, ValueError):
        return {}


def _write(facts: ModelFacts, metrics: dict[str, Any], others: dict[str, Any]) -> None:
    """metrics.json, CARD.md and the summary in model.yaml."""
    folder = Path(facts.folder)
    metrics = {**metrics, "twin": others}
    save_facts(replace(facts, metrics={"detection2d_map": metrics["detection2d"]["map"]}), folder)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    (folder / "CARD.md").write_text(card(facts, metrics))


if __name__ == "__main__":
    sys.exit(main())
