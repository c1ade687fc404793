"""Pictures on their way into a network: shrunk by means of areas, and normalised into the network's input."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

MUCH_SMALLER = 1.5  # shrinking by more than this, areas are averaged: a bilinear kernel would skip pixels


def resized(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3] at another size. Areas are averaged, in a fast way where both sides shrink by two or
    more: halved, then the rest."""
    while rgb.shape[0] >= 2 * height and rgb.shape[1] >= 2 * width:
        high, wide = rgb.shape[0] // 2, rgb.shape[1] // 2
        even = rgb[: 2 * high, : 2 * wide]
        rgb = np.asarray(cv2.resize(even, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
    if rgb.shape[:2] == (height, width):
        return rgb
    much = rgb.shape[0] > MUCH_SMALLER * height or rgb.shape[1] > MUCH_SMALLER * width
    how = cv2.INTER_AREA if much else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)


@njit(cache=True, nogil=True)
def normalise(rgb, scale, offset, out):
    """Writes rgb * scale + offset to out: rgb uint8 [H, W, 3], scale, offset float32 [3], out float32 [3, H, W].

    One pass on the caller's thread: a parallel one waits for threads that other nodes use.
    """
    for c in range(3):
        factor, shift = scale[c], offset[c]
        for y in range(rgb.shape[0]):
            for x in range(rgb.shape[1]):
                out[c, y, x] = np.float32(rgb[y, x, c]) * factor + shift
