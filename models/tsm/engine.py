"""What runs a step network: a graph compiled by models.runtime, torch where there is none. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tsm.step import FlatStep, StepNetwork

Engine = Callable[..., tuple[NDArray[np.float32], ...]]


def _torch(flat: FlatStep) -> Engine:
    import torch

    def call(*arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with torch.inference_mode():
            return tuple(t.numpy() for t in flat(*map(torch.from_numpy, arrays)))

    return call


def compile_step(
    step: StepNetwork, batch: int, size: tuple[int, int], runtime: str = "auto", threads: int = 2
) -> tuple[Engine, str]:
    """(engine, what it is): engine(frame float32 [batch, C, h, w], *caches) -> (logits, *caches)."""
    import torch

    flat = FlatStep(step).eval()
    inputs, outputs = flat.names()
    example = (torch.zeros(batch, step.spec.in_channels, *size), *step.zero_caches(*size, batch=batch))
    try:
        from models.runtime import compile_network
    except ImportError:
        return _torch(flat), "torch"
    compiled: Any = compile_network(
        flat, example, runtime=runtime, threads=threads, input_names=inputs, output_names=outputs
    )
    return compiled, str(compiled.describe())
