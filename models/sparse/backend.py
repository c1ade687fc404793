"""Which engine runs a sparse operation, and why.

cpu          csrc/ under autograd: float32 on the CPU (`cpu_backend`)
torch        plain torch: CPU and CUDA, any float type (`torch_backend`)
torchsparse  the torchsparse package, 1.4 or 2.1, where installed and asked for (`torchsparse_backend`)

PERCEPTION_SPARSE_BACKEND = cpu | torch | torchsparse forces one; otherwise float32 on the CPU takes `cpu` where the
extension was built, everything else takes `torch`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import TYPE_CHECKING

from . import native

if TYPE_CHECKING:
    import torch

NAMES = ("cpu", "torch", "torchsparse")


def choose(device: str = "cpu", dtype: str = "float32") -> tuple[str, str]:
    """(engine, why) for tensors of this device type and dtype.

    Raises ValueError where PERCEPTION_SPARSE_BACKEND names no engine, RuntimeError where it names one that cannot run
    here.
    """
    forced = os.environ.get("PERCEPTION_SPARSE_BACKEND", "")
    if forced and forced not in NAMES:
        raise ValueError(f"PERCEPTION_SPARSE_BACKEND={forced}: expected one of {', '.join(NAMES)}")
    if forced == "torchsparse":
        if importlib.util.find_spec("torchsparse") is None:
            raise RuntimeError(
                "PERCEPTION_SPARSE_BACKEND=torchsparse: torchsparse is not installed; unset the variable"
            )
        return "torchsparse", "forced by PERCEPTION_SPARSE_BACKEND"
    if forced == "torch":
        return "torch", "forced by PERCEPTION_SPARSE_BACKEND"
    if device != "cpu":
        return "torch", f"tensors are on {device}"
    if dtype != "float32":
        return "torch", f"tensors are {dtype}, the compiled engine is float32"
    if native.library() is None:
        if forced == "cpu":
            raise RuntimeError(f"PERCEPTION_SPARSE_BACKEND=cpu: {native.absence()}")
        return "torch", native.absence()
    return "cpu", "the compiled extension is there"


def for_tensor(feats: torch.Tensor) -> ModuleType:
    """The engine module (convolve, interpolate, scatter_mean) for these features."""
    name, _ = choose(feats.device.type, str(feats.dtype).removeprefix("torch."))
    return importlib.import_module(f".{name}_backend", __package__)


def describe() -> str:
    """Lines for `perception doctor`: engine, instruction set, precision, and why."""
    name, why = choose()
    lines = [f"sparse convolution: {name} ({why})"]
    if native.library() is not None:
        forced = os.environ.get("PERCEPTION_SPARSE_ISA")
        reason = f"forced by PERCEPTION_SPARSE_ISA={forced}" if forced else "the best this processor offers"
        lines.append(
            f"instruction set: {native.LEVELS[native.level()]} ({reason}); fused inference in fp32, int16 and int8"
        )
    else:
        lines.append(
            "fused inference: fp32 in numpy, maps in numba; install a C compiler and run `pip install -e .` for more"
        )
    found = importlib.util.find_spec("torchsparse") is not None
    lines.append(
        f"torchsparse: {'installed (PERCEPTION_SPARSE_BACKEND=torchsparse uses it)' if found else 'not installed'}"
    )
    return "\n".join(lines)
