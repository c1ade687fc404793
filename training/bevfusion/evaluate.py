"""Scores and releases bevfusion-lite: `python -m training.bevfusion.evaluate MODEL --frames runs/bevfusion`.

A checkpoint's averaged weights are written as the model folder models/weights/bevfusion-lite with metrics.json and
CARD.md; a model's name or folder is scored anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.bevfusion.lite.network import BevFusionLite
from models.facts import WEIGHTS, ModelError, ModelFacts, load_network
from training.bevfusion.frames import Moment, read_world, worlds_in
from training.bevfusion.scores import score
from training.bevfusion.trainer import NAME, BevTrainConfig, answer, network_facts
from training.common.progress import Progress
from training.common.release import Release, provenance, publish

DATA = "sweeps of the driving world (perception_nodes/simulator), nuScenes' and KITTI's LiDAR patterns, training seeds"
ERRORS = ("ATE, m", "ASE", "AOE, rad", "AVE, m/s", "AAE")
LIMITS = """\
- The camera branch has random weights: use this model with the LiDAR alone (its cameras only add noise) until it is
  trained. The temporal shift was off in training: leave `motion` out.
- Trained on a simulator only. No real sweep was scored.
- LiDAR on the roof, 1.5 to 2.2 m above the road, level axes.
- Not for safety functions."""


def facts_from(name: str, notes: dict[str, Any]) -> ModelFacts:
    """Facts of the network in a checkpoint."""
    kept = notes.get("config", {})
    return network_facts(BevTrainConfig(channels=int(kept.get("channels", 48)), edge=float(kept.get("edge", 51.2))))


RELEASE = Release(known=(NAME,), facts=facts_from, data=DATA)


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """CARD.md."""
    found = metrics["lidar_only"]
    lines = [
        f"# {facts.name}",
        "",
        "Boxes and map layers in the bird's-eye view. Only the LiDAR branch, the trunk and the heads are trained.",
        "",
        "## Training",
        "",
        f"Data: {facts.training_data}",
        "",
        *[f"- {key}: {value}" for key, value in metrics["training"].items()],
        "",
        f"## Held-out worlds (split `{metrics['split']}`, {found['frames']} moments, LiDAR alone)",
        "",
        "| score | value |",
        "|---|---|",
        f"| mAP (ten classes) | {found['map']:.3f} |",
        f"| NDS | {found['nds']:.3f} |",
        f"| map mIoU at the best threshold | {found['map_miou']:.3f} |",
        *[f"| mean {name} | {'-' if v is None else f'{v:.3f}'} |" for name, v in zip(ERRORS, found["errors"])],
        "",
        "| class | true boxes | AP |",
        "|---|---|---|",
        *[f"| {name} | {found['boxes'][name]} | {ap:.3f} |" for name, ap in found["ap"].items()],
        "",
        "| map class | IoU |",
        "|---|---|",
        *[f"| {name} | {value:.3f} |" for name, value in found["map_iou"].items()],
        "",
        "## Limits",
        "",
        LIMITS,
        "",
        f"Command: `{metrics['command']}`, {metrics['date']}.",
        "",
    ]
    return "\n".join(lines)


def _read(paths: list[Path], bar: Progress) -> Iterator[list[Moment]]:
    for path in paths:
        yield read_world(path)
        bar.step()


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.bevfusion.evaluate", description=__doc__)
    parser.add_argument("model", help="a checkpoint file, or a model's name or folder")
    parser.add_argument("--frames", type=Path, default=Path("runs/bevfusion"))
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder that gets the model's folder")
    options = parser.parse_args(arguments)
    try:
        paths = worlds_in(options.frames, options.split)[: options.worlds]
        facts, training = RELEASE.open(options.model, options.out)
        network, facts = load_network(facts.folder)
        if not isinstance(network, BevFusionLite):
            raise ModelError(f"{facts.name} is a {facts.architecture}: expected a bevfusion-lite")
        bar = Progress("scoring", len(paths))
        found = score(lambda moment: answer(network, [moment]), network, _read(paths, bar))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    metrics = {"lidar_only": found, "training": training,
               **provenance("training.bevfusion.evaluate", arguments, options.split)}  # fmt: skip
    summary = {"lidar_only": {key: round(found[key], 4) for key in ("map", "nds", "map_miou")}}
    publish(facts, metrics, summary, card(facts, metrics))
    print(f"{facts.folder}: mAP {found['map']:.3f}, NDS {found['nds']:.3f}, map mIoU {found['map_miou']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
