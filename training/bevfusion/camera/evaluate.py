"""Scores the camera branch on pictures of held-out worlds and on real pictures, and releases checkpoints.

    python -m training.bevfusion.camera.generate --split test --worlds 40 --out runs/camera
    python -m training.bevfusion.camera.evaluate runs/camera_run/camera-lite.checkpoint.safetensors
    python -m training.bevfusion.camera.evaluate camera-lite

A checkpoint's averaged weights are first written to `--out`/camera-lite; metrics.json and CARD.md go beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import torch

from models.bevfusion.lite.build import ARCHITECTURE, PRESETS, facts_of
from models.bevfusion.lite.camera_heads import CameraLite
from models.facts import WEIGHTS, ModelError, load_network
from training.bevfusion.camera.card import card
from training.bevfusion.camera.pictures import World, worlds_in
from training.bevfusion.camera.real import real_scores
from training.bevfusion.camera.scores import CameraScorer, answers, in_view
from training.common.checkpoints import CHECKPOINT
from training.common.progress import Progress
from training.common.release import Release, provenance, publish

DATA = (
    "pictures of the embedded driving world (perception_nodes/simulator), seeds 0 to 899999, six cameras of varied "
    "poses and focal lengths; backbone started from ImageNet weights of EfficientNet-Lite0; no real driving data."
)


def _training(notes: dict[str, Any]) -> dict[str, Any]:
    return {
        "pictures seen": notes.get("seen"),
        "pictures to draw from": notes.get("pictures"),
        "worlds": notes.get("worlds"),
        "batch": notes.get("config", {}).get("batch"),
        "CPU minutes": round(float(notes.get("cpu_seconds", 0.0)) / 60, 1),
    }


RELEASE = Release(PRESETS, lambda name, notes: facts_of(name, PRESETS[name]), DATA, _training)


def simulated(network: CameraLite, worlds: list[World], show: Progress) -> dict[str, Any]:
    """Scores over all pictures of worlds; see CameraScorer."""
    scorer = CameraScorer(network.bins)
    for world in worlds:
        for i in range(len(world)):
            picture = in_view(world.picture(i))
            scorer.add(picture, *answers(network, picture))
            show.step()
    return scorer.summary()


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    program = "training.bevfusion.camera.evaluate"
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help=f"a name, a model folder, or a <name>{CHECKPOINT} file (released to --out)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of model folders")
    parser.add_argument("--pictures", type=Path, default=Path("runs/camera"))
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--worlds", type=int, default=0, help="the first so many (0: all)")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real pictures")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        worlds = worlds_in(options.pictures, options.split)[: options.worlds or None]
        facts, training = RELEASE.open(options.model, options.out)
        if facts.architecture != ARCHITECTURE:
            raise ModelError(f"{facts.name} is not a camera branch ({ARCHITECTURE}) but {facts.architecture}")
        network, _ = load_network(facts.folder)
        if not isinstance(network, CameraLite):
            raise ModelError(f"{facts.name} is not a camera branch: found {type(network).__name__}")
        pictures = sum(map(len, worlds))
        metrics: dict[str, Any] = {"sim": simulated(network, worlds, Progress(facts.name, pictures))}
        real = real_scores(network, options.real)
        if real:
            metrics["real"] = real
        metrics |= {
            "params": sum(p.numel() for p in network.parameters()),
            "worlds": len(worlds),
            "pictures_sha256": _digest(worlds),
            "training": training,
            **provenance(program, arguments, options.split),
        }
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    summary = {f"sim_{name}": metrics["sim"][name] for name in ("map50", "pixel_miou", "depth_abs_rel")}
    summary |= {f"{name}_vehicle_recall50": scores["vehicle_recall50"] for name, scores in real.items()}
    publish(facts, metrics, summary, card(facts, metrics))
    print(f"{facts.name}: {summary}")
    return 0


def _digest(worlds: list[World]) -> str:
    """One sha256 over the files: scores are comparable where it is the same."""
    total = hashlib.sha256()
    for world in worlds:
        total.update(hashlib.sha256(world.path.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
