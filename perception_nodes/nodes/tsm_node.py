"""Entry point of `tsm_node`: driving events in camera streams (docs/nodes/tsm_node.md)."""

from perception_nodes.nodes.executable import executable

make_node, main = executable("tsm")

if __name__ == "__main__":
    raise SystemExit(main())
