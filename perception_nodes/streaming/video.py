"""Pictures through a video session: the step that the node and the offline run share. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.tsm.detector_boxes import suppress
from perception_nodes.classes import EVENTS, ClassInfo
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.detections2d import Detections2D
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import CameraEvent
from perception_nodes.messages.image import CameraImage
from perception_nodes.streaming.collector import ViewSet
from perception_nodes.streaming.segmentation import is_trained

GREY = (200, 200, 200)
MIN_SCORE = 0.3  # of a box that is told
MAX_OVERLAP = 0.7  # IoU above which two boxes are one object


class VideoSession(Protocol):
    """What a video model must offer (models/tsm/session.py): one cache a camera."""

    def step(self, frames: dict[str, NDArray[np.uint8]], stamps_ns: dict[str, int] | None = None) -> Mapping[str, Any]:
        """RGB uint8 [H, W, 3] by camera -> `scores` float32 [K] (softmax), `label` int, `warm` bool by camera."""

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""


class VideoDetector(Protocol):
    """What a detector in pictures must offer."""

    def step(self, frames: dict[str, NDArray[np.uint8]], stamps_ns: dict[str, int] | None = None) -> Mapping[str, Any]:
        """RGB uint8 [H, W, 3] by camera -> `box` float32 [B, 4] (left, top, right, bottom, px of the picture),
        `score` float32 [B], `category`: B class names, by camera."""

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""


def open_video(name: str, runtime: str = "auto", threads: int = 2, cameras: int = 1) -> VideoSession:
    """The session of a trained network, by name or folder; its errors are one sentence with what to do."""
    from models.tsm.session import TsmSession

    session: VideoSession = TsmSession.from_weights(name, runtime=runtime, threads=threads, cameras=cameras)
    return session


def open_detector(name: str, runtime: str = "auto", threads: int = 2, cameras: int = 1) -> VideoDetector:
    """The same for a detector in pictures."""
    from models.tsm.detector_session import VideoDetector as Trained

    detector: VideoDetector = Trained.from_weights(name, runtime=runtime, threads=threads, cameras=cameras)
    return detector


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


def event_colour(name: str, rgb: Any = None) -> tuple[int, int, int]:
    """The colour of an event in pictures: grey for "none", else a fixed one by its place among EVENTS or its `rgb`."""
    if name in EVENTS:
        return COLOURS[EVENTS.index(name)]
    return (int(rgb[0]), int(rgb[1]), int(rgb[2])) if rgb is not None else GREY


# By the place in classes.EVENTS; mirrored pairs have related colours.
COLOURS: tuple[tuple[int, int, int], ...] = (
    (110, 114, 124),
    (230, 60, 60),
    (90, 170, 255),
    (40, 100, 220),
    (255, 150, 40),
    (190, 120, 255),
    (130, 60, 210),
    (90, 220, 200),
    (255, 215, 70),
    (205, 160, 20),
    (120, 210, 90),
    (255, 120, 190),
)


def class_table_text(session: Any) -> str:
    """The class table that travels with the events, as JSON; `untrained` marks events that mean nothing."""
    rows = [{"id": i, "name": c.name, "rgb": list(c.rgb)} for i, c in enumerate(event_classes(session))]
    return str(json_values({"classes": rows, "untrained": not is_trained(session)})["data"])


def decode_views(
    views: ViewSet[Any], decode: Callable[[str, Any], CameraImage]
) -> tuple[dict[str, CameraImage], dict[str, MessageError]]:
    """The pictures of a set by camera, and the errors of those that cannot be decoded: each costs its view alone."""
    images: dict[str, CameraImage] = {}
    failed: dict[str, MessageError] = {}
    for camera, view in views.views.items():
        try:
            images[camera] = decode(camera, view.item)
        except MessageError as error:
            failed[camera] = error
    return images, failed


class VideoStep:
    """Sets of pictures through a session (and a detector), with the resets that their stamps ask for.

    Raises what the session raises; the cameras' pasts are then forgotten, since one step of them is missing.
    """

    def __init__(
        self,
        session: VideoSession,
        detector: VideoDetector | None = None,
        min_score: float = 0.0,
        max_overlap: float = 1.0,
    ) -> None:
        self.session, self.detector = session, detector
        self.classes = event_classes(session)
        self._min_score, self._max_overlap = min_score, max_overlap
        self._generations: dict[str, int] = {}

    def forget(self) -> None:
        """Every camera starts anew."""
        self.session.reset()
        if self.detector is not None:
            self.detector.reset()

    def step(
        self, views: ViewSet[Any], images: dict[str, CameraImage]
    ) -> tuple[dict[str, CameraEvent], dict[str, Detections2D]]:
        """Events and boxes of the pictures that could be decoded, by camera."""
        for camera, view in views.views.items():
            if self._generations.setdefault(camera, view.generation) != view.generation:
                self._generations[camera] = view.generation
                self._reset(camera)
        if not images:
            return {}, {}
        frames = {camera: image.rgb for camera, image in images.items()}
        stamps = {camera: image.stamp_ns for camera, image in images.items()}
        try:
            found = self.session.step(frames, stamps)
            boxes = self.detector.step(frames, stamps) if self.detector is not None else {}
        except BaseException:
            self.forget()
            raise
        events = {camera: self._event(camera, stamps[camera], result) for camera, result in found.items()}
        return events, {camera: self._boxes(images[camera], result) for camera, result in boxes.items()}

    def _reset(self, camera: str) -> None:
        self.session.reset(camera)
        if self.detector is not None:
            self.detector.reset(camera)

    def _event(self, camera: str, stamp_ns: int, result: Any) -> CameraEvent:
        scores = {info.name: float(score) for info, score in zip(self.classes, result.scores, strict=True)}
        name = self.classes[int(result.label)].name
        return CameraEvent(stamp_ns, camera, name, scores[name], scores, bool(result.warm))

    def _boxes(self, image: CameraImage, result: Any) -> Detections2D:
        keep = np.flatnonzero(np.asarray(result.score) >= self._min_score)
        one = np.zeros(len(keep), np.int64)  # an object has one class: the detector's doubles within a class are gone
        keep = keep[suppress(result.box[keep], result.score[keep], one, self._max_overlap)]
        category = [str(result.category[i]) for i in keep]
        return Detections2D.build(
            image.frame_id, image.stamp_ns, image.size, result.box[keep], category, result.score[keep]
        )
