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
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.errors import MessageError
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import subscription_events
from perception_nodes.nodes.tf_type import tf_message_type
from perception_nodes.streaming.health import Level

TF_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TF_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
CAMERA_INFO_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class CalibrationListener:
    """Subscribes until `destroy`; what is refused is counted and reported under "calibration" on /diagnostics.

    Args:
        node: whose topics.
        source: what is fed.
        camera_info: camera -> topic of its CameraInfo.
        rectified: cameras whose pictures are rectified already.
        tf: subscribe /tf_static and /tf.

    Raises:
        NodeError: `tf`, tf2_msgs is not installed, and the middleware is not Fast DDS.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        source: CalibrationSource,
        camera_info: Mapping[str, str],
        rectified: frozenset[str] = frozenset(),
        tf: bool = True,
    ) -> None:
        self._node, self._source = node, source
        self._subscriptions: list[Subscription[Any]] = []
        if tf:
            kind = tf_message_type()
            self._listen(kind, "/tf_static", TF_STATIC_QOS, "tf_static", source.add_tf_static)
            self._listen(kind, "/tf", TF_QOS, "tf", source.add_tf)
        for camera, topic in camera_info.items():
            add = partial(source.add_camera_info, camera, rectified=camera in rectified)
            self._listen(CameraInfo, topic, CAMERA_INFO_QOS, f"camera_info {camera}", add)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = node.get_clock().create_jump_callback(back, post_callback=lambda jump: source.time_jumped())

    def destroy(self) -> None:
        """Ends the subscriptions; what has come stays in the source."""
        self._jumps.unregister()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _listen(self, kind: Any, topic: str, qos: QoSProfile, counter: str, add: Callable[[bytes], None]) -> None:
        events = subscription_events(self._node, topic, qos, self._node.on_qos_mismatch)
        take = partial(self._take, topic, counter, add)
        how = {"event_callbacks": events, "callback_group": self._node.intake, "raw": True}
        self._subscriptions.append(self._node.create_subscription(kind, topic, take, qos, **how))

    def _take(self, topic: str, counter: str, add: Callable[[bytes], None], raw: bytes) -> None:
        health = self._node.health
        health.count("calibration", counter)
        try:
            add(raw)
        except (MessageError, CalibrationError) as error:
            self._node.report("calibration", "rejected", Level.ERROR, error, f"{topic}: {error}")
            return
        health.value("calibration", "version", self._source.version)
