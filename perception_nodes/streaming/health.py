"""Counters and conditions of a running node, reported as diagnostic statuses. No ROS: `nodes/` sends them.

Three kinds of facts: *counters* only rise; *events* raise a level for `hold_s` seconds and count; *conditions* hold
until they are cleared (untrained weights, no clock). Every status carries the counters, so that a monitor sees the
first lost frame, not only the worst minute.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from perception_nodes.streaming.remarks import Remarks


class Level(IntEnum):
    """diagnostic_msgs/DiagnosticStatus levels."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Status:
    """One aspect of a node's health: a name, the worst level at present, its sentence, and numbers as text."""

    name: str
    level: Level
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass
class _Aspect:
    values: dict[str, int | float | str] = field(default_factory=dict)
    events: dict[str, tuple[float, Level, str]] = field(default_factory=dict)
    conditions: dict[str, tuple[Level, str]] = field(default_factory=dict)
    said: Remarks = field(default_factory=Remarks)


class Health:
    """Thread-safe record of what went right and wrong.

    Args:
        aspects: names reported even before anything happened, in this order.
        hold_s: seconds for which an event keeps its aspect at the event's level.
        now: monotonic seconds.
    """

    def __init__(
        self, aspects: tuple[str, ...] = (), hold_s: float = 5.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._aspects: dict[str, _Aspect] = {name: _Aspect() for name in aspects}
        self._hold_s = hold_s
        self._now = now
        self._lock = threading.Lock()

    def _aspect(self, name: str) -> _Aspect:
        return self._aspects.setdefault(name, _Aspect())

    def count(self, aspect: str, counter: str, by: int = 1) -> int:
        """Adds to a counter and returns its new value."""
        with self._lock:
            values = self._aspect(aspect).values
            total = int(values.get(counter, 0)) + by
            values[counter] = total
            return total

    def value(self, aspect: str, key: str, value: int | float | str) -> None:
        """Sets a number or text shown with the aspect."""
        with self._lock:
            self._aspect(aspect).values[key] = value

    def event(self, aspect: str, counter: str, level: Level, message: str, by: int = 1) -> int:
        """Counts something that went wrong and raises the aspect's level for `hold_s` seconds."""
        total = self.count(aspect, counter, by)
        with self._lock:
            held = self._aspect(aspect)
            held.events[counter] = (self._now() + self._hold_s, level, message)
            if level != Level.OK:
                held.said.note(message, by)
        return total

    def condition(self, aspect: str, key: str, level: Level, message: str) -> None:
        """States something that holds until `clear` or another statement under the same key."""
        with self._lock:
            self._aspect(aspect).conditions[key] = (level, message)

    def clear(self, aspect: str, key: str) -> None:
        """Takes a condition back; a key never stated is not an error."""
        with self._lock:
            self._aspect(aspect).conditions.pop(key, None)

    def counter(self, aspect: str, counter: str) -> int:
        """A counter's present value (0 if it never counted)."""
        with self._lock:
            return int(self._aspect(aspect).values.get(counter, 0))

    def history(self) -> tuple[str, ...]:
        """Every event at WARN or above since the start, and the conditions that hold now: "aspect: sentence"."""
        with self._lock:
            return tuple(
                f"{name}: {text}"
                for name, aspect in self._aspects.items()
                for text in (*(text for _, text in aspect.conditions.values()), *aspect.said.sentences())
            )

    def report(self) -> list[Status]:
        """The statuses now: per aspect the worst level, every sentence that is at that level, and all values."""
        now = self._now()
        with self._lock:
            return [self._status(name, aspect, now) for name, aspect in self._aspects.items()]

    @staticmethod
    def _status(name: str, aspect: _Aspect, now: float) -> Status:
        aspect.events = {k: e for k, e in aspect.events.items() if e[0] > now}
        said = [(level, text) for level, text in aspect.conditions.values()]
        said += [(level, text) for _, level, text in aspect.events.values()]
        worst = max((level for level, _ in said), default=Level.OK)
        message = "; ".join(text for level, text in said if level == worst) if worst else "ok"
        values = tuple((key, _text(value)) for key, value in aspect.values.items())
        return Status(name, worst, message, values)


def _text(value: int | float | str) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


class RepeatedErrors:
    """Tells the first occurrence of an error from its repetitions, by exception type and place.

    A sensor that fails at 10 Hz must not fill the disk with one sentence: the first is logged, the rest are counted.
    """

    def __init__(self, remembered: int = 200) -> None:
        self._seen: dict[tuple[str, str, int], int] = {}
        self._remembered = remembered

    def note(self, error: BaseException) -> int:
        """Counts an exception; returns how often this one has been seen, 1 meaning that it is new."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename if place else ""
        key = (type(error).__name__, file, place.tb_lineno if place else 0)
        if key not in self._seen and len(self._seen) >= self._remembered:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._seen[key]

    def summary(self) -> list[str]:
        """One line per error seen more than once."""
        return [
            f"{name} at {file.rsplit('/', 1)[-1]}:{line}: {n} times"
            for (name, file, line), n in self._seen.items()
            if n > 1
        ]
