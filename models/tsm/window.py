"""A clip network in a stream: it keeps the last frames and runs the whole clip again for every new one.

This is what networks that look ahead cost without caches of features; the baseline of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.tsm.network import VideoNetwork
from models.tsm.step import Caches, StepNetwork


class WindowStep(StepNetwork):
    """The clip network on the newest `segments` frames. One cache: the frames before, oldest first, as channels."""

    def __init__(self, network: VideoNetwork):
        super().__init__()
        self.network = network
        self.spec = network.spec
        self.depth = network.spec.segments - 1

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """One cache of (segments - 1) frames; none where a clip is one frame."""
        return [(self.depth * self.spec.in_channels, height, width)] if self.depth else []

    def forward(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Caches]:
        """frame [N, C, H, W], caches ([N, (T-1) C, H, W],) -> (logits [N, K] of the window, new caches)."""
        self.check(frame, caches)
        window = torch.cat((*caches, frame), 1)  # [N, T C, H, W]
        size = (self.spec.segments, self.spec.in_channels, *window.shape[2:])
        clip = window.reshape(-1, *size)  # [N, T, C, H, W]; -1: exported graphs take any N
        kept = (window[:, self.spec.in_channels :],) if self.depth else ()
        return self.network(clip), kept
