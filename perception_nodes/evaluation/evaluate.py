"""`perception evaluate OUT --truth BAG`: scores of recorded outputs, without ROS, into results/<stamp>/."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from perception_nodes.bags.reader import BagReader
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.evaluation import latency, recorded, report, results
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.segmentation import SegmentationScorer, map_labels

PICTURES = 6
EVENTS = "/perception/events"
DETECTIONS, BOXES = "/perception/detections2d", "/ground_truth/boxes"
UNTRAINED = "UNTRAINED WEIGHTS"


def evaluate(
    output: str | Path, truth: str | Path | None, root: str | Path = "results", pictures: int = PICTURES
) -> Path:
    """Score the recorded outputs of a bag against a bag with ground truth; returns the results folder.

    truth: the bag that was replayed. Without ground truth in it (or without `truth`) only frames, latency and pictures
    are reported. Raises BagError for bags that cannot be read and EvaluationError where nothing was recorded or the
    ground truth does not match: then no folder is left behind.
    """
    out = BagReader(output)
    truth_bag = None if truth is None else BagReader(truth)
    held = [topic for topic in (recorded.OUTPUT, EVENTS) if topic in out.topics()]
    if not held:
        raise EvaluationError(
            f"{output}: no {recorded.OUTPUT} and no {EVENTS} recorded, found "
            f"{', '.join(sorted(out.topics())) or 'no topic'}. Record one with: perception replay BAG --record OUT"
        )
    replay = replay_facts(out)
    folder = results.new_folder(root)
    try:
        metrics, shown = _measure(out, truth_bag, held, folder, pictures, replay)
        results.write_metrics(folder, metrics)
        results.write_config(folder, {"output": str(output), "truth": str(truth) if truth else None, "replay": replay})
        report.write(folder, metrics, shown, replay)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    results.point_latest(folder)
    return folder


def _measure(
    out: BagReader, truth: BagReader | None, held: list[str], folder: Path, pictures: int, replay: dict
) -> tuple[dict, list[tuple[str, str]]]:
    """metrics.json's dict and the pictures drawn, of everything that was recorded."""
    metrics: dict = {}
    shown: list[tuple[str, str]] = []
    answered = 0
    if recorded.OUTPUT in held:
        scorer, shown, answered = _segmentation(out, truth, folder, pictures, replay)
        metrics["segmentation"] = scorer.metrics()
    if EVENTS in held:
        from perception_nodes.evaluation.recorded_events import evaluate_events

        note = "" if trained(replay, "tsm_node") else UNTRAINED
        metrics["events"], more = evaluate_events(out, truth, folder, note)
        shown = [*more, *shown]
        answered = answered or out.topics()[EVENTS].count
    if DETECTIONS in out.topics() and truth is not None and BOXES in truth.topics():
        from perception_nodes.evaluation.recorded_detections2d import evaluate_detections2d

        metrics["detection2d"] = evaluate_detections2d(out, truth)
    given = replay.get("frames_in")
    if not given:
        points = truth.topics().get(recorded.POINTS) if truth is not None and "segmentation" in metrics else None
        given = points.count if points is not None else answered
    return assemble(out, metrics, given, answered, replay), shown


def _segmentation(
    out: BagReader, truth: BagReader | None, folder: Path, pictures: int, replay: dict
) -> tuple[SegmentationScorer, list[tuple[str, str]], int]:
    own_names = recorded.class_names(out, recorded.OUTPUT)
    has_truth = truth is not None and recorded.TRUTH in truth.topics()
    truth_names = tuple(c.name for c in POINT_CLASSES)
    if truth is not None and has_truth:
        truth_names = recorded.class_names(truth, recorded.TRUTH)
    scorer, shown, answered = score(out, truth, own_names, truth_names, folder, pictures, replay)
    if not answered:
        raise EvaluationError(
            f"{out.path}: {recorded.OUTPUT} holds no message: nothing was answered, nothing is scored"
        )
    if truth is not None and has_truth and not scorer.sweeps:
        raise EvaluationError(
            f"{truth.path}: none of its ground-truth stamps is among the {answered} outputs of {out.path}. "
            "Give the bag that was replayed"
        )
    return scorer, shown, answered


def trained(replay: dict, node: str) -> bool:
    """False where the replay says that a node's weights are random."""
    return bool(replay.get("nodes", {}).get(node, replay).get("trained", True))


def score(out, truth_bag, own_names, truth_names, folder: Path, pictures: int, replay: dict):
    """Walk the sweeps once: score them and draw some. Returns (scorer, [(file, caption)], sweeps answered)."""
    from perception_nodes.viewer import pictures as draw

    names = tuple(c.name for c in POINT_CLASSES)
    scorer, shown, answered = SegmentationScorer(names), [], 0
    total = max(out.topics()[recorded.OUTPUT].count, 1)
    wanted = {int(i) for i in np.linspace(0, total - 1, min(pictures, total))}
    note = "" if trained(replay, "spvcnn_node") else UNTRAINED
    for sweep in recorded.sweeps(out, truth_bag):
        predicted = map_labels(sweep.predicted, own_names, names)
        truth = None if sweep.truth is None else map_labels(sweep.truth, truth_names, names)
        caption = f"{sweep.stamp_ns / 1e9:.3f} s, {len(predicted):,} points"
        if truth is not None:
            matrix = scorer.add(sweep.xyz, truth, predicted, beam_pattern(sweep.ring))
            right = np.trace(matrix) / max(matrix.sum(), 1)
            caption += f", {100 * right:.1f} % of the labelled points right"
        if answered in wanted:
            file = f"pictures/sweep_{answered:05d}.jpg"
            draw.save(folder / file, draw.segmentation_picture(sweep.xyz, predicted, truth, POINT_CLASSES, note))
            shown.append((file, caption))
        answered += 1
    return scorer, shown, answered


def beam_pattern(ring) -> str | None:
    """ "64-beam" and the like from the ring numbers of a sweep; None where it has none."""
    return None if ring is None or not len(ring) else f"{nominal_beams(int(ring.max()) + 1)}-beam"


def nominal_beams(rings: int) -> int:
    """The sensor size behind so many rings: the next of 16, 32, 64, 128, since top rings can be empty."""
    return next((n for n in (16, 32, 64, 128) if rings <= n), rings)


def assemble(out, metrics: dict, given: int, answered: int, replay: dict) -> dict:
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
    frames = latency.frames(int(given), answered)
    by_node = {n: latency.frames(r["frames_in"], r["frames_out"]) for n, r in replay.get("nodes", {}).items()}
    return {
        "frames": {**frames, "nodes": by_node} if len(by_node) > 1 else frames,
        "latency": {"pipeline_ms": first.get("pipeline_ms", "no data"), "nodes": nodes},
        **metrics,
        "model": replay.get("model"),
    }


def replay_facts(out: BagReader) -> dict:
    """What the replay said of itself (model, rate, frames_in, …); empty for a bag recorded by other means."""
    return json.loads(out.notes.get("replay", "{}"))
