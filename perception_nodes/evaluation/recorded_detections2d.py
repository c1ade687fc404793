"""Recorded 2D boxes of a bag beside its ground truth: the true 3D boxes seen through the cameras of the same bag.

A true box in a picture is the picture of its eight corners, cut at the near plane and at the picture's edges: the whole
object, as KITTI's and nuScenes' annotators draw it. How much of it is visible is what the LiDAR saw of it; where that
is unknown the box does not count. Boxes too small to count are measured at the size that the project's detector sees
(DETECTOR_SIZE).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.evaluation.detection2d import (
    LEAST_SIZE,
    WINDOW_S,
    Detection2dScorer,
    TrueBoxes2D,
    hard_to_see,
    motion_ious,
)
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.recorded import stamped
from perception_nodes.evaluation.recorded_boxes import TRUTH, boxes_by_stamp
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.detections2d import Detections2D, read_detections2d
from perception_nodes.messages.errors import MessageError
from perception_nodes.streaming.bag_calibration import CAMERA_INFO, bag_calibration

OUTPUT = "/perception/detections2d"
DETECTOR_SIZE = (384, 192)  # px, width and height
NEAR_NS = 60_000_000  # between a picture's stamp and the true boxes'
NEAR = 0.3  # m; what is nearer to the camera is cut off
NAMES = ("car", "truck", "bus", "two-wheeler", "person")
NAME_OF = {
    "car": "car", "truck": "truck", "construction_vehicle": "truck", "trailer": "truck", "bus": "bus",
    "motorcycle": "two-wheeler", "bicycle": "two-wheeler", "pedestrian": "person",
}  # fmt: skip
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


def evaluate_recorded(recording: Recording) -> Scored:
    """`detection2d` of metrics.json; nothing where the bag has no true boxes."""
    if recording.truth is None or TRUTH not in recording.truth.topics():
        return Scored(None)
    metrics = evaluate_detections2d(recording.out, recording.truth)
    if metrics is None:
        said = f"boxes in pictures are not scored: no true boxes within {NEAR_NS // 10**6} ms of a picture's stamp"
        return Scored(None, [("", said)])
    return Scored(metrics)


class Seen(NamedTuple):
    """True boxes in one picture: box float64 [M, 4] px · label int64 [M] of NAMES · visible float64 [M] 0..1 or NaN ·
    track int64 [M]."""

    box: NDArray[np.float64]
    label: NDArray[np.int64]
    visible: NDArray[np.float64]
    track: NDArray[np.int64]


def evaluate_detections2d(out: BagReader, truth: BagReader) -> dict[str, Any] | None:
    """`detection2d` of metrics.json: every camera's recorded boxes against the truth of the same stamps.

    Where a camera has no picture at a stamp of the truth, since camera and LiDAR are not triggered together, each truth
    is compared with the picture nearest to it, at most NEAR_NS away; `stamps_apart_ms` tells the largest distance. The
    boxes are not moved by what happens in between. None: the bags belong together, but no picture is near.

    Raises EvaluationError where cameras, transforms or true boxes are missing, or the bags are of different times.
    """
    scorer, apart = Detection2dScorer(NAMES), 0
    try:
        calibration = bag_calibration(truth, {topic: topic for topic in truth.topics_of(CAMERA_INFO)})
        cameras = {camera.frame_id: camera for camera in calibration.cameras().values()}
        found = _found(out)
        boxes = boxes_by_stamp(truth, TRUTH)
        for frame_id, pictures in found.items():
            if frame_id not in cameras:
                have = ", ".join(sorted(cameras)) or "none"
                raise EvaluationError(f"{truth.path}: no camera_info of the camera {frame_id!r} (there is: {have})")
            pairs = matched(pictures, boxes)
            apart = max([apart, *(abs(p.stamp_ns - b.stamp_ns) for p, b in pairs)])
            _add(scorer, pairs, cameras[frame_id], calibration)
    except (BagError, MessageError, CalibrationError) as error:
        raise EvaluationError(f"{truth.path}: {error}") from None
    if not scorer.pictures and _overlap([p.stamp_ns for row in found.values() for p in row], list(boxes)):
        return None
    if not scorer.pictures:
        raise EvaluationError(
            f"{truth.path}: none of its {len(boxes)} stamps of {TRUTH} is among those of {OUTPUT} in {out.path}. "
            "Give the bag that was replayed"
        )
    return (
        scorer.summary() | {"cameras": sorted(found)} | ({"stamps_apart_ms": round(apart * 1e-6, 3)} if apart else {})
    )


def matched(pictures: list[Detections2D], boxes: dict[int, Detections3D]) -> list[tuple[Detections2D, Detections3D]]:
    """Pictures with the true boxes of their moment, in order of time: of the same stamp where there are any, else each
    truth with the picture nearest to it."""
    same = [(p, boxes[p.stamp_ns]) for p in pictures if p.stamp_ns in boxes]
    if same or not pictures:
        return same
    stamps = np.array([p.stamp_ns for p in pictures], np.int64)
    nearest: dict[int, Detections3D] = {}  # index of a picture -> the truth nearest to it
    for stamp, true in sorted(boxes.items()):
        i = int(np.abs(stamps - stamp).argmin())
        if abs(int(stamps[i]) - stamp) > NEAR_NS:
            continue
        if i not in nearest or abs(int(stamps[i]) - stamp) < abs(int(stamps[i]) - nearest[i].stamp_ns):
            nearest[i] = true
    return [(pictures[i], nearest[i]) for i in sorted(nearest)]


def _overlap(one: list[int], two: list[int]) -> bool:
    """Whether two lists of stamps are of one drive: they overlap, or lie within a second of each other."""
    second = 10**9
    return bool(one and two) and min(one) - second <= max(two) and min(two) - second <= max(one)


def _add(
    scorer: Detection2dScorer,
    pairs: list[tuple[Detections2D, Detections3D]],
    camera: CameraModel,
    calibration: CalibrationSource,
) -> None:
    """One camera's pictures with their true boxes, in order of time."""
    if not pairs:
        return
    pictures, boxes_of = [p for p, _ in pairs], [b for _, b in pairs]
    seen = [seen_by(camera, each, calibration.lookup(camera.frame_id, each.frame_id)) for each in boxes_of]
    steps = np.diff([p.stamp_ns for p in pictures])
    window = max(1, round(WINDOW_S * 1e9 / float(np.median(steps)))) if len(steps) else 1
    motion = motion_ious([s.box for s in seen], [s.track for s in seen], window)
    scale = np.array([camera.width, camera.height], float) / DETECTOR_SIZE
    least = (LEAST_SIZE[0] * scale[0], LEAST_SIZE[1] * scale[1])
    scorer.least = least
    for picture, true, speed in zip(pictures, seen, motion):
        unknown = sorted(set(picture.category) - set(NAMES))
        if unknown:
            raise EvaluationError(f"{OUTPUT} names classes without ground truth: {', '.join(unknown)}; known: {NAMES}")
        ignore = hard_to_see(true.box, np.nan_to_num(true.visible, nan=0.0), least)
        label = np.array([NAMES.index(c) for c in picture.category], np.int64)
        scorer.add(TrueBoxes2D(true.box, true.label, ignore, speed), picture.box, label, picture.score)


def seen_by(camera: CameraModel, boxes: Detections3D, camera_from_boxes: NDArray[np.float64]) -> Seen:
    """The boxes that lie in a camera's picture; classes without a counterpart in NAMES are left out."""
    corners = boxes.corners() @ camera_from_boxes[:3, :3].T + camera_from_boxes[:3, 3]  # [B, 8, 3]
    box, kept = [], []
    for i, category in enumerate(boxes.category):
        found = picture_box(corners[i], camera) if category in NAME_OF else None
        if found is not None:
            box.append(found)
            kept.append(i)
    return Seen(
        np.array(box, np.float64).reshape(-1, 4),
        np.array([NAMES.index(NAME_OF[boxes.category[i]]) for i in kept], np.int64),
        boxes.visibility[kept],
        np.array([int(boxes.track[i]) if boxes.track[i].isdigit() else -1 - i for i in kept], np.int64),
    )


def picture_box(corners: NDArray[np.float64], camera: CameraModel) -> NDArray[np.float64] | None:
    """x1, y1, x2, y2 px [4] of a 3D box (corners float64 [8, 3] in the optical frame), cut at the picture's edges; None
    where it is behind the camera, outside, or less than a pixel."""
    front = corners[:, 2] > NEAR
    if not front.any():
        return None
    points = [corners[front]]
    for a, b in EDGES:
        if front[a] != front[b]:
            along = (NEAR - corners[a, 2]) / (corners[b, 2] - corners[a, 2])
            points.append((corners[a] + along * (corners[b] - corners[a]))[None])
    xyz = np.concatenate(points)
    pixels = (xyz @ camera.k.T)[:, :2] / xyz[:, 2:] + 0.5  # pixel (0, 0) is centred on 0, boxes count from its corner
    size = np.array([camera.width, camera.height], float)
    low, high = np.clip(pixels.min(0), 0, size), np.clip(pixels.max(0), 0, size)
    return None if (high - low < 1.0).any() else np.concatenate([low, high])


def _found(out: BagReader) -> dict[str, list[Detections2D]]:
    """Recorded boxes by camera frame, in order of time."""
    found: dict[str, dict[int, Detections2D]] = {}
    for _, message in stamped(out, OUTPUT):
        boxes = read_detections2d(message)
        found.setdefault(boxes.frame_id, {})[boxes.stamp_ns] = boxes
    return {frame: [rows[stamp] for stamp in sorted(rows)] for frame, rows in found.items()}
