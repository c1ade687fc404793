"""Driving events in camera streams, and road users in the same pictures."""

from perception_nodes.systems.tsm.declaration import SYSTEM

__all__ = ["SYSTEM"]
