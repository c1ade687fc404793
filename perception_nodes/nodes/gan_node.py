"""Entry point of `gan_node`: cameras in another light or weather (docs/nodes/gan_node.md)."""

from perception_nodes.nodes.executable import executable

make_node, main = executable("gan")

if __name__ == "__main__":
    raise SystemExit(main())
