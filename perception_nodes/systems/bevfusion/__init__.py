"""bevfusion: boxes and map layers from a LiDAR with cameras, in one bird's-eye view (docs/nodes/bevfusion_node.md)."""

from perception_nodes.systems.bevfusion.declaration import SYSTEM

__all__ = ["SYSTEM"]
