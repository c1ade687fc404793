"""Frame by frame, the past in explicit caches: (frame, caches) -> (logits, caches for the next frame)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.tsm.spec import TsmSpec

Caches = tuple[Tensor, ...]


class StepNetwork(nn.Module):
    """Base of all step networks. They share the parameters of the clip network that they are made of.

    depth: frame t depends on the frames t-depth … t; as long as fewer came, it depends on the zero caches too.
    """

    spec: TsmSpec
    depth: int

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, rows, columns) of every cache for frames of height x width."""
        raise NotImplementedError

    def forward(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Caches]:
        """frame [N, C, H, W], caches [N, c, h, w] each -> (logits [N, K], new caches)."""
        raise NotImplementedError

    def zero_caches(self, height: int, width: int, batch: int = 1) -> Caches:
        """Caches before the first frame, on the device and in the type of the parameters."""
        like = next(self.parameters())
        return tuple(like.new_zeros((batch, *shape)) for shape in self.cache_shapes(height, width))

    def check(self, frame: Tensor, caches: Sequence[Tensor]) -> None:
        """ValueError where frame or caches have shapes that do not fit (not while a graph is recorded)."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return
        channels = self.spec.in_channels
        if frame.ndim != 4 or frame.shape[1] != channels or 0 in frame.shape:
            raise ValueError(f"the frame has shape {tuple(frame.shape)}: expected [N, {channels}, H, W], nothing empty")
        expected = [(frame.shape[0], *s) for s in self.cache_shapes(frame.shape[2], frame.shape[3])]
        found = [tuple(c.shape) for c in caches]
        if found == expected:
            return
        if len(found) != len(expected):
            said = f"found {len(found)} caches, expected {len(expected)}"
        else:
            i = next(i for i, (a, b) in enumerate(zip(found, expected)) if a != b)
            said = f"cache {i} has shape {found[i]}, expected {expected[i]}"
        raise ValueError(f"{said} for frames {tuple(frame.shape)}; start from zero_caches(height, width, batch)")


class FlatStep(nn.Module):
    """The same with tensors only, for exporters: (frame, *caches) -> (logits, *caches)."""

    def __init__(self, step: StepNetwork):
        super().__init__()
        self.step = step

    def forward(self, frame: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """frame [N, C, H, W], caches in order -> logits [N, K], new caches in order."""
        logits, kept = self.step(frame, caches)
        return (logits, *kept)

    def names(self) -> tuple[list[str], list[str]]:
        """Names of the inputs and of the outputs in order; as many caches as `cache_shapes` says."""
        count = len(self.step.cache_shapes(32, 32))
        return (
            ["frame", *(f"cache_in_{i}" for i in range(count))],
            ["logits", *(f"cache_out_{i}" for i in range(count))],
        )
