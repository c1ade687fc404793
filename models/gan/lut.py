"""A colour table applied to a uint8 picture on the CPU: what ToneLut does, in one pass over the pixels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, fastmath=True)
def _apply(rgb, table, low, part, out):
    """Trilinear interpolation; low, part: table index and fraction of each of the 256 values."""
    height, width, _ = rgb.shape
    for i in range(height):
        for j in range(width):
            r, g, b = rgb[i, j, 0], rgb[i, j, 1], rgb[i, j, 2]
            r0, g0, b0 = low[r], low[g], low[b]
            fr, fg, fb = part[r], part[g], part[b]
            for c in range(3):
                a = table[b0, g0, r0, c] + fr * (table[b0, g0, r0 + 1, c] - table[b0, g0, r0, c])
                d = table[b0, g0 + 1, r0, c] + fr * (table[b0, g0 + 1, r0 + 1, c] - table[b0, g0 + 1, r0, c])
                near = a + fg * (d - a)
                a = table[b0 + 1, g0, r0, c] + fr * (table[b0 + 1, g0, r0 + 1, c] - table[b0 + 1, g0, r0, c])
                d = table[b0 + 1, g0 + 1, r0, c] + fr * (
                    table[b0 + 1, g0 + 1, r0 + 1, c] - table[b0 + 1, g0 + 1, r0, c]
                )
                far = a + fg * (d - a)
                value = near + fb * (far - near) + np.float32(0.5)
                value = min(max(value, np.float32(0.0)), np.float32(255.0))
                out[i, j, c] = np.uint8(value)


def apply_table(rgb: NDArray[np.uint8], table: NDArray[np.float32]) -> NDArray[np.uint8]:
    """rgb uint8 [H, W, 3] · table float32 [S, S, S, 3], axes blue, green, red, values 0 … 255 -> uint8 [H, W, 3],
    rounded."""
    size = table.shape[0]
    if table.shape != (size, size, size, 3) or size < 2:
        raise ValueError(f"the table has shape {table.shape}: expected [S, S, S, 3]")
    at = np.arange(256) * ((size - 1) / 255)
    low = np.minimum(at.astype(np.int64), size - 2)
    out = np.empty_like(rgb)
    _apply(rgb, np.ascontiguousarray(table, np.float32), low, (at - low).astype(np.float32), out)
    return out
