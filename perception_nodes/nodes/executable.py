"""The executable of a system's node. Nothing heavy is imported before the signals are caught."""

from collections.abc import Callable
from typing import Any


def executable(system_name: str) -> tuple[Callable[..., Any], Callable[..., int]]:
    """(make_node, main) of a system: what its entry point `perception_nodes.nodes.<name>_node` hands on."""

    def make_node(**kwargs: Any) -> Any:
        """Builds the node; rclpy is imported here."""
        from perception_nodes.nodes.system_node import SystemNode
        from perception_nodes.systems import SYSTEMS

        return SystemNode(next(system for system in SYSTEMS if system.name == system_name), **kwargs)

    def main(args: list[str] | None = None) -> int:
        """The console script, and `ros2 run perception_nodes <name>_node`."""
        from perception_nodes.nodes.main import run

        return run([make_node], args)

    return make_node, main
