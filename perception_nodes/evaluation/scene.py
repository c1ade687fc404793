"""Pictures of whole moments of a recording: the cameras, and labels, boxes and map from above, beside the truth.

What a bag does not hold is left out of its pictures: a recording with boxes alone shows boxes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import apply
from perception_nodes.classes import IGNORE, MAP_CLASSES, POINT_CLASSES
from perception_nodes.evaluation import recorded, recorded_boxes
from perception_nodes.evaluation.camera_overlay import CameraOverlay, OverlayError
from perception_nodes.evaluation.detection3d_report import OUTPUT as DETECTIONS
from perception_nodes.evaluation.recorded_map import TrueMap
from perception_nodes.evaluation.scorer import Recording
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.grid import Cells, read_cells
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.messages.point_cloud import PointCloud, decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import around, camera_topics
from perception_nodes.viewer.scene_picture import Above

BASE = "base_link"
MAP = "/perception/map"
SURE = 0.3  # boxes below this score are not drawn
SEARCH_S = 10.0  # before and after the time at which an answer should be recorded: a node may be slow
TRIED = 3  # sweeps from which the one with the best pictures is taken


class Scene(NamedTuple):
    """What a recording and its truth hold of one moment, in base_link. cameras: (name, picture, ms from the sweep)."""

    stamp_ns: int
    found: Above
    truth: Above | None
    cameras: list[tuple[str, NDArray[np.uint8], float]]


def scene_pictures(
    recording: Recording, count: int, untrained: Sequence[str] = (), hidden: frozenset[str] = frozenset()
) -> list[tuple[str, str]]:
    """[(file, caption)] of `count` moments spread over a recording with boxes; none where it has none.

    Args:
        untrained: sentences on networks with random weights, written on each picture.
        hidden: topics that are not drawn, since random weights fill the picture with noise.
    """
    from perception_nodes.viewer import pictures
    from perception_nodes.viewer.scene_picture import scene_picture

    if recording.truth is None or DETECTIONS not in recording.out.topics():
        return []
    shown = []
    scenes = Scenes(recording.out, recording.truth, hidden)
    for i, stamp in enumerate(scenes.chosen(count)):
        scene = scenes.at(stamp)
        seconds = (stamp - scenes.stamps[0]) * 1e-9
        title = f"{seconds:.1f} s after the first sweep"
        words = f"{title}; on the cameras (ms from the sweep) the classes of the LiDAR's points as dots, boxes as lines"
        cameras = [(f"{name}, {apart:+.0f} ms", picture) for name, picture, apart in scene.cameras]
        picture = scene_picture(cameras, scene.found, scene.truth, words, untrained)
        file = f"pictures/scene_{i:02d}.jpg"
        pictures.save(recording.folder / file, picture)
        shown.append((file, f"everything at one moment, {title}: cameras, labelled points, boxes and map"))
    return shown


class Scenes:
    """The moments of a recording (`out`) and of the bag that was replayed (`truth`); stamps of its boxes, ns."""

    def __init__(self, out: BagReader, truth: BagReader, hidden: frozenset[str]) -> None:
        self._out, self._truth, self._hidden = out, truth, hidden
        self._found_boxes = recorded_boxes.boxes_by_stamp(out, DETECTIONS)
        self._true_boxes = recorded_boxes.boxes_by_stamp(truth, recorded_boxes.TRUTH)
        self.stamps = list(self._found_boxes)
        self._calibration = bag_calibration(truth, {})
        self._overlays = [CameraOverlay(truth, name) for name in around(camera_topics(truth))[:6]]
        self._true_map = TrueMap(truth)

    def chosen(self, count: int) -> list[int]:
        """Stamps spread over the recording; of neighbours the one that has the nearest pictures."""
        last = len(self.stamps) - 1
        if last < 0:
            return []
        marks = {round((i + 0.5) / count * last) for i in range(count)}
        return [min(self.stamps[mark : mark + TRIED], key=self._apart) for mark in sorted(marks)]

    def _apart(self, stamp: int) -> float:
        """Sum of the pictures' distances from a stamp, ns; a camera without a picture counts a second."""
        total = 0.0
        for overlay in self._overlays[:1]:
            try:
                total += abs(overlay.view(stamp, BASE).apart_ns)
            except OverlayError:
                total += 1e9
        return total

    def at(self, stamp: int) -> Scene:
        """Everything of one moment."""
        labelled = None if recorded.OUTPUT in self._hidden else _message(self._out, recorded.OUTPUT, stamp)
        xyz, label = self._labelled(labelled or _message(self._truth, recorded.POINTS, stamp))
        boxes = None
        if DETECTIONS not in self._hidden:
            boxes = self._in_base(self._found_boxes[stamp])
            boxes = None if boxes is None else boxes.select(boxes.score >= SURE)
        said = self._layers(stamp)
        shown = {name: cells for name, cells in said.items() if f"{MAP}/{name}" not in self._hidden}
        found = Above(shown, xyz, label, boxes)
        return Scene(stamp, found, self._true(stamp, said), self._pictures(stamp, found))

    def _true(self, stamp: int, said: dict[str, Cells]) -> Above | None:
        truth = self._true_boxes.get(stamp)
        boxes = None if truth is None else self._in_base(truth)
        xyz, label = self._labelled(_message(self._truth, recorded.POINTS, stamp))
        labels = _message(self._truth, recorded.TRUTH, stamp)
        if labels is not None:
            true = np.asarray(read_layout(labels).column("label"), np.uint8)
            label = true if len(true) == len(xyz) else label
        layers = {}
        for name, cells in said.items():
            beside = self._true_map.beside(name, cells)
            if beside is not None:
                layers[name] = cells._replace(percent=(beside[0] & beside[1]).astype(np.int8) * np.int8(100))
        return Above(layers, xyz, label, boxes) if boxes is not None or layers or labels is not None else None

    def _labelled(self, message: Any) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Points in base_link with their classes; none where the message or the transform is missing."""
        nothing = np.zeros((0, 3), np.float32), np.zeros(0, np.uint8)
        if message is None:
            return nothing
        cloud: PointCloud = decode_point_cloud2(message)
        try:
            base_from_cloud = self._calibration.lookup(BASE, cloud.frame_id)
        except CalibrationError:
            return nothing
        xyz = apply(base_from_cloud, cloud.xyz).astype(np.float32)
        if "label" not in cloud.source.fields:
            return xyz, np.full(len(xyz), IGNORE, np.uint8)
        return xyz, np.asarray(cloud.source.column("label"), np.uint8)

    def _in_base(self, boxes: Detections3D) -> Detections3D | None:
        try:
            if boxes.frame_id == BASE:
                return boxes
            return boxes.moved(BASE, self._calibration.lookup(BASE, boxes.frame_id))
        except CalibrationError:
            return None

    def _layers(self, stamp: int) -> dict[str, Cells]:
        found = {}
        for info in MAP_CLASSES:
            message = _message(self._out, f"{MAP}/{info.name}", stamp)
            if message is not None:
                cells = read_cells(message)
                if cells.frame_id == BASE:
                    found[info.name] = cells
        return found

    def _pictures(self, stamp: int, found: Above) -> list[tuple[str, NDArray[np.uint8], float]]:
        """Each camera's picture with the labelled points and the boxes on it."""
        from perception_nodes.viewer.box_outlines import draw_box_edges
        from perception_nodes.viewer.box_pictures import class_colours
        from perception_nodes.viewer.camera_overlay import draw_points
        from perception_nodes.viewer.pictures import palette

        shown = []
        for overlay in self._overlays:
            try:
                view = overlay.view(stamp, BASE)
            except OverlayError:
                continue
            classed = found.label != IGNORE
            place = apply(view.camera_from_frame, found.xyz[classed].astype(np.float64))
            colours = palette(POINT_CLASSES)[found.label[classed]]
            picture = draw_points(view.rgb, *view.camera.project(place), colours)
            if found.boxes is not None:
                colours = class_colours(found.boxes)
                picture = draw_box_edges(picture, found.boxes, view.camera_from_frame, view.camera, colours)
            shown.append((overlay.camera, picture, view.apart_ns * 1e-6))
        return shown


def _message(bag: BagReader, topic: str, stamp: int) -> Any:
    """The message of a topic with this stamp in its header; None where there is none, or it cannot be read.

    It is looked for around the time at which it should be recorded, by the first message of its topic.
    """
    if topic not in bag.topics():
        return None
    first = next(_stamped(bag, topic, 0.0, None), None)
    if first is None:
        return None
    begin = (stamp + first[1].stamp_ns - first[0] - bag.start_ns) * 1e-9 - SEARCH_S
    for own, message in _stamped(bag, topic, max(begin, 0.0), 2 * SEARCH_S):
        if own == stamp:
            try:
                return bag.decode(message.raw, message.type)
            except BagError:
                return None
    return None


def _stamped(bag: BagReader, topic: str, start: float, duration: float | None) -> Iterator[tuple[int, BagMessage]]:
    """(header stamp ns, message) of the messages of a topic whose header can be read."""
    for message in bag.messages([topic], start, duration):
        try:
            yield header_stamp_ns(message.raw), message
        except MessageError:
            continue
