"""A class for every LiDAR point."""

from perception_nodes.systems.spvcnn.declaration import SYSTEM

__all__ = ["SYSTEM"]
