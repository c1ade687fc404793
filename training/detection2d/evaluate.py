"""Scores video detectors on clips of held-out worlds, and releases checkpoints.

    python -m training.detection2d.evaluate runs/detector2d/tsn-detector-lite.checkpoint.safetensors \\
        runs/detector2d/tsm-detector-lite.checkpoint.safetensors
    python -m training.detection2d.evaluate tsn-detector-lite tsm-detector-lite

A checkpoint's averaged weights are first written to `--out`/<name> (weights.safetensors, model.yaml). Then all models
see the same clips of the test split frame by frame, as the node would; metrics.json and CARD.md go beside the weights.
Give the two twins together: each card then has the scores of both.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.facts import WEIGHTS, ModelError, ModelFacts, load_network
from models.tsm.detector_build import ARCHITECTURE, PRESETS, facts_of
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
from training.common.checkpoints import CHECKPOINT
from training.common.progress import Progress
from training.common.release import Release, provenance, publish
from training.detection2d.card import card, table
from training.detection2d.clips import truth_of
from training.video.cache import BOX_NAMES, RATE, Clip, VideoCache

DATA = (
    "front-camera video of the embedded driving world (training/video/world.py), seeds 0 to 899999, 384 x 192 px, 5 "
    "frames/s; backbone started from ImageNet weights of EfficientNet-Lite0; no real video."
)
MOTION_WINDOW = max(1, round(WINDOW_S * RATE))  # frames


def score_clips(
    detector: VideoDetector | None,
    clips: Sequence[Clip],
    scorer: Detection2dScorer,
    show: Callable[[], None] = lambda: None,
    kept: Path | None = None,
) -> None:
    """Counts every frame of clips; `show` after each clip.

    `kept`: folder with what this detector found before, clip by clip; what is missing there is added (where nothing is,
    there need not be a detector).
    """
    for clip in clips:
        rows = [clip.boxes(i) for i in range(len(clip))]
        motion = motion_ious([r.box for r in rows], [r.track for r in rows], MOTION_WINDOW)
        found = found_in(detector, clip, None if kept is None else kept / f"{clip.folder.name}.npz")
        for i, row in enumerate(rows):
            boxes, label, share = truth_of(row)
            truth = TrueBoxes2D(boxes, label, hard_to_see(boxes, share), motion[i])
            here = found["frame"] == i
            scorer.add(truth, found["box"][here], found["label"][here], found["score"][here], str(clip.facts.seed))
        show()


def found_in(detector: VideoDetector | None, clip: Clip, file: Path | None) -> dict[str, NDArray]:
    """What a detector finds in a clip, streamed from empty caches: frame [N], box [N, 4], label [N], score [N]; from
    `file` where it is there, else written to it."""
    if file is not None and file.is_file():
        with np.load(file, allow_pickle=False) as known:
            return {k: known[k] for k in known.files}
    if detector is None:
        raise ValueError(f"nothing is kept of {clip.folder.name} and there is no detector to look at it")
    detector.reset()
    found = [detector.step(clip.image(i)) for i in range(len(clip))]
    out: dict[str, NDArray] = {
        "frame": np.repeat(np.arange(len(found)), [len(f) for f in found]),
        "box": np.concatenate([f.box for f in found]),
        "label": np.concatenate([f.label for f in found]),
        "score": np.concatenate([f.score for f in found]),
    }
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, **out)  # type: ignore[arg-type]
        part.replace(file)
    return out


def _training(notes: dict[str, Any]) -> dict[str, Any]:
    return {
        "frames": notes.get("frames"),
        "clips_in_cache": notes.get("clips"),
        "started_from": notes.get("started_from", "ImageNet"),
    }


RELEASE = Release(PRESETS, lambda name, notes: facts_of(PRESETS[name], name), DATA, _training)


def evaluate(
    models: list[tuple[ModelFacts, dict[str, Any]]], clips: list[Clip], runtime: str, threads: int, kept: Path
) -> tuple:
    """({name: metrics}, {name: scorer}) of models on the same clips; what they find is kept, by the weights' hash."""
    found, scorers = {}, {}
    for facts, training in models:
        network, _ = load_network(facts.folder)
        folder = kept / facts.sha256[:16]
        show = Progress(facts.name, len(clips)).step
        if all((folder / f"{c.folder.name}.npz").is_file() for c in clips):
            detector = None  # nothing to be found any more: no need to wait for a runtime
        else:
            detector = VideoDetector(network, facts, runtime, threads)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "engine.txt").write_text(detector.engine)
        scorers[facts.name] = Detection2dScorer(BOX_NAMES)
        score_clips(detector, clips, scorers[facts.name], show, folder)
        shapes = network.cache_shapes(*facts.image["size"])
        found[facts.name] = {
            "detection2d": scorers[facts.name].summary(),
            "params": sum(p.numel() for p in network.parameters()),
            "cache_bytes": int(sum(4 * np.prod(s) for s in shapes)),
            "engine": (folder / "engine.txt").read_text(),
            "training": training,
        }
    return found, scorers


def gains(new: Detection2dScorer, old: Detection2dScorer) -> dict[str, Any]:
    """What the shift brings at each speed: points of map50 and map; the 90 % interval of map50 over draws of drives."""
    out: dict[str, Any] = {}
    for speed in ("", *SPEEDS):
        a, b = new.means(speed), old.means(speed)
        row: dict[str, Any] = {k: round(a[k] - b[k], 4) for k in a if a[k] is not None and b[k] is not None}
        interval = interval_of_gain(new, old, speed)
        if interval is not None:
            row["map50_interval"] = [round(v, 4) for v in interval]
        out[speed or "all"] = row
    return out


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.detection2d.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = f"names, model folders, or <name>{CHECKPOINT} files (released to --out)"
    parser.add_argument("models", nargs="+", help=known)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of model folders")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="video cache")
    parser.add_argument(
        "--kept", type=Path, default=Path("runs/detections2d"), help="what was found before, to go on from"
    )
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
        models = [RELEASE.open(text, options.out) for text in options.models]
        wrong = [facts.name for facts, _ in models if facts.architecture != ARCHITECTURE]
        if wrong:
            raise ModelError(f"{', '.join(wrong)}: no video detector ({ARCHITECTURE})")
        found, scorers = evaluate(models, clips, options.runtime, options.threads, options.kept)
        common = {
            **provenance("training.detection2d.evaluate", arguments, options.split),
            "clips": len(clips),
            "drives": len({c.facts.seed for c in clips}),
            "frames": sum(map(len, clips)),
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


def _write(facts: ModelFacts, metrics: dict[str, Any], others: dict[str, Any]) -> None:
    """metrics.json, CARD.md and the summary in model.yaml."""
    metrics = {**metrics, "twin": others}
    publish(facts, metrics, {"detection2d_map": metrics["detection2d"]["map"]}, card(facts, metrics))


if __name__ == "__main__":
    sys.exit(main())
