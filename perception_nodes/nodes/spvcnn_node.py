"""Entry point of `spvcnn_node`: a class for every LiDAR point (docs/nodes/spvcnn_node.md)."""

from typing import Any


def make_node(**kwargs: Any) -> Any:
    """Builds the node. rclpy, and with it everything heavy, is imported here, after the signals are caught."""
    from perception_nodes.nodes.spvcnn import SpvcnnNode

    return SpvcnnNode(**kwargs)


def main(args: list[str] | None = None) -> int:
    """`spvcnn_node` and `ros2 run perception_nodes spvcnn_node`."""
    from perception_nodes.nodes.main import run

    return run([make_node], args)


if __name__ == "__main__":
    raise SystemExit(main())
