"""Sparse 3D convolution on CPU cores and GPUs.

Coordinates are (x, y, z, batch) in full-resolution units; weights are [K, Cin, Cout] in the order of
`offsets.kernel_offsets`. Names that need torch are loaded when first used, so that building maps in a data loader's
worker stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Level": "level",
    "KernelMap": "kernel_map",
    "MapSet": "maps",
    "build_maps": "maps",
    "PointMap": "points",
    "Voxels": "points",
    "map_points": "points",
    "voxelize": "points",
    "kernel_offsets": "offsets",
    "SparseTensor": "tensor",
    "cat": "tensor",
    "conv3d": "functional",
    "devoxelize": "functional",
    "point_to_voxel": "functional",
    "Conv3d": "nn",
    "BatchNorm": "nn",
    "ReLU": "nn",
}
_MODULES = ("backend", "functional", "fused", "nn")
__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
