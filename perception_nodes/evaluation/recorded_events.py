"""Recorded events of a bag beside their ground truth: scores, bars over time and film strips."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.classes import ClassInfo, event_colour
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.events import NONE, EventScorer
from perception_nodes.evaluation.recorded import class_names, stamped
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.messages.clock import read_events
from perception_nodes.messages.detections2d import Detections2D, read_detections2d
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import CameraEvent, read_event
from perception_nodes.messages.image import decode_image
from perception_nodes.streaming.bag_inputs import camera_topics
from perception_nodes.viewer import event_pictures as draw
from perception_nodes.viewer import pictures, video_pictures

OUTPUT = "/perception/events"
TRUTH = "/ground_truth/events"
DETECTIONS = "/perception/detections2d"
NEAR_NS = 60_000_000  # a picture's ground truth is the nearest one, at most so far away
DRAWN_SCORE = 0.3  # of a box in the film strip
TILES = 12
TILE_WIDTH = 318

Rows = dict[str, list[tuple[CameraEvent, "frozenset[str] | None"]]]


def evaluate_events(recording: Recording) -> Scored:
    """`events` of metrics.json, bars over time and a film strip.

    The camera "front", or the first one, is scored in full; of others only `top1` is told: what happens in front is
    not to be seen in every direction.

    Raises EvaluationError where nothing was recorded, or the ground truth does not fit.
    """
    out, truth, folder, note = recording.out, recording.truth, recording.folder, recording.note
    names = class_names(out, OUTPUT)
    rows = joined(out, truth)
    if not rows:
        raise EvaluationError(f"{out.path}: {OUTPUT} holds no message: nothing was answered, nothing is scored")
    scorers = {}
    for camera, pairs in rows.items():
        scorers[camera] = EventScorer(names)
        for event, what in pairs:
            scorers[camera].add(event, what)
    near = any(what is not None for pairs in rows.values() for _, what in pairs)
    if truth is not None and TRUTH in truth.topics() and not near:
        raise EvaluationError(
            f"{truth.path}: none of its ground-truth events is near one of the recorded events of {out.path}. Give the "
            "bag that was replayed"
        )
    main = "front" if "front" in scorers else next(iter(scorers))
    metrics = scorers[main].metrics() | {"camera": main}
    if len(scorers) > 1:
        metrics["cameras"] = {camera: scorer.metrics()["top1"] for camera, scorer in scorers.items()}
    shown: list[tuple[str, str]] = []
    classes = tuple(ClassInfo(name, event_colour(name)) for name in names)
    for camera, scorer in scorers.items():
        shown += _bars(folder, camera, scorer, classes, note)
    if truth is not None:
        shown += _strip(folder, main, rows[main], scorers[main], (out, truth), classes, note)
    states = Counter(event.state for pairs in rows.values() for event, _ in pairs)
    return Scored(metrics, shown, states.pop("", 0), apart=dict(sorted(states.items())))


def joined(out: BagReader, truth: BagReader | None) -> Rows:
    """Camera -> its recorded events in order of time, each with what was under way (None: unknown)."""
    found: dict[str, dict[int, CameraEvent]] = {}
    for _, kind, _, raw in out.messages([OUTPUT]):
        try:
            event = read_event(out.decode(raw, kind))
        except MessageError as error:
            raise EvaluationError(f"{out.path}: {OUTPUT}: {error}") from None
        found.setdefault(event.camera, {})[event.stamp_ns] = event
    stamps, names = truth_events(truth) if truth is not None else (np.zeros(0, np.int64), [])
    rows: Rows = {}
    for camera, events in found.items():
        rows[camera] = [(events[stamp], _nearest(stamps, names, stamp)) for stamp in sorted(events)]
    return rows


def truth_events(truth: BagReader) -> tuple[NDArray[np.int64], list[frozenset[str]]]:
    """Stamps (ns, rising) of the ground truth and the events under way at each; empty where the bag has none."""
    rows = []
    for _, kind, stamp, raw in truth.messages([TRUTH]) if TRUTH in truth.topics() else ():
        try:
            rows.append((stamp, frozenset(read_events(truth.decode(raw, kind)))))
        except (BagError, MessageError) as error:
            raise EvaluationError(f"{truth.path}: {TRUTH}: {error}") from None
    rows.sort(key=lambda row: row[0])
    return np.array([stamp for stamp, _ in rows], np.int64), [names for _, names in rows]


def _nearest(stamps: NDArray[np.int64], names: list[frozenset[str]], stamp: int) -> frozenset[str] | None:
    if not len(stamps):
        return None
    right = int(np.searchsorted(stamps, stamp))
    best = min((i for i in (right - 1, right) if 0 <= i < len(stamps)), key=lambda i: abs(int(stamps[i]) - stamp))
    return names[best] if abs(int(stamps[best]) - stamp) <= NEAR_NS else None


def _bars(
    folder: Path, camera: str, scorer: EventScorer, classes: tuple[ClassInfo, ...], note: str
) -> list[tuple[str, str]]:
    if not scorer.predicted:
        return []
    seconds = [(stamp - scorer.stamps_ns[0]) * 1e-9 for stamp in scorer.stamps_ns]
    under_way = scorer.under_way() if scorer.known().any() else None
    picture = draw.event_bars(
        seconds, np.asarray(scorer.scores), np.asarray(scorer.predicted), classes, under_way, note=note
    )
    file = f"pictures/events_{camera}.png"
    pictures.save(folder / file, picture)
    caption = f"events of camera {camera} over {seconds[-1]:.1f} s"
    return [(file, caption + ("" if under_way is None else f", {100 * float(scorer.metrics()['top1']):.1f} % right"))]


def _strip(
    folder: Path,
    camera: str,
    rows: list[tuple[CameraEvent, frozenset[str] | None]],
    scorer: EventScorer,
    bags: tuple[BagReader, BagReader],
    classes: tuple[ClassInfo, ...],
    note: str,
) -> list[tuple[str, str]]:
    out, truth = bags
    topic = camera_topics(truth).get(camera)
    if topic is None or not rows:
        return []
    boxes = _boxes(out)
    wanted = {event.stamp_ns: (event, what) for event, what in (rows[i] for i in chosen(rows, scorer))}
    colours = {info.name: info.rgb for info in classes}
    tiles = []
    for stamp, message in stamped(truth, topic):
        if stamp not in wanted:
            continue
        event, what = wanted.pop(stamp)
        image = decode_image(message)
        found = boxes.get((stamp, image.frame_id))
        small = video_pictures.overlay(image.rgb, event, colours, found, width=TILE_WIDTH, note=note, bars=2)
        right = None if what is None or event.state else event.event in (what or {NONE})
        seconds = (stamp - rows[0][0].stamp_ns) * 1e-9
        tiles.append(draw.strip_tile(small, seconds, event.event, None if what is None else sorted(what), right))
    if not tiles:
        return []
    file = f"pictures/film_{camera}.jpg"
    pictures.save(folder / file, draw.film_strip(tiles))
    return [(file, f"camera {camera}: what was said, and below what was under way (green: right, red: wrong)")]


def _boxes(out: BagReader) -> dict[tuple[int, str], Detections2D]:
    """Recorded boxes that are sure enough to be drawn, by stamp and frame."""
    found = {}
    for _, message in stamped(out, DETECTIONS) if DETECTIONS in out.topics() else ():
        boxes = read_detections2d(message).above(DRAWN_SCORE)
        found[boxes.stamp_ns, boxes.frame_id] = boxes
    return found


def chosen(rows: list[tuple[CameraEvent, frozenset[str] | None]], scorer: EventScorer) -> list[int]:
    """Indices of the pictures to show: the middles of the ground truth's spans, filled up evenly, in order."""
    index = {event.stamp_ns: i for i, (event, _) in enumerate(rows)}
    middles = [index[scorer.stamps_ns[(span.first + span.last) // 2]] for span in scorer.spans()]
    if len(middles) > TILES:
        middles = [middles[i] for i in np.linspace(0, len(middles) - 1, TILES).astype(int)]
    even = [int(i) for i in np.linspace(0, len(rows) - 1, TILES)]
    picked: list[int] = []
    for i in [*middles, *even]:
        if i not in picked and len(picked) < TILES:
            picked.append(i)
    return sorted(picked)
