"""Cameras in another light or weather, for testing a stack."""

from perception_nodes.systems.gan.declaration import SYSTEM

__all__ = ["SYSTEM"]
