"""Health, sent as diagnostic_msgs/DiagnosticArray."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from perception_nodes.streaming.health import Health, Level


class DiagnosticsPublisher:
    """Sends a node's health on /diagnostics at a fixed wall-clock period, also while simulated time stands still."""

    def __init__(self, node: Node, health: Health, period_s: float) -> None:
        self._node = node
        self._health = health
        self._levels: dict[str, Level] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """One message with one status per aspect, named `<node>: <aspect>`."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip("/")
        for status in self._health.report():
            row = DiagnosticStatus()
            row.level = bytes([int(status.level)])
            row.name = f"{name}: {status.name}"
            row.message = status.message
            row.hardware_id = name
            row.values = [KeyValue(key=key, value=value) for key, value in status.values]
            message.status.append(row)
        self._publisher.publish(message)
