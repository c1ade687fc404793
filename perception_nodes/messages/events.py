"""What a camera's events are at one moment: `CameraEvent` <-> JSON in a std_msgs/String.

    {"stamp": ns, "camera": name, "event": name, "score": 0..1, "scores": {name: 0..1}, "warm": bool, "held": bool}

std_msgs/String has no header; the stamp (ns, the picture's own) and the camera stand in the JSON. While the network is
warming up (`warm` false), `event` is "warming_up", `score` 0 and `scores` empty: there is no answer yet. `held` true:
the picture came sooner than the network's period and the answer is that of the picture before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perception_nodes.messages.cdr import CdrReader
from perception_nodes.messages.clock import json_values, read_json
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int
from perception_nodes.messages.states import HELD, WARMING_UP

DIGITS = 6  # of a score in JSON


@dataclass(frozen=True)
class CameraEvent:
    """The likeliest event in a camera's stream at one picture.

    stamp_ns: of the picture · camera: its name · event: class name · score 0..1 of that class · scores: every class
    name -> 0..1 (they add up to 1), in the class table's order · warm: False while the network has seen too few
    pictures since it was last reset; event, score and scores are then those of `warming_up` · held: True where they
    are repeated from the picture before.
    """

    stamp_ns: int
    camera: str
    event: str
    score: float
    scores: Mapping[str, float]
    warm: bool
    held: bool = False

    @staticmethod
    def warming_up(stamp_ns: int, camera: str, held: bool = False) -> CameraEvent:
        """The picture has no answer: the network has seen too few pictures."""
        return CameraEvent(stamp_ns, camera, WARMING_UP, 0.0, {}, False, held)

    @property
    def state(self) -> str:
        """HELD or WARMING_UP; "" where the picture has an answer of its own."""
        return HELD if self.held else "" if self.warm else WARMING_UP


def event_values(event: CameraEvent) -> dict:
    """std_msgs/String of a camera's event, as plain values."""
    content = {
        "stamp": event.stamp_ns,
        "camera": event.camera,
        "event": event.event,
        "score": round(float(event.score), DIGITS),
        "scores": {name: round(float(score), DIGITS) for name, score in event.scores.items()},
        "warm": bool(event.warm),
        "held": bool(event.held),
    }
    return json_values(content)


def read_event(msg: Any) -> CameraEvent:
    """The event of a String; raises MessageError naming what is wrong with it.

    Scores in a message of the warm-up phase (recordings of earlier versions have them) are ignored.
    """
    content = read_json(msg)
    if not isinstance(content, dict):
        raise MessageError("a camera's event should be a JSON object")
    camera, name, scores = content.get("camera"), content.get("event"), content.get("scores")
    if not isinstance(camera, str) or not isinstance(name, str):
        raise MessageError(f"a camera's event has camera {camera!r} and event {name!r}; two texts were expected")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", camera) or set(camera) == {"."}:
        raise MessageError(f"a camera is named {camera[:80]!r}; letters, digits, _, - and . were expected")
    if not isinstance(content.get("warm"), bool):
        raise MessageError(f"a camera's event has warm {content.get('warm')!r}; true or false was expected")
    held = content.get("held", False)
    if not isinstance(held, bool):
        raise MessageError(f"a camera's event has held {held!r}; true or false was expected")
    stamp = as_int(content.get("stamp"), "stamp", -(2**63), 2**63 - 1)
    if not content["warm"]:
        return CameraEvent.warming_up(stamp, camera, held)
    if not isinstance(scores, dict) or name not in scores:
        raise MessageError(f"a camera's event should hold the scores of all classes, {name!r} among them")
    known = {str(name): _share(value, f"the score of {name!r}") for name, value in scores.items()}
    return CameraEvent(stamp, camera, name, _share(content.get("score"), "the score"), known, True, held)


def event_stamp(raw: bytes) -> tuple[str, int]:
    """(camera, stamp in ns) of a serialised event: the picture that it answers; raises MessageError."""
    event = read_serialized_event(raw)
    return event.camera, event.stamp_ns


def event_state(raw: bytes) -> str:
    """HELD, WARMING_UP or "" (an answer) of a serialised event; raises MessageError."""
    return read_serialized_event(raw).state


def read_serialized_event(raw: bytes) -> CameraEvent:
    """The event of a serialised String; raises MessageError."""
    return read_event(SerializedText(CdrReader(raw).string("data")))


@dataclass(frozen=True)
class SerializedText:
    """std_msgs/String"""

    data: str


def _share(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise MessageError(f"{what} is {value!r}; a number from 0 to 1 was expected")
    return float(value)
