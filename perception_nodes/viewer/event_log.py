"""Events and boxes of cameras in rerun: a line a class over time, the event's name and the boxes upon the picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception_nodes.classes import BOX_CLASSES, EVENTS, event_colour
from perception_nodes.messages.clock import read_events
from perception_nodes.messages.detections2d import read_detections2d
from perception_nodes.messages.events import read_event

EVENTS_ENTITY = "events"
BOX_COLOURS = {c.name: c.rgb for c in BOX_CLASSES}
GREY = (200, 200, 200)


class EventLog:
    """Takes decoded messages at the time that the stream stands at. `rr`: the rerun module."""

    def __init__(self, rr: Any, stream: Any) -> None:
        self._rr, self._stream = rr, stream
        self._described: set[str] = set()

    def message(self, topic: str, message: Any) -> None:
        """An event with its scores, the names under /ground_truth, or a Detection2DArray."""
        if hasattr(message, "detections"):
            self.boxes(message)
            return
        if topic.startswith("/ground_truth"):
            names = read_events(message)
            for name in EVENTS:
                self._line(f"{EVENTS_ENTITY}/truth/{name}", f"truth: {name}", event_colour(name), float(name in names))
            return
        event = read_event(message)
        for name, score in event.scores.items():
            self._line(f"{EVENTS_ENTITY}/{event.camera}/{name}", name, event_colour(name), score)
        said = (f"{event.event} {event.score:.2f}" if event.warm else "warming up") + (" (held)" if event.held else "")
        mark = self._rr.Points2D(
            [[12.0, 12.0]], labels=[said], colors=[event_colour(event.event)], radii=4.0, show_labels=True
        )
        self._stream.log(f"cameras/{event.camera}/event", mark)

    def boxes(self, message: Any) -> None:
        """Detection2DArray; its frame is camera_<name>."""
        found = read_detections2d(message)
        labels = [f"{name} {score:.2f}" for name, score in zip(found.category, found.score)]
        colours = [BOX_COLOURS.get(name, GREY) for name in found.category]
        boxes = self._rr.Boxes2D(
            array=np.asarray(found.box), array_format=self._rr.Box2DFormat.XYXY, labels=labels, colors=colours
        )
        self._stream.log(f"cameras/{found.frame_id.removeprefix('camera_')}/boxes", boxes)

    def _line(self, entity: str, name: str, colour: tuple[int, int, int], value: float) -> None:
        if entity not in self._described:
            self._described.add(entity)
            self._stream.log(entity, self._rr.SeriesLines(names=name, colors=[colour], widths=2.0), static=True)
        self._stream.log(entity, self._rr.Scalars(value))
