"""Entry point of `tsm_node`: driving events in camera streams (docs/nodes/tsm_node.md)."""

from typing import Any


def make_node(**kwargs: Any) -> Any:
    """Builds the node. rclpy, and with it everything heavy, is imported here, after the signals are caught."""
    from perception_nodes.nodes.tsm import TsmNode

    return TsmNode(**kwargs)


def main(args: list[str] | None = None) -> int:
    """`tsm_node` and `ros2 run perception_nodes tsm_node`."""
    from perception_nodes.nodes.main import run

    return run([make_node], args)


if __name__ == "__main__":
    raise SystemExit(main())
