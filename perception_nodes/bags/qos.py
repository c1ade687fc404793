"""Quality of service per topic as plain values: as recorded in a bag, and as a player should offer it.

Many bags have no QoS (`offered_qos_profiles` empty). A latched topic that is replayed as volatile is lost for late
subscribers. So a missing QoS is chosen by the topic's name and type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

LATCHED_TYPES = ("nav_msgs/msg/OccupancyGrid", "vision_msgs/msg/LabelInfo")
SENSOR_TYPES = (
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
)


@dataclass(frozen=True)
class TopicQos:
    """What a publisher offers: `latched` is transient local durability, kept for those who join later."""

    reliable: bool = True
    latched: bool = False
    depth: int = 10


def default_qos(topic: str, type_name: str) -> TopicQos:
    """The offer for a topic by its name and type: latched for /tf_static, class tables and maps."""
    if topic == "/tf_static" or topic.endswith("/tf_static"):
        return TopicQos(latched=True, depth=100)
    if topic.endswith(("/classes", "/map/shapes")) or type_name in LATCHED_TYPES:
        return TopicQos(latched=True, depth=1)
    if type_name in SENSOR_TYPES:
        return TopicQos(depth=5)  # reliable offers serve best-effort subscribers too
    return TopicQos()


def qos_of(topic: str, type_name: str, offered: list[Qos]) -> TopicQos:
    """What a player should offer: the recorded profile where there is one, the default otherwise."""
    wanted = default_qos(topic, type_name)
    if not offered:
        return wanted
    latched = any(q.durability == QosDurability.TRANSIENT_LOCAL for q in offered)
    reliable = any(q.reliability != QosReliability.BEST_EFFORT for q in offered)
    depth = max((q.depth for q in offered if isinstance(q.depth, int)), default=0)  # damaged metadata holds texts
    return TopicQos(reliable or latched, latched or wanted.latched, min(max(depth, 1), 1000) if depth else wanted.depth)


def to_rosbags(qos: TopicQos) -> Qos:
    """The profile in rosbags' words, for a bag's metadata."""
    zero: Any = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        qos.depth,
        QosReliability.RELIABLE if qos.reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if qos.latched else QosDurability.VOLATILE,
        zero,
        zero,
        QosLiveliness.AUTOMATIC,
        zero,
        False,
    )
