"""The detector's frozen first layers in the fastest available runtime."""

from __future__ import annotations

from torch import Tensor, nn

from models.tsm.detector import EARLY, TsmDetector
from models.tsm.shift import ClipTime, run
from training.common.frozen_layers import FrozenLayers


class EarlyLayers(FrozenLayers):
    """Frames float32 [B, 3, H, W] -> `TsmDetector.early` of them."""

    def __init__(self, detector: TsmDetector, batch: int, size: tuple[int, int], threads: int):
        super().__init__(_Early(detector), (batch, 3, *size), threads)


class _Early(nn.Module):
    """`TsmDetector.early` without the rest of the detector."""

    def __init__(self, detector: TsmDetector):
        super().__init__()
        self.layers = detector.backbone.features[:EARLY]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = run(layer, x, ClipTime(1))
        return x
