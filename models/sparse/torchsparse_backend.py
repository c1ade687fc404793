"""The torchsparse package (1.4, 2.0 or 2.1) behind `functional.conv3d`, where it is installed and
PERCEPTION_SPARSE_BACKEND asks for it.

Weights are laid out alike; coordinates are not: up to 2.0 rows are (x, y, z, batch) in full-resolution units, from
2.1 on they are (batch, x, y, z) divided by the tensor stride. The package keeps its own kernel maps, so they are
carried along from level to level; its output rows come in its own order and are put back into ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .keys import check_coords
from .level import Level
from .offsets import Triple
from .points import find_voxels
from .tensor import SparseTensor
from .torch_backend import interpolate, scatter_mean

__all__ = ["conv3d", "from_package", "interpolate", "scatter_mean", "to_package"]

# Coordinates are shifted to be non-negative by multiples of this, which keeps them aligned at every stride in use.
_GRID = 64


def package() -> tuple[Any, tuple[int, int]]:
    """(the module, (major, minor)). Raises RuntimeError with what to do where it is absent."""
    try:
        import torchsparse
    except ImportError as error:
        raise RuntimeError(
            f"torchsparse cannot be imported ({error}): unset PERCEPTION_SPARSE_BACKEND or install it"
        ) from error
    major, minor = (int(part) for part in str(torchsparse.__version__).split("+")[0].split(".")[:2])
    return torchsparse, (major, minor)


def to_package(coords: np.ndarray, stride: Triple, version: tuple[int, int]) -> np.ndarray:
    """Our coords int32 [N, 4] (x, y, z, batch; full-resolution units) in the convention of a torchsparse version."""
    if version < (2, 1):
        return coords
    return np.column_stack([coords[:, 3], coords[:, :3] // np.array(stride, np.int32)]).astype(np.int32)


def from_package(coords: np.ndarray, stride: Triple, version: tuple[int, int]) -> np.ndarray:
    """The inverse of `to_package`."""
    if version < (2, 1):
        return coords
    return np.column_stack([coords[:, 1:] * np.array(stride, np.int32), coords[:, 0]]).astype(np.int32)


def _caches(tensor: Any) -> dict[str, Any]:
    """The kernel maps that a torchsparse tensor carries (their attribute names differ by version)."""
    return {name: getattr(tensor, name) for name in ("cmaps", "kmaps", "_caches") if hasattr(tensor, name)}


def _restore(tensor: Any, caches: dict[str, Any]) -> None:
    for name, value in caches.items():
        setattr(tensor, name, value)


def _enter(x: SparseTensor, module: Any, version: tuple[int, int]) -> tuple[Any, np.ndarray]:
    """(torchsparse tensor of x, shift of its coordinates): rows in the package's order of x's level."""
    known = x.level.cache.get("torchsparse")
    if known is not None:
        coords, order, caches, shift = known
        tensor = module.SparseTensor(x.feats[order], coords, x.level.stride)
        _restore(tensor, caches)
        return tensor, shift
    shift = np.zeros(4, np.int32)
    if len(x.level):
        shift[:3] = x.level.coords[:, :3].min(0) // _GRID * _GRID
    rows = to_package(x.level.coords - shift, x.level.stride, version)
    coords = torch.from_numpy(np.ascontiguousarray(rows)).to(x.feats.device)
    return module.SparseTensor(x.feats, coords, x.level.stride), shift


def conv3d(
    x: SparseTensor,
    weight: torch.Tensor,
    level: Level,
    size: Triple,
    stride: Triple,
    dilation: Triple,
    transposed: bool,
) -> SparseTensor:
    """The convolution of `functional.conv3d` onto `level`, run by torchsparse. weight [K, Cin, Cout].

    Raises RuntimeError where torchsparse finds other output voxels than `level` holds (its rules differ by version
    for kernels that are neither submanifold nor as large as their stride).
    """
    module, version = package()
    tensor, shift = _enter(x, module, version)
    out = module.nn.functional.conv3d(
        tensor, weight, size, stride=stride, dilation=_scalar(dilation), transposed=transposed
    )
    found = out.C if hasattr(out, "C") else out.coords
    coords = from_package(found.cpu().numpy(), level.stride, version) + shift
    rows = find_voxels(level, check_coords(coords))
    if len(rows) != len(level) or (rows < 0).any():
        raise RuntimeError(f"torchsparse {version} gives {len(rows)} output voxels where {len(level)} are expected")
    order = torch.from_numpy(rows.astype(np.int64)).to(x.feats.device)
    level.cache["torchsparse"] = (found, order, _caches(out), shift)
    feats = out.F if hasattr(out, "F") else out.feats
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return SparseTensor(feats[back], level=level)


def _scalar(dilation: Triple) -> int:
    if len(set(dilation)) != 1:
        raise ValueError(f"torchsparse takes one dilation for all axes, not {dilation}")
    return dilation[0]
