"""Meshes of road users and of what stands on the road; `shape_catalogue(seed)` is the way in."""

from perception_nodes.simulator.shapes.catalogue import VARIANTS, Body, Catalogue, shape_catalogue

__all__ = ["VARIANTS", "Body", "Catalogue", "shape_catalogue"]
