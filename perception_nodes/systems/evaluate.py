"""`perception evaluate OUT --truth BAG`: scores of recorded outputs, without ROS, into results/<stamp>/."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from perception_nodes.bags.reader import BagReader
from perception_nodes.evaluation import latency, recorded, report, results
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.scene import scene_pictures
from perception_nodes.evaluation.scorer import UNTRAINED, Recording, Scorer
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.system import System

PICTURES = 6
SCENES = 2  # pictures of whole moments: all cameras, all outputs, the truth


def evaluate(
    output: str | Path,
    truth: str | Path | None,
    root: str | Path = "results",
    pictures: int = PICTURES,
    systems: Sequence[System] = SYSTEMS,
) -> Path:
    """Score the recorded outputs of a bag against a bag with ground truth; returns the results folder.

    truth: the bag that was replayed. Without ground truth in it (or without `truth`) only frames, latency and pictures
    are reported. Raises BagError for bags that cannot be read and EvaluationError where nothing was recorded or the
    ground truth does not match: then no folder is left behind.
    """
    results.check_root(root)
    out = BagReader(output)
    truth_bag = None if truth is None else BagReader(truth)
    held = [(s, scorer) for s in systems for scorer in s.scorers if scorer.topic in out.topics()]
    if not held:
        missing = " and no ".join(system.answer.topic for system in systems)
        raise EvaluationError(
            f"{output}: no {missing} recorded, found "
            f"{', '.join(sorted(out.topics())) or 'no topic'}. Record one with: perception replay BAG --record OUT"
        )
    replay = replay_facts(out)
    folder = results.new_folder(root)
    try:
        metrics, shown = _measure(Recording(out, truth_bag, folder, pictures), held, replay)
        results.write_metrics(folder, metrics)
        results.write_config(folder, {"output": str(output), "truth": str(truth) if truth else None, "replay": replay})
        report.write(folder, metrics, shown, replay, [scorer for _, scorer in held])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    results.point_latest(folder)
    return folder


def _measure(
    recording: Recording, held: list[tuple[System, Scorer]], replay: dict
) -> tuple[dict, list[tuple[str, str]]]:
    """metrics.json's dict and the pictures drawn, of everything that was recorded."""
    metrics: dict = {}
    shown: list[tuple[str, str]] = []
    answered, given, apart = None, replay.get("frames_in"), {}
    for system, scorer in held:
        note = "" if trained(replay, system.node_name) else UNTRAINED
        scored = scorer.score(dataclasses.replace(recording, note=note))
        if scored.metrics is not None:
            metrics[scorer.key] = scored.metrics
        shown = [*scored.pictures, *shown]
        if answered is None and scored.answered is not None:
            answered, given, apart = scored.answered, given or scored.given, scored.apart
    answered = answered or 0
    shown = [*_scenes(recording, [system for system, _ in held], replay), *shown]
    return assemble(recording.out, metrics, given or answered + sum(apart.values()), (answered, apart), replay), shown


def _scenes(recording: Recording, systems: Sequence[System], replay: dict) -> list[tuple[str, str]]:
    """Pictures of whole moments; what random weights answered is not drawn on them, and that is written there."""
    untrained = {s.node_name: s for s in systems if not trained(replay, s.node_name)}
    said = [f"{node}: {UNTRAINED}: its answers mean nothing and are not drawn" for node in untrained]
    hidden = frozenset(output.topic for system in untrained.values() for output in system.outputs)
    return scene_pictures(recording, min(SCENES, recording.pictures), said, hidden)


def trained(replay: dict, node: str) -> bool:
    """False where the replay says that a node's weights are random."""
    return bool(replay.get("nodes", {}).get(node, replay).get("trained", True))


def assemble(out, metrics: dict, given: int, answered: tuple[int, dict[str, int]], replay: dict) -> dict:
    """metrics.json as a dict; the pipeline latency of the first node (of the LiDAR's) also stands at the top."""
    nodes: dict[str, dict] = {}
    for stage in ("debug/pipeline_latency_ms", "debug/cyclic_time_ms"):
        for node, values in recorded.numbers(out, "/" + stage).items():
            nodes.setdefault(node.strip("/"), {})[stage.removeprefix("debug/").replace("_latency_ms", "_ms")] = (
                latency.percentiles(values)
            )
    for stage in ("preprocess", "inference", "postprocess", "total"):
        for node, values in recorded.numbers(out, f"/debug/processing_time/{stage}_ms").items():
            nodes.setdefault(node.strip("/"), {})[f"{stage}_ms"] = latency.percentiles(values)
    nodes = dict(sorted(nodes.items()))  # the LiDAR's first
    first = next(iter(nodes.values()), {})
    frames = latency.frames(int(given), *answered)
    runs = replay.get("nodes", {})
    by_node = {n: latency.frames(r["frames_in"], r["frames_out"], r.get("apart")) for n, r in runs.items()}
    return {
        "frames": {**frames, "nodes": by_node} if len(by_node) > 1 else frames,
        "latency": {"pipeline_ms": first.get("pipeline_ms", "no data"), "nodes": nodes},
        **metrics,
        "model": replay.get("model"),
    }


def replay_facts(out: BagReader) -> dict:
    """What the replay said of itself (model, rate, frames_in, …); empty for a bag recorded by other means."""
    return out.note_table("replay")
