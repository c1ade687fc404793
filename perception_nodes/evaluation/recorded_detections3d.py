"""Recorded 3-D boxes of a bag beside its ground truth: the nuScenes scores, the worst frames, a result file.

    Scorer object for a system's declaration: detection3d_report.detection3d_scorer(topic)

Boxes of both bags are taken to base_link by the transforms of the bag with the ground truth: ranges count from there.
Where the ground truth has no attributes, both sides get one by their speed (`nuscenes_protocol.attributes_by_speed`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import apply, compose
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.evaluation.detection3d import Detection3dScorer, countable
from perception_nodes.evaluation.detection3d_match import match_class
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.nuscenes_protocol import NUSCENES, attributes_by_speed
from perception_nodes.evaluation.nuscenes_results import write_results
from perception_nodes.evaluation.recorded import POINTS
from perception_nodes.evaluation.recorded_boxes import TRUTH, boxes_by_stamp
from perception_nodes.evaluation.recorded_poses import RecordedPoses
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.evaluation.segmentation import NO_DATA
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration

OUTPUT = "/perception/detections"
RACKS = "/ground_truth/bicycle_racks"
TOKENS = "/ground_truth/sample_token"
BASE = "base_link"
MATCH_M = 2.0  # of the worst frames


class Pair(NamedTuple):
    """True and found boxes of one stamp in base_link, and bicycle racks or None."""

    truth: Detections3D
    found: Detections3D
    racks: Detections3D | None


def evaluate_detections3d(recording: Recording, topic: str = OUTPUT, truth_topic: str = TRUTH) -> Scored:
    """`detection3d` of metrics.json and pictures of the worst frames.

    Raises EvaluationError where nothing was recorded, a frame is unknown, or the ground truth does not fit.
    """
    out, truth_bag = recording.out, recording.truth
    found = boxes_by_stamp(out, topic)
    if not found:
        raise EvaluationError(f"{out.path}: {topic} holds no message: nothing was answered, nothing is scored")
    if truth_bag is None or truth_topic not in truth_bag.topics():
        return Scored({"map": NO_DATA, "nds": NO_DATA, "frames": 0}, answered=len(found))
    pairs = paired(truth_bag, boxes_by_stamp(truth_bag, truth_topic), found)
    if not pairs:
        raise EvaluationError(
            f"{truth_bag.path}: none of the stamps of {truth_topic} is among the {len(found)} of {topic} in "
            f"{out.path}. Give the bag that was replayed"
        )
    by_speed = not any(any(pair.truth.attribute) for pair in pairs.values())
    if by_speed:
        pairs = {stamp: pair._replace(truth=_by_speed(pair.truth)) for stamp, pair in pairs.items()}
    pairs = {stamp: pair._replace(found=_filled(pair.found)) for stamp, pair in pairs.items()}
    scorer = Detection3dScorer()
    for stamp, pair in pairs.items():
        try:
            scorer.add(*pair)
        except ValueError as error:
            raise EvaluationError(f"{out.path}: {topic} at {stamp} ns: {error}") from None
    metrics = scorer.metrics() | {
        "attributes": "by speed" if by_speed else "annotated",
        "precision_2m": {
            name: [round(float(v), 4) for v in scorer.curve(name, MATCH_M).precision[::5]] for name in scorer.present()
        },
    }
    worst = worst_frames(pairs, scorer.best_scores(MATCH_M))[: recording.pictures]
    write_result_file(recording.folder, truth_bag, {stamp: pair.found for stamp, pair in pairs.items()})
    points = truth_bag.topics().get(POINTS)
    shown = _draw(recording.folder, truth_bag, pairs, worst, recording.note)
    return Scored(metrics, shown, len(found), points.count if points is not None else None)


def write_result_file(folder: Path, truth_bag: BagReader, found: dict[int, Detections3D]) -> None:
    """folder/detections_nuscenes.json: the boxes (in base_link) as the official devkit reads them; nothing where the
    bag has no pose of base_link.

    Tokens are those of the ground truth's /ground_truth/sample_token (bags made from nuScenes), else the stamps in ns.
    Boxes are in the map frame, moved by the bag's note `map_origin` where it has one.
    """
    poses = RecordedPoses(truth_bag)
    if not len(poses) or any(boxes.frame_id != BASE for boxes in found.values()):
        return
    global_from_map = compose(np.eye(3), truth_bag.note_table("map_origin").get("xyz", (0.0, 0.0, 0.0)))
    tokens = {stamp: str(stamp) for stamp in found}
    for _, kind, stamp, raw in truth_bag.messages([TOKENS]) if TOKENS in truth_bag.topics() else ():
        tokens[stamp] = str(truth_bag.decode(raw, kind).data)
    frames = {tokens[s]: boxes.moved("global", global_from_map @ poses.at(s)) for s, boxes in found.items()}
    write_results(folder / "detections_nuscenes.json", frames, use_lidar=True, use_camera=True)


def paired(truth_bag: BagReader, truth: dict[int, Detections3D], found: dict[int, Detections3D]) -> dict[int, Pair]:
    """Stamp -> boxes of the stamps that both have, in base_link. Raises EvaluationError for a frame without TF."""
    calibration = bag_calibration(truth_bag, {})
    racks = boxes_by_stamp(truth_bag, RACKS)
    out = {}
    for stamp in sorted(truth.keys() & found.keys()):
        three = (truth[stamp], found[stamp], racks.get(stamp))
        frames = {boxes.frame_id for boxes in three if boxes is not None}
        try:
            moved = [None if b is None else _in_base(b, calibration) for b in three]
        except CalibrationError as error:
            if len(frames) > 1:
                raise EvaluationError(
                    f"{truth_bag.path}: boxes in the frames {', '.join(sorted(frames))} cannot be compared: {error}"
                ) from None
            moved = list(three)  # one frame for all: ranges count from its origin
        assert moved[0] is not None and moved[1] is not None
        out[stamp] = Pair(moved[0], moved[1], moved[2])
    return out


def _in_base(boxes: Detections3D, calibration: CalibrationSource) -> Detections3D:
    if boxes.frame_id == BASE:
        return boxes
    return boxes.moved(BASE, calibration.lookup(BASE, boxes.frame_id))


def _by_speed(boxes: Detections3D) -> Detections3D:
    return replace(boxes, attribute=attributes_by_speed(boxes))


def _filled(boxes: Detections3D) -> Detections3D:
    """Attributes by speed where a box has none."""
    guessed = attributes_by_speed(boxes)
    return replace(boxes, attribute=tuple(a or b for a, b in zip(boxes.attribute, guessed)))


class Judged(NamedTuple):
    """One frame at the scores of best F1: stamp_ns · truth, found: the boxes that count · missed bool [truth] · false
    bool [found]."""

    stamp_ns: int
    truth: Detections3D
    found: Detections3D
    missed: NDArray[np.bool_]
    false: NDArray[np.bool_]

    @property
    def wrong(self) -> int:
        """Missed and false boxes."""
        return int(self.missed.sum() + self.false.sum())


def worst_frames(pairs: dict[int, Pair], least: dict[str, float]) -> list[Judged]:
    """Every frame judged at 2 m, most missed and false boxes first. least: class -> score below which a found box is
    left out; boxes of a class that has none are."""
    judged = []
    for stamp, pair in pairs.items():
        truth, found = (countable(boxes, NUSCENES, pair.racks) for boxes in (pair.truth, pair.found))
        sure = [score >= least.get(name, np.inf) for name, score in zip(found.category, found.score)]
        found = found.select(np.array(sure, bool))
        missed, false = np.ones(len(truth), bool), np.ones(len(found), bool)
        for name in {*truth.category, *found.category}:
            t, f = (np.flatnonzero([c == name for c in boxes.category]) for boxes in (truth, found))
            parts = (truth.select(_mask(t, len(truth))), found.select(_mask(f, len(found))))
            match = match_class(*parts, (MATCH_M,), MATCH_M, 2 * np.pi).match[0]
            order = np.argsort(parts[1].score, kind="stable")[::-1]
            missed[t[match[match >= 0]]] = False
            false[f[order[match >= 0]]] = False
        judged.append(Judged(stamp, truth, found, missed, false))
    return sorted(judged, key=lambda frame: -frame.wrong)


def _mask(chosen: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, bool)
    mask[chosen] = True
    return mask


def _draw(
    folder: Path, bag: BagReader, pairs: dict[int, Pair], frames: list[Judged], note: str
) -> list[tuple[str, str]]:
    """[(file, caption)] of the worst frames."""
    from perception_nodes.viewer import pictures
    from perception_nodes.viewer.box_pictures import judged_picture

    clouds = _clouds(bag, {frame.stamp_ns for frame in frames}, {s: p.truth.frame_id for s, p in pairs.items()})
    shown = []
    for i, frame in enumerate(frames):
        picture = judged_picture(frame.truth, frame.missed, frame.found, frame.false, clouds.get(frame.stamp_ns))
        file = f"pictures/boxes_{i:02d}.jpg"
        pictures.save(folder / file, pictures.with_note(picture, note) if note else picture)
        counts = f"{int(frame.missed.sum())} of {len(frame.truth)} boxes missed, {int(frame.false.sum())} false"
        place = "the worst frame" if i == 0 else f"the worst frame but {i}"
        shown.append((file, f"{place}: {frame.stamp_ns / 1e9:.3f} s, {counts} (at 2 m and the scores of best F1)"))
    return shown


def _clouds(bag: BagReader, wanted: set[int], frames: dict[int, str]) -> dict[int, Any]:
    """Stamp -> points float32 [N, 3] in the boxes' frame, where the bag has them and their transform."""
    calibration = bag_calibration(bag, {})
    found = {}
    for _, kind, _, raw in bag.messages([POINTS]) if POINTS in bag.topics() else ():
        try:
            stamp = header_stamp_ns(raw)
            if stamp in wanted:
                cloud = decode_point_cloud2(bag.decode(raw, kind))
                found[stamp] = apply(calibration.lookup(frames[stamp], cloud.frame_id), cloud.xyz)
        except (BagError, MessageError, CalibrationError):
            continue  # the boxes are drawn without points
    return found
