"""WatchNode: gives a listener the newest messages that the nodes of a running stack read and write."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription

from perception_nodes.config import NodeConfig, Qos
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import LATCHED, profile
from perception_nodes.nodes.serialized import decode
from perception_nodes.streaming.health import Level

LOOK_S = 0.5  # between looks at the graph
NAME = "viewer"
SENSORS = Qos(reliability="best_effort", depth=5)
Listener = Callable[[str, str, Any, int], None]


class WatchNode(PerceptionNode[NodeConfig]):
    """Subscribes to the topics of other nodes and passes their messages on, on a thread of its own.

    Subscriptions are best effort (latched topics: reliable), and of each topic only the newest message is kept. So a
    slow listener loses messages and never delays a sensor or a node.

    Args:
        nodes: absolute names of the nodes whose topics are watched.
        wanted: (topic, type) -> whether the listener can use it.
        listener: called with topic, type, decoded message and time of arrival, ns.
        is_open: asked once per look; where it is False, the node finishes with code 0 (a viewer that was closed).
    """

    def __init__(
        self,
        nodes: Collection[str],
        wanted: Callable[[str, str], bool],
        listener: Listener,
        is_open: Callable[[], bool] = lambda: True,
        **kwargs: Any,
    ) -> None:
        super().__init__(NAME, NodeConfig, aspects=("viewer",), **kwargs)
        self._watched, self._wanted, self._listener, self._is_open = frozenset(nodes), wanted, listener, is_open
        self._made: dict[str, Subscription[Any]] = {}
        self._refused: set[str] = set()
        self._newest: dict[str, tuple[str, Any, bytes, int]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._timer: Any = None

    @property
    def topics(self) -> frozenset[str]:
        """Topics that are subscribed."""
        return frozenset(self._made)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._pass_on, name="viewer")
        self._thread.start()
        self._timer = self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        for subscription in self._made.values():
            self.destroy_subscription(subscription)
        self._made.clear()
        if self._thread is not None:
            thread, self._thread = self._thread, None
            with self._changed:
                self._changed.notify()
            thread.join()

    def _look(self) -> None:
        """Subscribes to topics of the watched nodes that have come."""
        if not self._is_open():
            self.finish(0)
            return
        for topic, types in self.get_topic_names_and_types():
            if topic in self._made or topic in self._refused or not self._wanted(topic, types[0]):
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            names = {_full_name(end) for end in (*publishers, *self.get_subscriptions_info_by_topic(topic))}
            if publishers and names & self._watched:
                self._subscribe(topic, types[0], any("TRANSIENT" in str(p.qos_profile.durability) for p in publishers))

    def _subscribe(self, topic: str, kind: str, latched: bool) -> None:
        found = find_message_type(kind)
        if found is None:
            self._refused.add(topic)
            self.get_logger().warning(f"not shown: {topic}, because {kind} is not installed here")
            return
        qos = LATCHED if latched else SENSORS

        def receive(raw: bytes) -> None:
            with self._changed:
                self._newest[topic] = (kind, found, raw, time.time_ns())
                self._changed.notify()

        how = {"callback_group": self.intake, "raw": True}
        self._made[topic] = self.create_subscription(found, topic, receive, profile(qos), **how)

    def _pass_on(self) -> None:
        while self._thread is not None:
            with self._changed:
                if not self._newest:
                    self._changed.wait(LOOK_S)
                waiting, self._newest = self._newest, {}
            for topic, (kind, found, raw, stamp) in waiting.items():
                try:
                    self._listener(topic, kind, decode(raw, found), stamp)
                except Exception as error:  # costs this message
                    self.report("viewer", "not_shown", Level.WARN, error, f"{topic} could not be shown: {error}")


def _full_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
