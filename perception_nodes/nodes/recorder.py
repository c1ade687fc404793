"""RecorderNode: results, timing and diagnostics into a bag, as the bytes that came over DDS."""

import queue
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from perception_nodes.bags.writer import BagWriter
from perception_nodes.config import NodeConfig, Qos
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import profile
from perception_nodes.nodes.serialized import decode, decode_foreign
from perception_nodes.streaming.health import Level

Listener = Callable[[str, str, Any, int], None]
QUEUE = 200  # messages between DDS and the file; more than this and the disk is too slow: counted, never grown


@dataclass(frozen=True)
class Recorded:
    """One topic to record; `key` reads what a serialised message is about (its stamp; camera and stamp), which is noted
    with the time of arrival; `keep` False: only for the listener; `local`: not subscribed, its sender in this process
    calls `take`."""

    topic: str
    type: str
    key: Callable[[bytes], Hashable] | None = None
    latched: bool = False
    depth: int = 50
    keep: bool = True
    local: bool = False


@dataclass
class Tally:
    """What came: per topic with a key, key -> arrival (monotonic s); and message counts per topic."""

    arrivals: dict[str, dict[Hashable, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class RecorderNode(PerceptionNode[NodeConfig]):
    """Subscribes to raw bytes and writes them on a thread of its own, through a bounded queue.

    Args:
        topics: what to record.
        listener: called with topic, type name, decoded message (rclpy; rosbags where the type is not installed) and
            stamp (ns), on the writing thread.
        writer: an open bag, which the caller closes after the node has stopped; None: count and time only.
    """

    def __init__(
        self,
        topics: list[Recorded],
        writer: BagWriter | None,
        name: str = "recorder",
        listener: Listener | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, NodeConfig, aspects=("recording",), **kwargs)
        self._topics = topics
        self._writer = writer
        self._listener = listener
        self._rows = {row.topic: row for row in topics}
        self._queue: queue.Queue[tuple[str, str, bytes, int] | None] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        self._subscriptions_made: list[Any] = []
        self.tally = Tally()
        self.error: Exception | None = None

    @property
    def topics(self) -> frozenset[str]:
        """Names of everything recorded."""
        return frozenset(self._rows)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._write, name="recorder")
        self._thread.start()
        for row in self._topics:
            if row.local:
                continue
            kind = find_message_type(row.type)
            if kind is None:
                self.get_logger().warning(f"not recording {row.topic}: message type {row.type} is not installed here")
                continue
            qos = Qos(durability="transient_local" if row.latched else "volatile", depth=row.depth)
            how = {"callback_group": self.intake, "raw": True}
            subscription = self.create_subscription(kind, row.topic, self._receiver(row), profile(qos), **how)
            self._subscriptions_made.append(subscription)

    def stop(self) -> None:
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made.clear()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _receiver(self, row: Recorded) -> Any:
        arrivals = self.tally.arrivals.setdefault(row.topic, {})

        def receive(raw: bytes) -> None:
            now = time.monotonic()
            if row.key is not None and (key := row.key(raw)) is not None:
                arrivals[key] = now
            self.take(row.topic, raw)

        return receive

    def take(self, topic: str, raw: bytes) -> None:
        """Queue serialised bytes of one of the recorded topics; for `local` ones their sender calls this."""
        self.tally.counts[topic] = self.tally.counts.get(topic, 0) + 1
        if self._writer is None and self._listener is None:
            return
        try:
            self._queue.put_nowait((topic, self._rows[topic].type, raw, self.get_clock().now().nanoseconds))
        except queue.Full:
            text = "the disk is slower than the topics: messages are not recorded"
            self.health.event("recording", "lost", Level.ERROR, text)

    def idle(self) -> bool:
        """True while nothing waits to be written."""
        return self._queue.empty()

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            topic, kind, raw, stamp = item
            try:
                if self.error is None and self._writer is not None and self._rows[topic].keep:
                    self._writer.write(topic, raw, stamp, kind)
                    self.health.count("recording", "written")
            except Exception as error:  # a full disk: said once; whoever runs the recorder looks at `error`
                self.error = error
                self.report("recording", "failed", Level.ERROR, error, str(error))
            if self._listener is not None:
                self._tell(self._listener, topic, kind, raw, stamp)

    def _tell(self, listener: Listener, topic: str, kind: str, raw: bytes, stamp: int) -> None:
        """A listener that fails, such as a viewer that was closed, costs its message and no recorded one."""
        try:
            found = find_message_type(kind)
            listener(topic, kind, decode(raw, found) if found is not None else decode_foreign(raw, kind), stamp)
        except Exception as error:
            self.report("recording", "not_shown", Level.WARN, error, f"{topic} could not be shown: {error}")
