"""The publishers of a player: one per topic of the bag; each topic is checked until a first message decodes."""

import time
from fnmatch import fnmatchcase
from typing import Any

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader, Topic
from perception_nodes.config import Qos
from perception_nodes.nodes.config import PlayerConfig
from perception_nodes.nodes.names import in_namespace
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.tf_type import raw_message_type
from perception_nodes.streaming.health import Level

ACK_LOOK = Duration(nanoseconds=1_000_000)
ACK_PAUSE_S = 0.01


def matches(topic: str, patterns: list[str]) -> bool:
    """True where one of the patterns (with *) fits; empty patterns fit nothing."""
    return any(fnmatchcase(topic, pattern) for pattern in patterns if pattern)


class Outlets:
    """Publishes stored bytes without decoding them, apart from each topic's first messages.

    A topic whose type is not installed is skipped with a warning that names topic and type; the others play on. Until
    a topic's first message that decodes, messages that do not are left out, counted and reported.
    """

    def __init__(self, node: PerceptionNode[PlayerConfig], topics: list[Topic]) -> None:
        self._node = node
        self._publishers: dict[str, Publisher] = {}
        self._types: dict[str, Any] = {}
        self._checked: set[str] = set()  # topics that had a message that decodes
        self._warned: set[str] = set()
        self._latched: set[str] = set()
        self.skipped: dict[str, str] = {}
        self.largest = 0
        for topic in topics:
            if topic.name == "/clock":
                continue  # the player's own
            found = raw_message_type(topic.type)
            if found is None:
                self._skip(topic.name, f"{topic.name}: message type {topic.type} is not installed here")
                continue
            kind, only_bytes = found
            if not only_bytes:
                self._types[topic.name] = kind
            qos = self._qos(topic)
            if qos.durability == "transient_local":
                self._latched.add(topic.name)
            self._publishers[topic.name] = node.advertise(kind, in_namespace(topic.name), qos)

    def _qos(self, topic: Topic) -> Qos:
        config = self._node.config
        latched = topic.qos.latched or matches(topic.name, config.latched)
        loose = matches(topic.name, config.best_effort) or not topic.qos.reliable
        return Qos(
            reliability="best_effort" if loose and not latched else "reliable",
            durability="transient_local" if latched else "volatile",
            depth=topic.qos.depth,
        )

    def _skip(self, topic: str, sentence: str) -> None:
        self.skipped[topic] = sentence
        self._node.get_logger().warning(f"skipping {sentence}")

    @property
    def topics(self) -> list[str]:
        return list(self._publishers)

    def is_latched(self, topic: str) -> bool:
        """True where late subscribers get the last messages."""
        return topic in self._latched

    def subscribers(self, topic: str) -> int:
        """Subscribers of a topic (0 for one that is not played)."""
        publisher = self._publishers.get(topic)
        return publisher.get_subscription_count() if publisher else 0

    def send(self, message: BagMessage, reader: BagReader) -> bool:
        """Publishes one stored message; False where its topic is skipped, or it does not decode."""
        publisher = self._publishers.get(message.topic)
        if publisher is None:
            return False
        if message.topic not in self._checked and not self._check(message, reader):
            return False
        publisher.publish(bytes(message.raw))
        return True

    def _check(self, message: BagMessage, reader: BagReader) -> bool:
        """Whether a topic's stored type fits its bytes, which decides whether they are sent."""
        try:
            reader.decode(message.raw, message.type)  # pure Python first: foreign bytes do not reach C++ unread
            if message.topic in self._types:
                deserialize_message(bytes(message.raw), self._types[message.topic])
        except (BagError, RuntimeError, ValueError) as error:
            text = f"{message.topic}: a message is left out: it is not a {message.type}: {error}"
            self._node.health.event("playback", "left_out", Level.WARN, text)
            if message.topic not in self._warned:
                self._warned.add(message.topic)
                self._node.get_logger().warning(text)
            return False
        self._checked.add(message.topic)
        return True

    def flush(self, timeout_s: float) -> None:
        """Waits until every reliable subscriber has what was sent, at most so long.

        rclpy holds the interpreter's lock while it waits, and acknowledgements may take Fast DDS's heartbeat of three
        seconds: one long wait would stop every other thread of this process, a recorder's among them.
        """
        end = time.monotonic() + timeout_s
        for publisher in self._publishers.values():
            while not publisher.wait_for_all_acked(ACK_LOOK) and time.monotonic() < end:
                time.sleep(ACK_PAUSE_S)
