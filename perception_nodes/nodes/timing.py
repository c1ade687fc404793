"""Timing topics under Autoware's names, as std_msgs/Float64 (its stamped type is in no core distribution)."""

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import Float64

from perception_nodes.streaming.stopwatch import TIMING

TIMING_TOPICS = tuple(f"~/{name}" for name in TIMING)


class TimingTopics:
    """Publishers of a node's timing; nothing is sent on a topic that nobody reads.

    `listener` is called with (resolved topic, value) in the node's own process: a recorder composed beside the node
    then needs no subscription, and the executor is not woken seven times a frame beside the network.
    """

    def __init__(self, node: Node, listener: Callable[[str, float], None] | None = None) -> None:
        self._node, self._listener = node, listener
        self._publishers = {topic: node.create_publisher(Float64, topic, 10) for topic in TIMING_TOPICS}

    def publish(self, stages_ms: dict[str, float], cyclic_ms: float | None, latency_ms: float | None) -> None:
        """Sends one frame's figures; None is not sent."""
        for stage, ms in stages_ms.items():
            self._send(f"~/debug/processing_time/{stage}_ms", ms)
        self._send("~/debug/cyclic_time_ms", cyclic_ms)
        self._send("~/debug/pipeline_latency_ms", latency_ms)

    def _send(self, topic: str, value: float | None) -> None:
        if value is None:
            return
        publisher = self._publishers[topic]
        if self._listener is not None:
            self._listener(publisher.topic_name, float(value))
        if publisher.get_subscription_count():
            publisher.publish(Float64(data=float(value)))

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()
