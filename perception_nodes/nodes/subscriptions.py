"""The topics of a node's streams: subscribed as soon as their message type is known; missing ones are named."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription

from perception_nodes.config import Qos
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import profile, subscription_events
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import POINT_CLOUD, Stream

LOOK_S = 0.1  # between looks at the graph
ERROR_AFTER = 3.0  # times the patience: no longer a WARN


class Subscriptions:
    """Serialised messages of every stream, handed on from the intake's thread.

    A stream of several types is subscribed when its topic has a publisher: that one's type decides.

    Args:
        topics: stream -> topic in the node. receive: called with stream and bytes. chosen: told a stream's ROS type.
        lacking: stream -> why it is missing in the samples (`Input.lacking`). label: stream -> what to call it.
        patience_s: seconds without a message before a stream is a WARN. Three times that it is an ERROR: a LiDAR,
            or a camera where every stream is silent (else its view is missing, and the others go on).
        has_status: whether a stream also has a status of its own on /diagnostics, named as its label.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        topics: Mapping[Stream, str],
        qos: Qos,
        receive: Callable[[str, bytes], None],
        chosen: Callable[[str, str], None],
        lacking: Callable[[], dict[str, str]],
        label: Callable[[str], str],
        patience_s: float,
        has_status: Callable[[str], bool] = lambda stream: False,
    ) -> None:
        self._node, self._topics, self._qos = node, dict(topics), qos
        self._receive, self._chosen, self._lacking, self._label = receive, chosen, lacking, label
        self._patience_s, self._began = patience_s, time.monotonic()
        self._has_status = has_status
        self._simulated = bool(node.get_parameter("use_sim_time").value)
        self._last: dict[str, float] = {}  # stream -> when its last message came, by `_now`
        self._elsewhere: dict[str, tuple[float, str]] = {}
        self._made: dict[str, Subscription[Any]] = {}
        self._types: dict[str, str] = {}
        self._largest = 0  # bytes of a message
        self._look()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_S, self._look, clock=steady)

    def destroy(self) -> None:
        """Ends the subscriptions."""
        self._node.destroy_timer(self._timer)
        for subscription in self._made.values():
            self._node.destroy_subscription(subscription)
        self._made.clear()

    def _look(self) -> None:
        """Subscribes to topics that have come, and says which streams lack what."""
        for stream in self._topics:
            if stream.name not in self._types:
                self._find(stream)
        lacking, waited = self._lacking(), time.monotonic() - self._began > self._patience_s
        silent = {stream.name: self._silent_s(stream.name) for stream in self._topics}
        dead = {name for name, seconds in silent.items() if seconds > self._patience_s}
        for stream in self._topics:
            what, name, cloud = self._label(stream.name), stream.name, stream.kinds == POINT_CLOUD
            if name in dead:
                reason = lacking.get(name) or f"no {'cloud' if cloud else 'image'} for {silent[name]:.1f} s"
                long = silent[name] > ERROR_AFTER * self._patience_s and (cloud or len(dead) == len(silent))
                text = f"{what}: {self._why(stream, reason)}{self._hint(stream)}"
                self._state(name, Level.ERROR if long else Level.WARN, text)
            elif not cloud and name in lacking:
                if waited or name in self._types and "no image" not in lacking[name]:
                    text = f"{what}: {self._why(stream, lacking[name])}"
                    self._state(name, Level.WARN, text)
            else:
                self._state(name)

    def _state(self, name: str, level: Level = Level.OK, text: str = "") -> None:
        """States what a stream lacks, or (OK) that it lacks nothing, in every status of it."""
        for aspect in self._aspects(name):
            if level == Level.OK:
                self._node.health.clear(aspect, self._label(name))
            else:
                self._node.health.condition(aspect, self._label(name), level, text)

    def _aspects(self, stream: str) -> tuple[str, ...]:
        """Statuses in which a missing stream is reported."""
        return ("input", self._label(stream)) if self._has_status(stream) else ("input",)

    def _now(self) -> float:
        """Seconds by the clock that silence is measured with: a replay that stands still is not a silent sensor."""
        return self._node.get_clock().now().nanoseconds * 1e-9 if self._simulated else time.monotonic()

    def _silent_s(self, name: str) -> float:
        """Seconds since a stream's last message, or since the clock began to run."""
        now, last = self._now(), self._last.get(name, 0.0)
        if not last or now < last:
            self._last[name] = last = now
        return now - last

    def _hear(self, name: str, raw: bytes) -> None:
        self._last[name] = self._now()
        self._largest = max(self._largest, len(raw))
        self._receive(name, raw)

    def _hint(self, stream: Stream) -> str:
        """What to do about a silent stream, looked up once a second."""
        at, text = self._elsewhere.get(stream.name, (0.0, ""))
        if time.monotonic() - at < 1.0:
            return text
        if self._published(stream) & set(stream.kinds):
            topic = self._node.resolve_topic_name(self._topics[stream])
            cure = cure_of_losses(topic, stream, self._qos, self._largest)
            text = f"; it has a publisher: {cure}" if self._qos.reliability == "best_effort" else ""
        elif others := self._topics_of(stream.kinds):
            text = f"; {', '.join(others[:5])} carries that type: remap {self._topics[stream]}"
        else:
            text = f"; no topic carries {' or '.join(stream.kinds)}: is the sensor's driver running?"
        self._elsewhere[stream.name] = (time.monotonic(), text)
        return text

    def _topics_of(self, kinds: tuple[str, ...]) -> list[str]:
        """Topics with one of these types that another node publishes."""
        node = self._node
        own = (node.get_name(), node.get_namespace())
        found = [topic for topic, types in node.get_topic_names_and_types() if set(types) & set(kinds)]
        return sorted(
            topic
            for topic in found
            if any((i.node_name, i.node_namespace) != own for i in node.get_publishers_info_by_topic(topic))
        )

    def _find(self, stream: Stream) -> None:
        kinds = stream.kinds
        if len(kinds) > 1:
            published = self._published(stream)
            kinds = tuple(kind for kind in kinds if kind in published)
        if not kinds:
            return
        self._types[stream.name] = kinds[0]
        self._chosen(stream.name, kinds[0])
        try:
            self._made[stream.name] = self._subscribe(stream, find_message_type(kinds[0]))
        except Exception as error:  # the middleware refuses a second type under one name in one process
            del self._types[stream.name]
            self._node.report("input", "refused_topics", Level.ERROR, error)

    def _subscribe(self, stream: Stream, kind: Any) -> Subscription[Any]:
        topic, own = self._topics[stream], profile(self._qos)
        events = subscription_events(self._node, topic, own, self._node.on_qos_mismatch)
        events.message_lost = partial(self._on_message_lost, stream)
        how = {"event_callbacks": events, "callback_group": self._node.intake, "raw": True}
        return self._node.create_subscription(kind, topic, partial(self._hear, stream.name), own, **how)

    def _published(self, stream: Stream) -> set[str]:
        """Message types that are published on a stream's topic."""
        topic = self._node.resolve_topic_name(self._topics[stream])
        return {info.topic_type for info in self._node.get_publishers_info_by_topic(topic)}

    def _why(self, stream: Stream, reason: str) -> str:
        topic, kinds = self._node.resolve_topic_name(self._topics[stream]), self._published(stream)
        if not kinds:
            return f"{reason}: nobody publishes {topic}"
        chosen = self._types.get(stream.name)
        wanted = stream.kinds if chosen is None else (chosen,)
        if not kinds & set(wanted):
            return f"{reason}: {topic} carries {', '.join(sorted(kinds))}, expected {' or '.join(wanted)}"
        return f"{reason} on {topic}" if "no" in reason.split() else reason

    def _on_message_lost(self, stream: Stream, info: Any) -> None:
        topic = self._node.resolve_topic_name(self._topics[stream])
        text = f"messages were lost on their way here: {cure_of_losses(topic, stream, self._qos, self._largest)}"
        self._node.health.event("input", "lost_in_transport", Level.WARN, text, by=int(info.total_count_change))


def cure_of_losses(topic: str, stream: Stream, qos: Qos, largest: int) -> str:
    """What to change where messages of a topic, of at most `largest` bytes so far, are lost between processes."""
    if qos.reliability == "reliable":
        return f"{topic} comes faster than it is taken: lower its rate, or raise qos.input.depth (now {qos.depth})"
    size = f"{largest / 1e6:.1f} MB" if largest else "this size"
    smaller = "fewer points a message" if stream.kinds == POINT_CLOUD else "compressed pictures (CompressedImage)"
    return (
        f"best effort loses messages of {size} on {topic}: start this node with -p qos.input.reliability:=reliable "
        f"(its publisher must be reliable, too), set FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA on both sides, "
        f"or send {smaller}"
    )
