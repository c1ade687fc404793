"""A tone step on uint8 pictures: the table is mixed for the picture, then applied in one pass over its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.gan.lut import apply_table
from models.gan.tone import THUMBNAIL, ToneLut, identity_table
from models.runtime import compile_network


class ToneWeights(nn.Module):
    """The part of ToneLut that looks at the thumbnail."""

    def __init__(self, tone: ToneLut):
        super().__init__()
        self.look, self.mix = tone.look, tone.mix

    def forward(self, small: Tensor) -> Tensor:
        """Thumbnails [N, 3, 32, 32] -> how much of each table, [N, K]."""
        return self.mix(self.look(small).mean((2, 3)))


class ToneStep:
    """runtime: of the small network that chooses the table, as in models.runtime; it runs on one thread."""

    def __init__(self, tone: ToneLut, runtime: str = "auto"):
        example = (torch.rand(1, 3, THUMBNAIL, THUMBNAIL) * 2 - 1,)
        self._weights = compile_network(ToneWeights(tone).eval(), example, runtime, threads=1)
        tables = tone.tables.detach().permute(0, 2, 3, 4, 1)
        self._tables = tables.contiguous().numpy()  # [K, S, S, S, 3] in [-1, 1]
        self._same = _pixels(identity_table(tables.shape[1]).permute(1, 2, 3, 0).contiguous().numpy())

    def apply(self, rgb: NDArray[np.uint8], strength: float = 1.0) -> NDArray[np.uint8]:
        """rgb uint8 [H, W, 3] -> x + strength (f(x) - x), rounded, uint8 [H, W, 3]."""
        small = cv2.resize(rgb, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        x = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        weights = self._weights(x)[0][0]
        table = _pixels(np.tensordot(weights, self._tables, 1))
        return apply_table(rgb, self._same + np.float32(strength) * (table - self._same))


def _pixels(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of [-1, 1] as those of 0 … 255."""
    return (table + np.float32(1)) * np.float32(127.5)
