"""From a camera's picture to a network's input, as `ModelFacts.image` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from models.pictures import resized

FITS = ("stretch", "crop")
KEYS = ("size", "mean", "std", "period_s", "fit", "margin", "taught")


@dataclass(frozen=True)
class ImageFacts:
    """What a network is fed.

    size: (height, width) px · mean, std: RGB of 0..1 · period_s: s between frames in training, 0 if unknown · fit:
    "stretch", the whole picture at `size`, or "crop", scaled to cover `margin` times `size`, then its middle (the
    official test crop: size 224, margin 256/224). The facts may also say how labels were `taught` (models/facts.py).
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    period_s: float = 0.0
    fit: str = "stretch"
    margin: float = 1.0

    @classmethod
    def of(cls, image: Mapping[str, Any] | None, name: str = "the model") -> ImageFacts:
        """Checked facts; ModelError says what is wrong with them."""
        if not isinstance(image, Mapping) or not {"size", "mean", "std"} <= set(image):
            raise ModelError(f"{name}: `image` in its facts is {image!r}: expected a mapping with size, mean and std")
        unknown = sorted(set(map(str, image)) - set(KEYS))
        if unknown:
            raise ModelError(f"{name}: `image` has unknown keys {', '.join(unknown)}; known: {', '.join(KEYS)}")
        try:
            height, width = (int(v) for v in image["size"])
            mean, std = tuple(float(v) for v in image["mean"]), tuple(float(v) for v in image["std"])
            period, margin = float(image.get("period_s", 0.0)), float(image.get("margin", 1.0))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{name}: `image` in its facts holds something other than numbers ({error})") from None
        fit = str(image.get("fit", "stretch"))
        if min(height, width) < 1 or len(mean) != 3 or len(std) != 3 or min(std) <= 0 or period < 0 or margin < 1:
            raise ModelError(
                f"{name}: `image` is {dict(image)}: expected a size of positive numbers, three means and three "
                "positive std, period_s of 0 or more, a margin of 1 or more"
            )
        if fit not in FITS:
            raise ModelError(f"{name}: image.fit {fit!r} is unknown; known: {', '.join(FITS)}")
        return cls((height, width), mean, std, period, fit, margin)


def check_rgb(rgb: NDArray[np.uint8]) -> None:
    """ValueError where a picture is not uint8 [H, W, 3] with something in it."""
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        found = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise ValueError(f"the frame is {found}: expected uint8 RGB [H, W, 3], not empty")


def fitted(rgb: NDArray[np.uint8], facts: ImageFacts) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3] -> uint8 [*size, 3], by `fit`."""
    height, width = facts.size
    if facts.fit == "stretch":
        return resized(rgb, height, width)
    scale = facts.margin * max(height / rgb.shape[0], width / rgb.shape[1])
    high, wide = max(height, int(rgb.shape[0] * scale + 1e-6)), max(width, int(rgb.shape[1] * scale + 1e-6))
    rgb = resized(rgb, high, wide)
    top, left = round((high - height) / 2), round((wide - width) / 2)
    return rgb[top : top + height, left : left + width]


class Preprocessor:
    """Pictures to float32 [3, h, w], normalised."""

    def __init__(self, facts: ImageFacts):
        self.facts = facts
        self._scale = [np.float32(1.0 / (255.0 * s)) for s in facts.std]
        self._offset = [np.float32(-m / s) for m, s in zip(facts.mean, facts.std)]

    def __call__(self, rgb: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """uint8 RGB [H, W, 3] of any size -> float32 [3, h, w], into `out` where given. ValueError for other arrays."""
        check_rgb(rgb)
        return self.normalise(fitted(rgb, self.facts), out)

    def normalise(self, rgb: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """uint8 RGB [h, w, 3] -> float32 [3, h, w]."""
        if out is None:
            out = np.empty((3, *rgb.shape[:2]), np.float32)
        for c in range(3):
            np.multiply(rgb[:, :, c], self._scale[c], out=out[c])
            out[c] += self._offset[c]
        return out
