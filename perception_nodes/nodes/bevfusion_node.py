"""Entry point of `bevfusion_node`: boxes and a map from a LiDAR with cameras (docs/nodes/bevfusion_node.md)."""

from perception_nodes.nodes.executable import executable

make_node, main = executable("bevfusion")

if __name__ == "__main__":
    raise SystemExit(main())
