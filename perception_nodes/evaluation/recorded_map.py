"""Recorded map layers of a bag (one OccupancyGrid per class and frame) beside the map in its ground truth.

The truth is /ground_truth/map/shapes (polygons and lines, drawn in each recorded grid) or, for classes that it does not
have, the latched grid /ground_truth/map/<class>, in which each recorded cell's middle is looked up; cells outside that
grid do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import Matrix, apply, invert
from perception_nodes.classes import MAP_CLASSES
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.map_iou import MapIouScorer
from perception_nodes.evaluation.recorded_poses import RecordedPoses
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.evaluation.segmentation import NO_DATA
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.grid import Cells, read_cells
from perception_nodes.messages.map_shapes import MapShapes, read_map_shapes
from perception_nodes.streaming.bag_calibration import bag_calibration

SHAPES, GRIDS = "/ground_truth/map/shapes", "/ground_truth/map"
MAP, BASE = "map", "base_link"
DRAWN_PERCENT = 50  # from which a cell is drawn as the class


class Layers(NamedTuple):
    """The classes of one frame: name -> (said int8, truth bool, known bool), each [rows, columns]."""

    stamp_ns: int
    layers: dict[str, tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.bool_]]]


def evaluate_map(recording: Recording, topic: str = "/perception/map", names: tuple[str, ...] = ()) -> Scored:
    """`map` of metrics.json and pictures of the worst frames.

    topic: the layers are on <topic>/<class>. Raises EvaluationError where nothing was recorded or a frame is unknown.
    """
    names = names or tuple(c.name for c in MAP_CLASSES)
    out, truth = recording.out, recording.truth
    topics = {f"{topic}/{name}": name for name in names if f"{topic}/{name}" in out.topics()}
    if not topics:
        raise EvaluationError(f"{out.path}: no {topic}/<class> recorded, so there is no map to score")
    scorer = MapIouScorer(names)
    reference = None if truth is None else TrueMap(truth)
    if reference is None or not reference.classes():
        return Scored({"miou": NO_DATA, "frames": 0})
    # Two passes, so that the memory does not grow with the bag: the first one scores, the second one draws.
    worst: list[tuple[float, int]] = []
    for frame in _frames(out, topics, reference):
        scorer.frames += 1
        for name, layer in frame.layers.items():
            scorer.add(name, *layer)
        worst.append((_agreement(frame), frame.stamp_ns))
    if not scorer.frames:
        raise EvaluationError(f"{out.path}: the topics {topic}/<class> hold no message: nothing is scored")
    drawn = dict((stamp, share) for share, stamp in sorted(worst)[: recording.pictures])
    shown = _draw(recording, topics, reference, drawn)
    return Scored(scorer.metrics(), shown)


class TrueMap:
    """The map of a bag's ground truth. Raises EvaluationError where it cannot be read."""

    def __init__(self, bag: BagReader) -> None:
        self._calibration = bag_calibration(bag, {})
        self._poses = RecordedPoses(bag)
        self._path = bag.path
        self._shapes: MapShapes | None = None
        self._grids: dict[str, Cells] = {}
        prefix = f"{GRIDS}/"
        wanted = [t for t in bag.topics() if t.startswith(prefix) and not t.endswith("/classes")]
        try:
            for topic, kind, _, raw in bag.messages(wanted) if wanted else ():
                message = bag.decode(raw, kind)
                if topic == SHAPES:
                    self._shapes = read_map_shapes(message)
                else:
                    self._grids[topic.removeprefix(prefix)] = read_cells(message)
        except (BagError, MessageError) as error:
            raise EvaluationError(f"{bag.path}: the true map: {error}") from None

    def classes(self) -> tuple[str, ...]:
        """Classes that the truth knows."""
        return tuple(dict.fromkeys([*(self._shapes.classes() if self._shapes else ()), *self._grids]))

    def beside(self, name: str, said: Cells) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """(truth, known), each bool [rows, columns] on a recorded grid; None for a class that the truth does not know.
        Raises EvaluationError where a transform is missing."""
        if self._shapes is not None and name in self._shapes.classes():
            place = self._link(self._shapes.frame_id, said) @ said.frame_from_grid
            mask = self._shapes.mask(name, said.percent.shape, said.resolution, place)
            return mask, np.ones(mask.shape, bool)
        if name not in self._grids:
            return None
        true = self._grids[name]
        place = invert(true.frame_from_grid) @ self._link(true.frame_id, said) @ said.frame_from_grid
        return looked_up(true, said, place)

    def _link(self, frame: str, said: Cells) -> Matrix:
        """frame <- the recorded grid's frame at its stamp."""
        if frame == said.frame_id:
            return np.eye(4)
        try:
            base_from_said = self._calibration.lookup(BASE, said.frame_id) if said.frame_id != BASE else np.eye(4)
            if frame == MAP:
                return self._poses.at(said.stamp_ns) @ base_from_said
            return self._calibration.lookup(frame, BASE) @ base_from_said
        except CalibrationError as error:
            raise EvaluationError(f"{self._path}: the map cannot be compared: {error}") from None


def looked_up(true: Cells, said: Cells, true_from_said: Matrix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(truth, known) of a true grid at the middles of a recorded grid's cells."""
    rows, columns = said.percent.shape
    r, c = np.mgrid[0:rows, 0:columns]
    middles = np.stack([(c + 0.5) * said.resolution, (r + 0.5) * said.resolution, np.zeros_like(c)], -1)
    place = apply(true_from_said, middles.reshape(-1, 3).astype(np.float64))[:, :2] / true.resolution
    column, row = np.floor(place).astype(np.int64).T
    inside = (row >= 0) & (column >= 0) & (row < true.percent.shape[0]) & (column < true.percent.shape[1])
    value = np.full(len(place), -1, np.int8)
    value[inside] = true.percent[row[inside], column[inside]]
    return (value >= DRAWN_PERCENT).reshape(rows, columns), (value >= 0).reshape(rows, columns)


def _frames(out: BagReader, topics: dict[str, str], truth: TrueMap) -> Iterator[Layers]:
    """Every recorded frame: the layers that follow each other with one stamp."""
    frame: Layers | None = None
    for topic, kind, _, raw in out.messages(list(topics)):
        try:
            said = read_cells(out.decode(raw, kind))
        except (BagError, MessageError) as error:
            raise EvaluationError(f"{out.path}: {topic}: {error}") from None
        found = truth.beside(topics[topic], said)
        if found is None:
            continue
        if frame is not None and frame.stamp_ns != said.stamp_ns:
            yield frame
            frame = None
        if frame is None:
            frame = Layers(said.stamp_ns, {})
        frame.layers[topics[topic]] = (said.percent, *found)
    if frame is not None:
        yield frame


def _agreement(frame: Layers) -> float:
    """Mean IoU of one frame at 50 %, over the classes that the truth or the answer holds; 1 where there is none."""
    values = []
    for percent, truth, known in frame.layers.values():
        said = (percent >= DRAWN_PERCENT) & known
        union = int((said | (truth & known)).sum())
        if union:
            values.append(int((said & truth).sum()) / union)
    return float(np.mean(values)) if values else 1.0


def _draw(
    recording: Recording, topics: dict[str, str], truth: TrueMap, wanted: dict[int, float]
) -> list[tuple[str, str]]:
    from perception_nodes.viewer import pictures
    from perception_nodes.viewer.map_pictures import map_picture

    shown: dict[int, tuple[str, str]] = {}
    for frame in _frames(recording.out, topics, truth) if wanted else ():
        if frame.stamp_ns in wanted:
            said = {name: layer[0] >= DRAWN_PERCENT for name, layer in frame.layers.items()}
            picture = map_picture({name: layer[1] for name, layer in frame.layers.items()}, said)
            file = f"pictures/map_{list(wanted).index(frame.stamp_ns):02d}.png"
            pictures.save(recording.folder / file, pictures.with_note(picture, recording.note))
            share = f"mIoU of the frame {wanted[frame.stamp_ns]:.2f}"
            shown[frame.stamp_ns] = (file, f"map at {frame.stamp_ns / 1e9:.3f} s, {share} (among the worst frames)")
    return [shown[stamp] for stamp in wanted if stamp in shown]
