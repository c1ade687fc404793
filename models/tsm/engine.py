"""A step network in the fastest available runtime. Arrays in, arrays out."""

from __future__ import annotations

from models.runtime import Compiled, compile_network
from models.tsm.agreement import EVENTS
from models.tsm.step import FlatStep, StepNetwork


def compile_step(
    step: StepNetwork,
    size: tuple[int, int],
    runtime: str = "auto",
    threads: int = 2,
    precision: str = "auto",
    name: str = "",
) -> Compiled:
    """compiled(frame float32 [N, C, h, w], *caches) -> (logits [N, K], *caches); `compiled.stream(rows)` keeps the
    caches.

    runtime, threads, precision, name: see models.runtime.compile_network, which raises ModelError where the runtime is
    unknown, not installed or cannot run the network.
    """
    flat = FlatStep(step).eval()
    inputs, outputs = flat.names()
    like = next(step.parameters())
    caches = step.zero_caches(*size)
    example = (like.new_zeros(1, step.spec.in_channels, *size), *caches)
    return compile_network(
        flat, example, runtime, threads, precision, input_names=inputs, output_names=outputs, caches=len(caches),
        task=EVENTS, name=name,
    )  # fmt: skip
