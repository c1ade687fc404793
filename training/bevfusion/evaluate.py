"""Scores and releases bevfusion-lite.

    python -m training.bevfusion.evaluate runs/bevfusion_run/bevfusion-lite.checkpoint.safetensors \\
        --frames runs/bevfusion
    python -m training.bevfusion.evaluate runs/fusion_run/bevfusion-lite.checkpoint.safetensors \\
        --frames runs/bevfusion_fused --features runs/bevfusion_features              (trained on both sensors)

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
from models.bevfusion.lite.session import LiteSession
from models.facts import WEIGHTS, ModelError, ModelFacts, load_network
from training.bevfusion.card import card
from training.bevfusion.features import Cache
from training.bevfusion.frames import Moment, read_world, worlds_in
from training.bevfusion.fusion import by_mode, held_out, score_samples
from training.bevfusion.real import real_scores
from training.bevfusion.scores import conditions_of, score
from training.bevfusion.trainer import NAME, answer, network_facts
from training.common.progress import Progress
from training.common.release import Release, provenance, publish
from training.common.seeds import SPLITS

DATA = "the driving world (perception_nodes/simulator), nuScenes' and KITTI's LiDAR patterns, training seeds"
SENSORS = ("cameras", "lidar")
FUSED_ONLY = ("pictured", "shares")  # settings that only a training on both sensors has


def facts_from(name: str, notes: dict[str, Any]) -> ModelFacts:
    """Facts of the network in a checkpoint."""
    kept = notes.get("config", {})
    sensors = SENSORS if set(FUSED_ONLY) <= set(kept) else ("lidar",)
    return network_facts(int(kept.get("channels", 48)), float(kept.get("edge", 51.2)), sensors)


RELEASE = Release(known=(NAME,), facts=facts_from, data=DATA)


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
    parser.add_argument("--features", type=Path, help="of training.bevfusion.features, for a model of both sensors; "
                        "--frames are its moments then")  # fmt: skip
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real drives")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder that gets the model's folder")
    options = parser.parse_args(arguments)
    try:
        facts, training = RELEASE.open(options.model, options.out)
        network, facts = load_network(facts.folder)
        if not isinstance(network, BevFusionLite):
            raise ModelError(f"{facts.name} is a {facts.architecture}: expected a bevfusion-lite")
        cameras = "cameras" in facts.network["sensors"]
        if cameras:
            if options.features is None:
                raise ModelError(f"{facts.name} is trained with cameras: give --features")
            scores = pictured_scores(network, Cache(options.features), options.frames, options.split, options.worlds)
        else:
            paths = worlds_in(options.frames, options.split)[: options.worlds]
            bar = Progress("scoring", len(paths))
            conditions = [conditions_of(int(path.stem)) for path in paths]
            scores = {"lidar": score(lambda m: answer(network, [m]), network, _read(paths, bar), conditions)}
        session = LiteSession(network, facts, runtime="torch", threads=1)
        sights = {"fused": (True, True), "lidar": (False, True), "camera": (True, False)}
        real = {mode: real_scores(session, options.real, *sights[mode]) for mode in scores if mode in sights}
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    metrics = {**scores, "training": training,
               **provenance("training.bevfusion.evaluate", arguments, options.split)}  # fmt: skip
    if any(real.values()):
        metrics["real"] = real
    keys = ("map", "nds", "map_miou")
    summary: dict[str, Any] = {mode: {key: round(found[key], 4) for key in keys} for mode, found in scores.items()}
    publish(facts, metrics, summary, card(facts, metrics, tuple(scores)))
    for mode, found in scores.items():
        print(f"{mode}: mAP {found['map']:.3f}, NDS {found['nds']:.3f}, map mIoU {found['map_miou']:.3f}")
    print(f"{facts.folder}: {real}")
    return 0


def pictured_scores(
    network: BevFusionLite, cache: Cache, moments: Path, split: str, worlds: int
) -> dict[str, dict[str, Any]]:
    """Scores by the sensors that see the moments, and fused with one and three cameras missing."""
    files = [path for path in cache.files(split) if int(path.stem.split("_")[0]) < SPLITS[split][0] + worlds]
    if not files:
        raise ModelError(f"no features in {cache.folder / split}; type python -m training.bevfusion.features")
    scores = by_mode(network, cache, moments, files, split)
    for missing in (1, 3):
        samples = (held_out(cache, moments, path, split, "fused", missing) for path in files)
        scores[f"fused, {missing} of 6 cameras missing"] = score_samples(network, samples)
    return scores


if __name__ == "__main__":
    sys.exit(main())
