"""QoS profiles from parameters, and event callbacks that say why two endpoints do not talk."""

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from perception_nodes.config import Qos

try:  # Jazzy and later
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

LATCHED = Qos(reliability="reliable", durability="transient_local", depth=1)

Report = Callable[[str, str], None]


def profile(qos: Qos) -> QoSProfile:
    """The rclpy profile of a config."""
    reliable = qos.reliability == "reliable"
    latched = qos.durability == "transient_local"
    return QoSProfile(
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _policy(profile_: QoSProfile, kind: str) -> str:
    value = getattr(profile_, kind, None)
    return value.name.lower() if value is not None and hasattr(value, "name") else str(value)


def describe_mismatch(node: Node, topic: str, own: QoSProfile, kind: str, subscribing: bool) -> str:
    """One sentence: the topic, both sides' values of the policy `kind`, and the change that would connect them. own:
    the node's profile; the graph may not know its endpoint yet."""
    resolved, mine = node.resolve_topic_name(topic), _policy(own, kind)
    theirs = (node.get_publishers_info_by_topic if subscribing else node.get_subscriptions_info_by_topic)(resolved)
    found = [(_policy(i.qos_profile, kind), i.node_name) for i in theirs]
    others = ", ".join(sorted({f"{policy} ({name})" for policy, name in found if policy != mine})) or "unknown"
    offered, asked = (others, mine) if subscribing else (mine, others)
    side = "input" if subscribing else "output"
    return (
        f"{resolved}: {kind} does not match: the publisher offers {offered}, "
        f"the subscriber asks for {asked}; no message will pass. Set qos.{side}.{kind} to match"
    )


def _policy_field(info: Any) -> str:
    return str(qos_policy_name_from_kind(info.last_policy_kind)).rsplit(".", 1)[-1].lower()


def subscription_events(node: Node, topic: str, own: QoSProfile, report: Report) -> SubscriptionEventCallbacks:
    """Callbacks of a subscription of profile `own`; `report(topic, sentence)` is called on every new mismatch."""

    def incompatible(info: Any) -> None:
        report(topic, describe_mismatch(node, topic, own, _policy_field(info), subscribing=True))

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def publisher_events(node: Node, topic: str, own: QoSProfile, report: Report) -> PublisherEventCallbacks:
    """Callbacks of a publisher of profile `own`; `report(topic, sentence)` is called on every new mismatch."""

    def incompatible(info: Any) -> None:
        report(topic, describe_mismatch(node, topic, own, _policy_field(info), subscribing=False))

    return PublisherEventCallbacks(incompatible_qos=incompatible)
