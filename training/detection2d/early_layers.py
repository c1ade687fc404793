"""The detector's first layers, which do not learn, in the fastest runtime at hand: several times torch's speed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.runtime import compile_network
from models.tsm.detector import EARLY, TsmDetector
from models.tsm.shift import ClipTime, run


class EarlyLayers:
    """Frames float32 [B, 3, H, W] -> `TsmDetector.early` of them, channels_last, without a graph."""

    def __init__(self, detector: TsmDetector, batch: int, size: tuple[int, int], threads: int):
        self._compiled = compile_network(_Early(detector).eval(), (torch.zeros(batch, 3, *size),), threads=threads)

    def __call__(self, frames: Tensor) -> Tensor:
        """See the class."""
        (out,) = self._compiled(frames.numpy())
        return torch.from_numpy(out).contiguous(memory_format=torch.channels_last)


class _Early(nn.Module):
    """`TsmDetector.early` without the rest of the detector."""

    def __init__(self, detector: TsmDetector):
        super().__init__()
        self.layers = detector.backbone.features[:EARLY]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = run(layer, x, ClipTime(1))
        return x
