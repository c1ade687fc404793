"""Pictures as the released models see them: shrunk, cut to the lower middle, normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.pictures import normalise, resized


@dataclass(frozen=True)
class ImageGeometry:
    """size: (height, width) of the network's picture · resized_width: px of the whole picture after shrinking.

    A picture of 1600 x 900 px becomes 768 x 432 (x 0.48), of which the lowest 256 rows and the middle 704 columns are
    kept: the released evaluation. Other sizes are treated alike; a picture too flat for the crop is shrunk less.
    """

    size: tuple[int, int]
    resized_width: int

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after shrinking."""
        scale = max(self.resized_width / width, self.size[0] / height)
        return round(height * scale), round(width * scale)

    def matrix(self, height: int, width: int) -> NDArray[np.float32]:
        """image_from_raw float32 [4, 4]: pixels of a raw picture to pixels of the network's."""
        tall, wide = self.resized(height, width)
        out = np.eye(4, dtype=np.float32)
        out[0, 0], out[1, 1] = wide / width, tall / height
        out[0, 3], out[1, 3] = -self._left(wide), -(tall - self.size[0])
        return out

    def _left(self, wide: int) -> int:
        return max(wide - self.size[1], 0) // 2

    def picture(self, image: NDArray[np.uint8], mean: Tensor, std: Tensor) -> Tensor:
        """image uint8 [H, W, 3] RGB -> float32 [3, height, width], (value / 255 - mean) / std. mean, std [3].

        Shrinking is bicubic with antialiasing, as in Pillow, which the released code used.
        """
        tall, wide = self.resized(*image.shape[:2])
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]  # channels last: twice as fast
        if (tall, wide) != image.shape[:2]:
            pixels = F.interpolate(pixels, (tall, wide), mode="bicubic", antialias=True, align_corners=False)
        left, top = self._left(wide), tall - self.size[0]
        cut = pixels[0, :, top : top + self.size[0], left : left + self.size[1]].float()
        cut = F.pad(cut, (0, self.size[1] - cut.shape[2], 0, 0))  # a picture narrower than the crop: black
        return (cut / 255.0 - mean[:, None, None]) / std[:, None, None]

    def fill(
        self, image: NDArray[np.uint8], mean: NDArray[np.float32], std: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        """As `picture`, into out float32 [3, height, width], shrunk by means of areas: a hundredth of the time, and no
        overshoot at edges. mean, std float32 [3]."""
        tall, wide = self.resized(*image.shape[:2])
        left, top = self._left(wide), tall - self.size[0]
        cut = resized(image, tall, wide)[top : top + self.size[0], left : left + self.size[1]]
        scale, offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        normalise(cut, scale, offset, out[:, :, : cut.shape[1]])
        out[:, :, cut.shape[1] :] = offset[:, None, None]  # a picture narrower than the crop: black
