"""Entry point of `player_node`: a bag, published as it was recorded (docs/nodes/player_node.md)."""

from typing import Any


def make_node(**kwargs: Any) -> Any:
    """Builds the node; rclpy is imported here, after the signals are caught."""
    from perception_nodes.nodes.player import PlayerNode

    return PlayerNode(**kwargs)


def main(args: list[str] | None = None) -> int:
    """`player_node` and `ros2 run perception_nodes player_node`."""
    from perception_nodes.nodes.main import run

    return run([make_node], args)


if __name__ == "__main__":
    raise SystemExit(main())
