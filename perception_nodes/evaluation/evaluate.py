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
    if recorded.OUTPUT not in out.topics():
        raise EvaluationError(
            f"{output}: no {recorded.OUTPUT} recorded, found {', '.join(sorted(out.topics())) or 'no topic'}. "
            "Record one with: perception replay BAG --record OUT"
        )
    replay = replay_facts(out)
    names = tuple(c.name for c in POINT_CLASSES)
    own_names = recorded.class_names(out, recorded.OUTPUT)
    truth_names = names
    has_truth = truth_bag is not None and recorded.TRUTH in truth_bag.topics()
    if truth_bag is not None and has_truth:
        truth_names = recorded.class_names(truth_bag, recorded.TRUTH)

    folder = results.new_folder(root)
    try:
        scorer, shown, answered = score(out, truth_bag, own_names, truth_names, folder, pictures, replay)
        if not answered:
            raise EvaluationError(
                f"{output}: {recorded.OUTPUT} holds no message: nothing was answered, nothing is scored"
            )
        if has_truth and not scorer.sweeps:
            raise EvaluationError(
                f"{truth}: none of its ground-truth stamps is among the {answered} outputs of {output}. "
                "Give the bag that was replayed"
            )
        given = replay.get("frames_in") or (truth_bag.topics()[recorded.POINTS].count if truth_bag else answered)
        metrics = assemble(out, scorer, given, answered, replay)
        results.write_metrics(folder, metrics)
        results.write_config(folder, {"output": str(output), "truth": str(truth) if truth else None, "replay": replay})
        report.write(folder, metrics, shown, replay)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    results.point_latest(folder)
    return folder


def score(out, truth_bag, own_names, truth_names, folder: Path, pictures: int, replay: dict):
    """Walk the sweeps once: score them and draw some. Returns (scorer, [(file, caption)], sweeps answered)."""
    from perception_nodes.viewer import pictures as draw

    names = tuple(c.name for c in POINT_CLASSES)
    scorer, shown, answered = SegmentationScorer(names), [], 0
    total = max(out.topics()[recorded.OUTPUT].count, 1)
    wanted = {int(i) for i in np.linspace(0, total - 1, min(pictures, total))}
    note = "" if replay.get("trained", True) else "UNTRAINED WEIGHTS"
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


def assemble(out, scorer: SegmentationScorer, given: int, answered: int, replay: dict) -> dict:
    """metrics.json as a dict; the pipeline latency of the first node also stands at the top."""
    nodes: dict[str, dict] = {}
    for stage in ("debug/pipeline_latency_ms", "debug/cyclic_time_ms"):
        for node, values in recorded.numbers(out, "/" + stage).items():
            nodes.setdefault(node.strip("/"), {})[stage.removeprefix("debug/").replace("_latency_ms", "_ms")] = (
                latency.percentiles(values)
            )
    for stage in ("preprocess", "inference", "postprocess", "total"):
        for node, values in recorded.numbers(out, f"/debug/processing_time/{stage}_ms").items():
            nodes.setdefault(node.strip("/"), {})[f"{stage}_ms"] = latency.percentiles(values)
    first = next(iter(nodes.values()), {})
    return {
        "frames": latency.frames(int(given), answered),
        "latency": {"pipeline_ms": first.get("pipeline_ms", "no data"), "nodes": nodes},
        "segmentation": scorer.metrics(),
        "model": replay.get("model"),
    }


def replay_facts(out: BagReader) -> dict:
    """What the replay said of itself (model, rate, frames_in, …); empty for a bag recorded by other means."""
    return json.loads(out.notes.get("replay", "{}"))
