"""Entry point of `simulator_node`: the driving world, live (docs/nodes/simulator_node.md)."""

from typing import Any


def make_node(**kwargs: Any) -> Any:
    """Builds the node; rclpy and the simulator are imported here, after the signals are caught."""
    from perception_nodes.nodes.simulator import SimulatorNode

    return SimulatorNode(**kwargs)


def main(args: list[str] | None = None) -> int:
    """`simulator_node` and `ros2 run perception_nodes simulator_node`."""
    from perception_nodes.nodes.main import run

    return run([make_node], args)


if __name__ == "__main__":
    raise SystemExit(main())
