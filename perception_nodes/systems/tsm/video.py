"""Pictures of one moment through a video network and a detector: events and boxes of every camera. No ROS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.tsm.detector_boxes import suppress
from perception_nodes.classes import EVENTS, ClassInfo, event_colour
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.detections2d import Detections2D
from perception_nodes.messages.events import CameraEvent
from perception_nodes.messages.states import HELD, WARMING_UP
from perception_nodes.systems.system import Moment, is_trained


class VideoSession(Protocol):
    """What a video model must offer (models/tsm/session.py): one cache a camera."""

    def step(self, frames: dict[str, NDArray[np.uint8]], stamps_ns: dict[str, int] | None = None) -> Mapping[str, Any]:
        """RGB uint8 [H, W, 3] by camera -> `scores` float32 [K] (softmax), `label` int, `warm` bool and, where
        frames may be held, `held` bool, by camera."""

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""


class Detector(Protocol):
    """What a detector in pictures must offer."""

    def step(self, frames: dict[str, NDArray[np.uint8]], stamps_ns: dict[str, int] | None = None) -> Mapping[str, Any]:
        """RGB uint8 [H, W, 3] by camera -> `box` float32 [B, 4] (left, top, right, bottom, px of the picture),
        `score` float32 [B], `category`: B class names, by camera."""

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""


def event_classes(session: Any) -> tuple[ClassInfo, ...]:
    """The classes that a session's scores count, by its model's facts; the project's events where it has none."""
    rows = getattr(getattr(session, "facts", None), "classes", None)
    if not rows:
        return tuple(ClassInfo(name, event_colour(name)) for name in EVENTS)
    return tuple(ClassInfo(str(row["name"]), event_colour(str(row["name"]), row.get("rgb"))) for row in rows)


def box_colours(detector: Any) -> dict[str, tuple[int, int, int]]:
    """Class name -> colour of a detector's boxes, by its model's facts."""
    rows = getattr(getattr(detector, "facts", None), "classes", ())
    return {str(row["name"]): (int(row["rgb"][0]), int(row["rgb"][1]), int(row["rgb"][2])) for row in rows}


def class_table_text(session: Any) -> str:
    """The class table that travels with the events, as JSON; `untrained` marks events that mean nothing."""
    rows = [{"id": i, "name": c.name, "rgb": list(c.rgb)} for i, c in enumerate(event_classes(session))]
    states = {
        WARMING_UP: "the network has seen too few pictures: no answer",
        HELD: "the picture came sooner than the network's period: the answer is that of the picture before",
    }
    return str(json_values({"classes": rows, "states": states, "untrained": not is_trained(session)})["data"])


class Seen(NamedTuple):
    """What was found in one camera's picture; boxes None: no detector, or none of this picture."""

    event: CameraEvent
    boxes: Detections2D | None


class VideoNetworks:
    """The session of the system: a video network and, where one is asked for, a detector.

    Args:
        min_score: boxes below it are left out. max_overlap: of two boxes that overlap more (IoU), of whatever classes,
            the better one stays.
    """

    def __init__(
        self,
        session: VideoSession,
        detector: Detector | None = None,
        min_score: float = 0.0,
        max_overlap: float = 1.0,
    ) -> None:
        self.session, self.detector = session, detector
        self.classes = event_classes(session)
        self.colours = {info.name: info.rgb for info in self.classes}
        self.box_colours = box_colours(detector)
        self._min_score, self._max_overlap = min_score, max_overlap

    @property
    def note(self) -> str:
        """Words for every picture: that weights are untrained, or nothing."""
        parts = [part for part in (self.session, self.detector) if part is not None]
        return "" if all(is_trained(part) for part in parts) else "UNTRAINED WEIGHTS"

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""
        self.session.reset(camera)
        if self.detector is not None:
            self.detector.reset(camera)

    def step(self, moment: Moment) -> dict[str, Seen]:
        """Events and boxes of the pictures (`CameraImage` by camera)."""
        images = moment.values
        frames = {camera: image.rgb for camera, image in images.items()}
        stamps = {camera: image.stamp_ns for camera, image in images.items()}
        found = self.session.step(frames, stamps)
        boxes = self.detector.step(frames, stamps) if self.detector is not None else {}
        return {
            camera: Seen(
                self._event(camera, stamps[camera], result),
                self._boxes(images[camera], boxes[camera]) if camera in boxes else None,
            )
            for camera, result in found.items()
        }

    def _event(self, camera: str, stamp_ns: int, result: Any) -> CameraEvent:
        held = bool(getattr(result, "held", False))
        if not result.warm:
            return CameraEvent.warming_up(stamp_ns, camera, held)
        scores = {info.name: float(score) for info, score in zip(self.classes, result.scores, strict=True)}
        name = self.classes[int(result.label)].name
        return CameraEvent(stamp_ns, camera, name, scores[name], scores, True, held)

    def _boxes(self, image: Any, result: Any) -> Detections2D | None:
        """None while the detector is warming up, and where the boxes are those of the picture before."""
        if getattr(result, "held", False) or not getattr(result, "warm", True):
            return None
        keep = np.flatnonzero(np.asarray(result.score) >= self._min_score)
        one = np.zeros(len(keep), np.int64)  # an object has one class: doubles of different classes are dropped, too
        keep = keep[suppress(result.box[keep], result.score[keep], one, self._max_overlap)]
        category = [str(result.category[i]) for i in keep]
        return Detections2D.build(
            image.frame_id, image.stamp_ns, image.size, result.box[keep], category, result.score[keep]
        )
