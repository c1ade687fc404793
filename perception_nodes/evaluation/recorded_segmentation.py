"""Recorded labels of a bag beside their ground truth: scores and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.reader import BagReader
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.evaluation import recorded
from perception_nodes.evaluation.camera_overlay import CameraOverlay, OverlayError
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.evaluation.segmentation import SegmentationScorer, map_labels


def evaluate_segmentation(recording: Recording) -> Scored:
    """`segmentation` of metrics.json.

    Raises EvaluationError where nothing was recorded, or the ground truth does not fit.
    """
    out, truth = recording.out, recording.truth
    own_names = recorded.class_names(out, recorded.OUTPUT)
    has_truth = truth is not None and recorded.TRUTH in truth.topics()
    truth_names = tuple(c.name for c in POINT_CLASSES)
    if truth is not None and has_truth:
        truth_names = recorded.class_names(truth, recorded.TRUTH)
    folder, count = recording.folder, recording.pictures
    scorer, shown, answered = score(out, truth, own_names, truth_names, folder, count, recording.note)
    if not answered:
        raise EvaluationError(
            f"{out.path}: {recorded.OUTPUT} holds no message: nothing was answered, nothing is scored"
        )
    if truth is not None and has_truth and not scorer.sweeps:
        raise EvaluationError(
            f"{truth.path}: none of its ground-truth stamps is among the {answered} outputs of {out.path}. "
            "Give the bag that was replayed"
        )
    points = truth.topics().get(recorded.POINTS) if truth is not None else None
    return Scored(scorer.metrics(), shown, answered, points.count if points is not None else None)


def score(
    out: BagReader,
    truth_bag: BagReader | None,
    own_names: tuple[str, ...],
    truth_names: tuple[str, ...],
    folder: Path,
    pictures: int,
    note: str,
) -> tuple[SegmentationScorer, list[tuple[str, str]], int]:
    """Walk the sweeps once: score them and draw some. Returns (scorer, [(file, caption)], sweeps answered)."""
    from perception_nodes.viewer import pictures as draw

    names = tuple(c.name for c in POINT_CLASSES)
    scorer, answered = SegmentationScorer(names), 0
    shown: list[tuple[str, str]] = []
    total = max(out.topics()[recorded.OUTPUT].count, 1)
    wanted = {int(i) for i in np.linspace(0, total - 1, min(pictures, total))}
    overlay = _overlay(truth_bag)
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
            more = _camera_picture(overlay, sweep, predicted, folder, answered, note)
            shown += [row for row in more if row not in shown]  # what is missing is said once
        answered += 1
    return scorer, shown, answered


def _overlay(bag: BagReader | None) -> CameraOverlay | None:
    """Draws labels on the bag's pictures; None where it has none."""
    try:
        return None if bag is None else CameraOverlay(bag)
    except OverlayError:
        return None


def _camera_picture(
    overlay: CameraOverlay | None,
    sweep: recorded.ScoredSweep,
    predicted: NDArray[np.uint8],
    folder: Path,
    number: int,
    note: str,
) -> list[tuple[str, str]]:
    """[(file, caption)] of a sweep's labels on the picture of a camera; the caption alone says what is missing."""
    from perception_nodes.viewer import pictures as draw

    if overlay is None:
        return []
    try:
        colours = draw.palette(POINT_CLASSES)[predicted]
        picture, apart_ns = overlay.draw(sweep.stamp_ns, sweep.frame_id, sweep.xyz, colours)
    except OverlayError as error:
        return [("", f"no labels on the camera's picture: {error}")]
    file = f"pictures/sweep_{number:05d}_{overlay.camera}.jpg"
    draw.save(folder / file, draw.with_note(picture, note) if note else picture)
    return [(file, f"the same labels on the camera {overlay.camera}, {apart_ns * 1e-6:+.0f} ms from the sweep's stamp")]


def beam_pattern(ring) -> str | None:
    """ "64-beam" and the like from the ring numbers of a sweep; None where it has none."""
    return None if ring is None or not len(ring) else f"{nominal_beams(int(ring.max()) + 1)}-beam"


def nominal_beams(rings: int) -> int:
    """The sensor size behind so many rings: the next of 16, 32, 64, 128, since top rings can be empty."""
    return next((n for n in (16, 32, 64, 128) if rings <= n), rings)
