"""What every input takes and gives: streams, samples, notes. No ROS, no threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from perception_nodes.streaming.health import Level

POINT_CLOUD = ("sensor_msgs/msg/PointCloud2",)
IMAGE = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")


@dataclass(frozen=True)
class Stream:
    """One subscribed topic of a system.

    Attributes:
        name: "points", or the camera's name.
        kinds: ROS types that the topic may have, the preferred one first.
    """

    name: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """Serialised messages of one moment.

    Attributes:
        stamp_ns: stamp of the key message; the answer carries it.
        generation: grows at a gap or a jump of the key's stamps: state carried from earlier samples must be reset.
        messages: stream name -> CDR bytes, in the order of the streams.
        stamps: stream name -> its message's own stamp, ns.
        generations: stream name -> a number that grows at a gap or a jump of that stream's own stamps.
        masked: stream name -> reason, for every stream that is not in `messages`.
    """

    stamp_ns: int
    generation: int
    messages: Mapping[str, bytes]
    stamps: Mapping[str, int]
    generations: Mapping[str, int]
    masked: Mapping[str, str] = field(default_factory=dict)

    def without(self, reasons: Mapping[str, str]) -> Sample:
        """The sample with further streams masked (a view that cannot be decoded, for instance)."""

        def kept(values: Mapping) -> dict:
            return {name: value for name, value in values.items() if name not in reasons}

        rest = (kept(self.messages), kept(self.stamps), kept(self.generations))
        return Sample(self.stamp_ns, self.generation, *rest, {**self.masked, **reasons})


@dataclass(frozen=True)
class Note:
    """Something to count and to report.

    Attributes:
        counter: its key in the node's "input" status on /diagnostics.
        level: of the status; OK: count only.
        sentence: for /diagnostics; "" where the level is OK.
        stream: the stream that it is about.
        by: how often it happened.
        log: also write the sentence to the log, at level info.
    """

    counter: str
    level: Level
    sentence: str
    stream: str
    by: int = 1
    log: bool = False


@dataclass(frozen=True)
class Pushed:
    """What one call gave: `samples` that are complete now, oldest first, and `notes`."""

    samples: tuple[Sample, ...] = ()
    notes: tuple[Note, ...] = ()

    def and_then(self, later: Pushed) -> Pushed:
        """Both, in this order."""
        return replace(self, samples=self.samples + later.samples, notes=self.notes + later.notes)


class Input(Protocol):
    """Serialised messages in, samples out; the same object live and offline. Not thread-safe: one thread calls it."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The topics to subscribe, the key first."""

    def push(self, stream: str, raw: bytes, now_ns: int | None = None) -> Pushed:
        """Takes one serialised message of a stream.

        Args:
            now_ns: the clock that stamps are held against, where one runs (the system's clock of a live node). None
                offline, and with use_sim_time: /clock may be seen before or after the message.

        Raises:
            MessageError: the bytes have no readable header. Nothing has changed; count it and go on.
        """

    def poll(self, now_ns: int) -> Pushed:
        """Ends waits that are over; called by a live node's timer. See each input for what this may change.

        Args:
            now_ns: any clock that only runs forward (time.monotonic_ns); only differences count.
        """

    def flush(self) -> Pushed:
        """Ends every wait: the end of a bag."""

    def expect_jump(self) -> None:
        """Says that the node's clock jumped back: an older stamp among the next few is a jump, however short."""

    def lacking(self) -> dict[str, str]:
        """Stream -> why it is not in the recent samples, in plain words; nothing of the streams that are."""
