"""Scores segmentation networks on held-out worlds and on real sweeps, and releases checkpoints.

    python -m training.segmentation.evaluate runs/lite/minkunet-lite.checkpoint.safetensors \\
        runs/lite/spvcnn-lite.checkpoint.safetensors
    python -m training.segmentation.evaluate runs/lite/spvcnn-lite.checkpoint.safetensors --calibrate 72
    python -m training.segmentation.evaluate spvcnn-lite

A checkpoint's averaged weights are first written to `--out`/<name> (weights.safetensors, model.yaml), with
`--calibrate` after their class biases have been fitted on validation worlds. Then every model
labels the same cached test sweeps, and the real ones where `--real` is there; metrics.json and CARD.md go beside its
weights. Give the MinkUNet twin first: its score is quoted by spvcnn-lite's.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.facts import WEIGHTS, ModelError, ModelFacts
from models.spvcnn.build import facts_of, spec_of
from models.spvcnn.presets import PRESETS
from models.spvcnn.session import SegmentationSession
from perception_nodes.classes import IGNORE, POINT_CLASSES
from perception_nodes.evaluation.segmentation import common_words
from training.common.checkpoints import CHECKPOINT
from training.common.progress import Progress
from training.common.release import Release, kept_metrics, provenance, publish
from training.common.seeds import SPLITS
from training.segmentation.card import card
from training.segmentation.confusion import confusion, iou, mean_iou
from training.segmentation.held_out import digest, read_world, world_files
from training.segmentation.logit_adjustment import calibrate
from training.segmentation.real_sweeps import real_scores
from training.segmentation.sweep_wire import CompactSweep

TWIN = "minkunet-lite"
RIVAL = "spvcnn-lite"  # what a searched network has to beat
DATA = (
    "sweeps of the embedded driving world (perception_nodes/simulator), seeds 0 to 899999, nuScenes', KITTI's and "
    "VLP-16's beam patterns and random ones; no real data."
)
NAMES = [c.name for c in POINT_CLASSES]


def _facts(name: str, notes: dict[str, Any]) -> ModelFacts:
    """A preset's facts; a sub-network found by a search has its own numbers."""
    return replace(facts_of(PRESETS[name], name), **notes.get("networks", {}).get(name, {}))


def _training(notes: dict[str, Any]) -> dict[str, Any]:
    told = {"sweeps": notes.get("sweeps")}
    if notes.get("start"):
        told["started from"] = f"the weights of {notes['start']} at the time"
    return told


RELEASE = Release(PRESETS, _facts, DATA, _training)


def calibrated(sweeps: list[CompactSweep]) -> Release:
    """How checkpoints are released with their classifier's bias fitted to sweeps; as they are where there are none."""

    def finish(network: nn.Module, facts: ModelFacts) -> dict[str, Any]:
        addends = calibrate(network, spec_of(facts), sweeps)
        by = "training/segmentation/logit_adjustment.py"
        return {
            "calibrated": f"on {len(sweeps)} sweeps of the validation split ({by})",
            "addends": {name: round(float(a), 2) for name, a in zip(NAMES, addends)},
        }

    return replace(RELEASE, finish=finish) if sweeps else RELEASE


def simulated(session: SegmentationSession, worlds: list[Path], show: Any) -> dict[str, torch.Tensor]:
    """Confusion matrices by beam pattern over the test sweeps."""
    found: dict[str, torch.Tensor] = {}
    for path in worlds:
        for sweep in read_world(path):
            matrix = _one(session, sweep)
            found[sweep.pattern] = found.get(sweep.pattern, torch.zeros_like(matrix)) + matrix
            show()
    return found


def _one(session: SegmentationSession, sweep: CompactSweep) -> torch.Tensor:
    labels = session.step(sweep.metres(), sweep.intensity.astype(np.float32) / np.float32(255)).label
    return confusion(torch.from_numpy(labels), torch.from_numpy(sweep.label.copy()), len(NAMES), IGNORE)


def summary(matrices: dict[str, torch.Tensor]) -> dict[str, Any]:
    """miou, iou by class, by_pattern of confusion matrices."""
    total = sum(matrices.values(), torch.zeros(len(NAMES), len(NAMES), dtype=torch.long))
    return {
        "miou": round(mean_iou(total), 4),
        "iou": {name: round(float(v), 4) for name, v in zip(NAMES, iou(total)) if v == v},
        "by_pattern": {pattern: round(mean_iou(matrix), 4) for pattern, matrix in sorted(matrices.items())},
        "points": int(total.sum()),
    }


def confusions(matrix: torch.Tensor, most: int = 4) -> list[str]:
    """Per true class, what its points were taken for: `terrain 12%: sidewalk 40%, road 30%`."""
    lines = []
    for i, name in enumerate(NAMES):
        row = matrix[i].double()
        if row.sum() > 0:
            share = row / row.sum()
            wrong = [j for j in share.argsort(descending=True).tolist() if j != i and share[j] > 0.02][:most]
            said = ", ".join(f"{NAMES[j]} {float(share[j]):.0%}" for j in wrong)
            lines.append(f"{name:14} {int(row.sum()):8d} points, right {float(share[i]):4.0%}: {said}")
    return lines


def evaluate(session: SegmentationSession, files: list[Path], real: Path, show: Any) -> tuple[dict, dict]:
    """(scores {sim, real}, confusion matrices {sim, real}) of one model."""
    matrices = simulated(session, files, show)
    scores: dict[str, Any] = {"sim": summary(matrices)}
    found: dict[str, Any] = {"sim": sum(matrices.values(), torch.zeros(len(NAMES), len(NAMES), dtype=torch.long))}
    if real.is_dir():
        told, matrix = real_scores(real, lambda xyz, intensity: session.step(xyz, intensity).label)
        if told:
            scores["real"] = told
        if matrix is not None:
            found["real"] = matrix
    return scores, found


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.segmentation.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = f"names, model folders, or <name>{CHECKPOINT} files (released to --out)"
    parser.add_argument("models", nargs="+", help=known)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of model folders")
    parser.add_argument("--worlds", type=int, default=36, help="test worlds, three rigs each")
    parser.add_argument("--moments", type=int, default=2, help="sweeps of each rig in each world")
    parser.add_argument("--cache", type=Path, default=Path("runs/test_sweeps"))
    parser.add_argument("--fresh", action="store_true", help="make the test sweeps again")
    parser.add_argument(
        "--calibrate", type=int, default=0, metavar="N",
        help="fit the class biases of released checkpoints on N validation worlds",
    )  # fmt: skip
    parser.add_argument("--validation-cache", type=Path, default=Path("runs/val_sweeps"))
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real sweeps")
    parser.add_argument(
        "--equal", type=Path, help="model folder of spvcnn-lite trained exactly as the twin, scored on the same sweeps"
    )
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--confusions", action="store_true", help="print what every class was taken for")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    options = parse(arguments)
    try:
        fitted = world_files(options.validation_cache, options.calibrate, options.moments, seeds=SPLITS["val"])
        calibration = [sweep for path in fitted for sweep in read_world(path)]
        opening = calibrated(calibration)
        opened = [opening.open(text, options.out) for text in options.models]
        making = Progress("test worlds", options.worlds)
        files = []
        for path in world_files(options.cache, options.worlds, options.moments, options.fresh):
            files.append(path)
            making.step()
        sweeps = sum(1 for path in files for _ in read_world(path))
        common = {
            **provenance("training.segmentation.evaluate", arguments),
            "worlds": options.worlds,
            "sweeps": sweeps,
            "sweeps_sha256": digest(files),
        }
        for facts, training in opened:
            session = SegmentationSession.from_weights(facts.folder, options.precision, options.threads)
            bar = Progress(f"{facts.name} ({session.engine})", sweeps)
            scores, matrices = evaluate(session, files, options.real, bar.step)
            metrics = {**scores, **common, "engine": session.engine, "training": training}
            _write(facts, metrics, options.out, options.equal)
            _say(facts.name, metrics, matrices if options.confusions else {})
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _write(facts: ModelFacts, metrics: dict[str, Any], out: Path, equal: Path | None) -> None:
    """metrics.json, CARD.md and the summary in model.yaml. Scores of other sweeps are not put beside these."""
    if facts.name == "spvcnn-lite" and (out / TWIN / "metrics.json").is_file():
        twin = json.loads((out / TWIN / "metrics.json").read_text())
        if twin.get("sweeps_sha256") == metrics["sweeps_sha256"]:  # the same sweeps, or no comparison
            metrics["minkunet"] = _brief(twin)
        if equal is not None:
            same = json.loads((equal / "metrics.json").read_text())
            if same.get("sweeps_sha256") == metrics["sweeps_sha256"]:
                metrics["trained_as_minkunet"] = _brief(same)
    if facts.architecture == "spvnas" and (out / RIVAL / "metrics.json").is_file():
        rival = json.loads((out / RIVAL / "metrics.json").read_text())
        if rival.get("sweeps_sha256") == metrics["sweeps_sha256"]:
            metrics["spvcnn"] = _brief(rival)
    kept = kept_metrics(facts)
    for name in ("latency", "search"):  # written by other programs, kept over evaluations
        if name in kept:
            metrics[name] = kept[name]
    brief = {"sim_miou": metrics["sim"]["miou"]}
    if "miou10" in metrics.get("real", {}):
        brief |= {f"real_{key}": metrics["real"][key] for key in ("miou10", "miou10_classes")}
    publish(facts, metrics, brief, card(facts, metrics))


def _brief(metrics: dict[str, Any]) -> dict[str, Any]:
    """The part of another model's metrics that is quoted."""
    quoted = {key: value for key, value in metrics.get("real", {}).items() if key in ("miou10", "miou10_classes")}
    real = {"real": quoted} if quoted else {}
    sim = {"miou": metrics["sim"]["miou"], "iou": metrics["sim"]["iou"]}
    return {"sim": sim, **real, "training": metrics.get("training", {})}


def _say(name: str, metrics: dict[str, Any], matrices: dict[str, torch.Tensor]) -> None:
    real = metrics.get("real", {})
    print(f"{name}: simulated mIoU {metrics['sim']['miou']:.3f} {metrics['sim']['by_pattern']}")
    mean = f"mIoU over {common_words(real)} {real['miou10']}" if "miou10" in real else "no labelled sweeps"
    print(f"  real: {mean}; boxes {real.get('boxes', 'no data')}")
    for kind, matrix in matrices.items():
        print(f"\n{kind}: truth -> what else it was called")
        print("\n".join(confusions(matrix)))


if __name__ == "__main__":
    sys.exit(main())
