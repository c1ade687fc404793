"""Which engine runs a sparse operation, and why."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch


def choose(device: str = "cpu", training: bool = True) -> str:
    """Name of the engine for a device: "torch" (autograd, CPU and CUDA)."""
    return "torch"


def for_tensor(feats: torch.Tensor) -> ModuleType:
    """The engine module (convolve, interpolate, scatter_mean) for features on their device."""
    return importlib.import_module(".torch_backend", __package__)


def describe() -> str:
    """One line for `perception doctor`."""
    return "sparse convolution: plain torch"
