"""Compares a runtime's results with torch's on a few generated inputs.

In fp32 the numbers must agree. In bf16 they cannot: there the answer of the network's task must be the same (the best
class, the detections that are kept), which a `Task` says. Without a task the numbers of bf16 have a tolerance, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.runtime.compiled import Array, Compiled, Signature

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}  # of the largest value of an output
STREAMS, STEPS = 2, 4  # generated streams and the steps of each, for networks with caches
CALLS = 3  # generated inputs for networks without
SPEED = 3  # px from frame to frame

Results = list[Array]  # every output that is not a cache, of all steps: [steps, rows, …]


@dataclass(frozen=True)
class Task:
    """What a network's results are for.

    name: of the measure · agreement(found, expected): share 0..1 of torch's answers that the found results give as
    well; both as in Results · least: share from which on a runtime is taken.
    """

    name: str
    agreement: Callable[[Results, Results], float]
    least: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """difference: largest |found - torch's| over the largest |torch's| of its output · agreement: of the task, None
    without one · refused: why the results are not torch's; "" where they are."""

    difference: float
    agreement: float | None
    refused: str = ""


class Reference:
    """Generated inputs of a network and torch's results for them."""

    def __init__(self, module: nn.Module, signature: Signature, task: Task | None = None):
        self.signature, self.task = signature, task
        count = STREAMS * STEPS if signature.caches else CALLS
        rng = np.random.default_rng(0)
        shapes = signature.shapes[: signature.frames]
        self.steps = list(zip(*(generated(rng, count, shape) for shape in shapes)))
        self.expected = _stacked(_torch(module, signature, self.steps))

    def judge(self, compiled: Compiled) -> Verdict:
        """Runs the inputs through a candidate, as a stream where the network has caches."""
        found = []
        if self.signature.caches:
            stream = compiled.stream(self.signature.shapes[0][0])
            for i, frames in enumerate(self.steps):
                if i % STEPS == 0:
                    stream.reset()
                found.append([r.copy() for r in stream.step(*frames)])
        else:
            found = [list(compiled(*frames)) for frames in self.steps]
        return self.verdict(_stacked(found), compiled.precision)

    def verdict(self, found: Results, precision: str) -> Verdict:
        """What results of all steps are worth."""
        if not all(np.isfinite(f).all() for f in found):
            return Verdict(float("nan"), None, "its results are not all finite")
        worst = difference(found, self.expected)
        share = None if self.task is None else self.task.agreement(found, self.expected)
        if precision == "bf16" and self.task is not None and share is not None:
            said = f"{self.task.name} agrees with torch's in {share:.0%}, expected {self.task.least:.0%} or more"
            return Verdict(worst, share, "" if share >= self.task.least else said)
        said = f"its results differ from torch's by {worst:.1e}, expected {TOLERANCE[precision]:.0e} or less"
        return Verdict(worst, share, "" if worst <= TOLERANCE[precision] else said)


def difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Largest |found - expected| of all outputs, each over the largest |expected| of its output."""
    worst = 0.0
    for a, b in zip(found, expected):
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)) / max(float(np.abs(b).max(initial=0.0)), 1e-12))
    return worst


def generated(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> list[Array]:
    """`count` float32 inputs of a shape: pictures [… , C, H, W] of soft patches that move from frame to frame, with
    noise; normal noise for inputs of other ranks."""
    if len(shape) < 4:
        return [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
    *lead, height, width = shape
    picture = np.zeros(shape, np.float32)
    for cells in (3, 8, 24):
        patches = rng.standard_normal((*lead, cells, cells)).astype(np.float32)
        rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
        picture += patches[..., rows[:, None], columns[None, :]]
    noise = [0.1 * rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
    return [np.roll(picture, SPEED * i, -1) + n for i, n in enumerate(noise)]


def _torch(module: nn.Module, signature: Signature, steps: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Torch's outputs that are no caches, by step."""
    import torch

    found, caches = [], []
    with torch.inference_mode():
        for i, frames in enumerate(steps):
            if i % STEPS == 0:
                caches = [torch.zeros(s) for s in signature.shapes[signature.frames :]]
            out = module(*map(torch.from_numpy, frames), *caches)
            out = [out] if isinstance(out, torch.Tensor) else list(out)
            caches = out[signature.results :]
            found.append([o.float().numpy() for o in out[: signature.results]])
    return found


def _stacked(steps: Sequence[Sequence[Array]]) -> Results:
    return [np.stack(of_one) for of_one in zip(*steps)]
