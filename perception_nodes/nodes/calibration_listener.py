"""Feeds a `CalibrationSource` from a node's topics: /tf_static, /tf, and the CameraInfo of each camera.

The messages are taken as bytes and read by `messages/calibration_cdr.py`, as in an offline run; tf2_ros is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.source import TF, TF_STATIC, CalibrationSource
from perception_nodes.messages.errors import MessageError
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import subscription_events
from perception_nodes.nodes.tf_type import tf_message_type
from perception_nodes.streaming.health import Level

QOS = {
    TF_STATIC: QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    TF: QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT),
}
CAMERA_INFO_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class CalibrationListener:
    """Subscribes until `destroy`; what is refused is counted and reported under "calibration" on /diagnostics.

    Args:
        node: whose topics.
        source: what is fed.
        topics: what feeds it (see `feeds_of`) -> topic; what is left out is not subscribed.
        rectified: the pictures are rectified already.
        arrived: called with the feed's name after each message.

    Raises:
        NodeError: a TF topic is asked for, tf2_msgs is not installed, and the middleware is not Fast DDS.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        source: CalibrationSource,
        topics: Mapping[str, str],
        rectified: bool = False,
        arrived: Callable[[str], None] = lambda feed: None,
    ) -> None:
        self._node, self._source, self._rectified, self._arrived = node, source, rectified, arrived
        kinds = {feed: tf_message_type() if feed in (TF_STATIC, TF) else CameraInfo for feed in topics}
        self._subscriptions = [self._listen(kinds[feed], feed, topic) for feed, topic in topics.items()]
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = node.get_clock().create_jump_callback(back, post_callback=lambda jump: source.time_jumped())

    def destroy(self) -> None:
        """Ends the subscriptions; what has come stays in the source. Safe to call twice."""
        self._jumps.unregister()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _listen(self, kind: Any, feed: str, topic: str) -> Subscription[Any]:
        qos = QOS.get(feed, CAMERA_INFO_QOS)
        events = subscription_events(self._node, topic, qos, self._node.on_qos_mismatch)
        how = {"event_callbacks": events, "callback_group": self._node.intake, "raw": True}
        return self._node.create_subscription(kind, topic, partial(self._take, feed, topic), qos, **how)

    def _take(self, feed: str, topic: str, raw: bytes) -> None:
        health = self._node.health
        health.count("calibration", feed)
        try:
            self._source.take(feed, raw, self._rectified)
            health.value("calibration", "version", self._source.version)
        except (MessageError, CalibrationError) as error:
            self._node.report("calibration", "rejected", Level.ERROR, error, f"{topic}: {error}")
        finally:
            self._arrived(feed)
