"""Entry point of `spvcnn_node`: a class for every LiDAR point (docs/nodes/spvcnn_node.md)."""

from perception_nodes.nodes.executable import executable

make_node, main = executable("spvcnn")

if __name__ == "__main__":
    raise SystemExit(main())
