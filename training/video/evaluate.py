"""Scores event networks on held-out worlds and releases checkpoints.

    python -m training.video.evaluate runs/tsm/*.checkpoint.safetensors --land tsm-events-online
    python -m training.video.evaluate tsm-events-online

Checkpoints' averaged weights are written as models: the one named by `--land` to models/weights, the others to
`--twins`. Then every network answers for the same clips of the rendered test cache (python -m training.video.world
--split test), and metrics.json, CARD.md and confusion.png go beside the landed model's weights. Answers are kept by the
weights' and the clips' digests, so a later call scores only what is new.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.facts import WEIGHTS, ModelError, ModelFacts, load_network
from models.tsm.presets import PRESETS
from training.common.checkpoints import CHECKPOINT, name_in
from training.common.config_files import merged
from training.common.processes import hardware
from training.common.progress import Progress
from training.common.release import Release, kept_metrics, provenance, publish
from training.video.cache import mirrored_ids
from training.video.card import card, confusion_picture
from training.video.clips import EventClips
from training.video.config import VideoTrainConfig
from training.video.event_scores import all_logits, both_ways, confusion, cost, mirrored, score, spread
from training.video.logit_calibration import apply, fit
from training.video.trainer import network_facts

DATA = (
    "video of the embedded driving world (perception_nodes/simulator, training/video/world.py), front cameras of three "
    "rigs, day, dusk, night, rain, fog; seeds 0 to 899999; no real data."
)
PLAIN = "tsn-events"  # what looks at single frames: the others' gain is over it
SHORT = {PLAIN: "tsn", "tsm-events-offline": "offline", "i3d-events": "i3d", "lstm-events": "lstm",
         "two-stream-events": "two_stream"}  # fmt: skip


def _facts(name: str, notes: dict[str, Any]) -> ModelFacts:
    return network_facts(name, merged(VideoTrainConfig(), notes.get("config", {}), f"the checkpoint of {name}"))


def _training(notes: dict[str, Any]) -> dict[str, Any]:
    config = merged(VideoTrainConfig(), notes.get("config", {}), "the checkpoint")
    steps = int(notes.get("steps", 0)) + int(notes.get("skipped", 0))
    return {
        "steps": steps, "clips": steps * config.batch, "batch": config.batch, "of_steps": config.steps,
        "supervised": f"every {config.supervise}", "seconds": notes.get("elapsed"), "lr": config.optimiser.lr,
        "optimiser": config.optimiser.kind, "seed": config.seed,
    }  # fmt: skip


def releasing(options: argparse.Namespace) -> Release:
    """How checkpoints are released, with their classifiers fitted to the validation split where that is asked."""

    def finish(network: nn.Module, facts: ModelFacts) -> dict[str, Any]:
        if not options.calibrate:
            return {}
        calibrate(network, facts, options)
        return {"calibrated": "on the validation split"}

    return Release(PRESETS, _facts, DATA, _training, finish)


def calibrate(network: nn.Module, facts: ModelFacts, options: argparse.Namespace) -> None:
    """Brings the answers of a network to the frequencies of the validation split (training.video.logit_calibration)."""
    height, width = facts.image["size"] if facts.image else (224, 224)
    clips = EventClips(options.cache, "val", int(facts.network["segments"]), (height, width))
    ends = clips.ends[:: options.calibrate]
    network.eval()
    logits = all_logits(network, facts, clips, ends, Progress(f"{facts.name} (val)", len(ends)).step)
    scale, addends = fit(logits, clips.labels[ends], mirrored_ids())
    for name, module in network.named_modules():
        if name.endswith("new_fc"):  # two streams have one each, and are averaged
            apply(module, scale, addends)


@dataclass(frozen=True)
class Answered:
    """A model's answers int64 [N] to the test clips, their labels int64 [N] and drives int64 [N]."""

    answer: np.ndarray
    labels: np.ndarray
    drive: np.ndarray
    clips: EventClips

    def over(self, other: Answered) -> tuple[float, float, float]:
        """Top-1 more than the other's on the same clips, and its 90 % interval over drawings of whole drives."""
        better = (self.answer == self.labels).astype(float) - (other.answer == other.labels)
        return round(float(better.mean()), 4), *spread(better, self.drive)


def evaluate(facts: ModelFacts, options: argparse.Namespace) -> tuple[dict[str, Any], Answered]:
    """(scores and costs, answers) of one model."""
    network, facts = load_network(facts.folder or facts.name)
    segments = int(facts.network["segments"])
    height, width = facts.image["size"] if facts.image else (224, 224)
    clips = EventClips(options.cache, options.split, segments, (height, width))
    ends = clips.ends[:: options.every]
    logits = _answers(network, facts, clips, ends, options)
    under_way = [row for c in clips.clips for row in c.events]
    labels = clips.labels[ends]
    answer = logits.argmax(1)
    drive = np.concatenate([np.full(len(c), c.facts.seed) for c in clips.clips])[ends]
    found = {
        "architecture": facts.architecture,
        "mode": facts.network["mode"],
        **score(logits, labels, [under_way[end] for end in ends]),
        "top1_interval": spread(answer == labels, drive),
        "cost": cost(network, facts, segments),
    }
    twice = np.isin(ends, clips.both_ways(ends))
    if twice.any():
        backward = _answers(network, facts, clips, ends[twice], options, "backward")
        found["both_ways"] = both_ways(logits[twice], backward, labels[twice])
        found["both_ways_top1"] = round(float(np.mean(list(found["both_ways"].values()))), 4)
        found["both_ways_clips"] = int(twice.sum())
    if facts.name == options.land:
        sided = np.isin(labels, [i for i, j in enumerate(mirrored_ids()) if i != j])
        still = _answers(network, facts, clips, ends[sided], options, "still")
        found["still_mirrored"] = mirrored(still, labels[sided])
    return found, Answered(answer, labels, drive, clips)


def _answers(
    network: Any, facts: ModelFacts, clips: EventClips, ends: np.ndarray, options: argparse.Namespace,
    way: str = "forward",
) -> np.ndarray:  # fmt: skip
    """Logits float32 [len(ends), K], kept on disk by the digests of weights and clips."""
    name = f"{facts.sha256[:16]}_{clips.digest}_{options.every}{'' if way == 'forward' else '_' + way}.npy"
    kept = options.twins / "logits" / name
    if kept.is_file():
        return np.load(kept, allow_pickle=False)
    what = facts.name if way == "forward" else f"{facts.name} ({way})"
    logits = all_logits(network, facts, clips, ends, Progress(what, len(ends)).step, way=way)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(kept, logits)
    return logits


def summary(variants: dict[str, dict[str, Any]], land: str) -> dict[str, Any]:
    """The `events` block: the landed model's scores beside its twins'."""
    own = variants[land]
    keys = (
        "top1",
        "top1_any",
        "mean_class",
        "mirrored_top1",
        "per_event",
        "mirrored",
        "both_ways_top1",
        "both_ways",
        "still_mirrored",
        "top1_interval",
    )
    events = {k: own[k] for k in keys if k in own}
    for name, short in SHORT.items():
        if name in variants:
            events[f"{short}_top1"] = variants[name]["top1"]
            for key in ("mirrored_top1", "both_ways_top1"):
                if key in variants[name]:
                    events[f"{short}_{key}"] = variants[name][key]
    if "offline_top1" in events:
        events["online_minus_offline"] = round(events["top1"] - events["offline_top1"], 4)
    return events


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video.evaluate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("models", nargs="+", help=f"names, model folders, or <preset>{CHECKPOINT} files")
    parser.add_argument("--land", default="tsm-events-online", help="the model that gets metrics.json and CARD.md")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the landed model goes")
    parser.add_argument("--twins", type=Path, default=Path("runs/tsm_models"), help="where the others go")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"))
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--every", type=int, default=8, help="score every so many frames")
    parser.add_argument(
        "--calibrate", type=int, default=0, metavar="N",
        help="fit checkpoints' classifiers to every N-th frame of the validation split (0: leave them)",
    )  # fmt: skip
    parser.add_argument("--note", default="", help="a sentence for the card below its table")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        variants: dict[str, dict[str, Any]] = {}
        answered: dict[str, Answered] = {}
        landed = None
        for text in options.models:
            facts, training = _opened(text, options)
            found, answered[facts.name] = evaluate(facts, options)
            variants[facts.name] = {**found, "training": training}
            if text.endswith(CHECKPOINT) and facts.name != options.land:  # found again in a later call, by the folder
                kept_row = json.dumps({"variants": {facts.name: variants[facts.name]}}, indent=2)
                (Path(facts.folder) / "metrics.json").write_text(kept_row + "\n")
            told = {k: found.get(k) for k in ("top1", "top1_any", "mean_class", "mirrored", "both_ways", "cost")}
            print(f"{facts.name}: {told}", flush=True)
            if facts.name == options.land:
                landed = facts
        if landed is None:
            return 0
        if PLAIN in answered:
            for name in variants.keys() - {PLAIN}:
                variants[name]["over_tsn"] = answered[name].over(answered[PLAIN])
        own = answered[landed.name]
        test = {
            "drives": len(np.unique(own.drive)), "windows": len(own.clips.clips), "clips": len(own.labels),
            "segments": own.clips.segments, "processor": hardware(),
        }  # fmt: skip
        metrics = {
            "events": summary(variants, options.land), "variants": variants, "test": test, "note": options.note,
            **provenance("training.video.evaluate", _without_note(arguments, options.note), options.split),
        }  # fmt: skip
        _write(landed, metrics, confusion(own.answer, own.labels))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _without_note(arguments: list[str] | None, note: str) -> list[str]:
    """The command's arguments; the note stands in the card already."""
    given = sys.argv[1:] if arguments is None else arguments
    return ["…" if note and text == note else text for text in given]


def _opened(text: str, options: argparse.Namespace) -> tuple[ModelFacts, dict[str, Any]]:
    """(facts, what is known of the training) of a model; a checkpoint becomes one."""
    landed = text.endswith(CHECKPOINT) and name_in(text) == options.land
    facts, training = releasing(options).open(text, options.out if landed else options.twins)
    kept = kept_metrics(facts).get("variants", {}).get(facts.name, {}).get("training", {})
    return facts, training or kept


def _write(facts: ModelFacts, metrics: dict[str, Any], matrix: np.ndarray) -> None:
    """metrics.json, CARD.md, confusion.png and the summary in model.yaml."""
    summary = {k: v for k, v in metrics["events"].items() if isinstance(v, float)}
    publish(facts, metrics, summary, card(facts, metrics))
    heading = f"{facts.name}: share of each event's clips, %; rows: truth"
    confusion_picture(Path(facts.folder) / "confusion.png", matrix, heading)


if __name__ == "__main__":
    sys.exit(main())
