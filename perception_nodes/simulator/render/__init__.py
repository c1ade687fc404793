"""Numba software renderer of the driving world; `perception_nodes.simulator.camera` is its front door."""
