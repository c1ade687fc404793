"""Hashes and filtered noise textures that every procedural surface draws on.

A noise texture is a tile of 512 x 512 texels with zero mean and unit deviation, kept with all its mip levels in one
flat array, so a surface seen from afar averages to its mean instead of flickering (L. Williams, "Pyramidal
Parametrics", 1983).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper

SIZE = 512
LEVELS = 10  # 512, 256, ... 1
_OFFSETS = tuple(int(sum((SIZE >> k) ** 2 for k in range(level))) for level in range(LEVELS))
OFFSETS = np.array(_OFFSETS, np.int64)

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xC2B2AE3D27D4EB4F)
_C = np.uint64(0x165667B19E3779F9)
_D = np.uint64(0xBF58476D1CE4E5B9)
_S29 = np.uint64(29)
_S32 = np.uint64(32)
_S40 = np.uint64(40)
_UNIT = 1.0 / (1 << 24)


class Textures(NamedTuple):
    """Mip chains, float32 [sum of level sizes]: `grain` is white noise, `fractal` has a 1/f spectrum (stains)."""

    grain: NDArray[np.float32]
    fractal: NDArray[np.float32]


@helper
def hash3(a, b, c):
    """Three integers to a uniform number in [0, 1)."""
    h = np.uint64(a) * _A ^ (np.uint64(b) * _B + _C) ^ (np.uint64(c) * _C + _A)
    h ^= h >> _S32
    h *= _D
    h ^= h >> _S29
    h *= _B
    h ^= h >> _S32
    return float(h >> _S40) * _UNIT


@helper
def floor_int(x):
    """Largest integer not above x."""
    return np.int64(np.floor(x))


@helper
def smooth(low, high, x):
    """Hermite step: 0 below low, 1 above high."""
    t = (x - low) / (high - low)
    if t <= 0.0:
        return 0.0
    if t >= 1.0:
        return 1.0
    return t * t * (3.0 - 2.0 * t)


@helper
def log2_near(x):
    """log2 of a positive number to within 0.05, from the bits of its float32: enough to choose a mip level."""
    return np.float32(x).view(np.int32) * (1.0 / (1 << 23)) - 126.957


@helper
def tap(mips, u, v, lod):
    """Bilinear sample of a noise texture at (u, v) texels of level 0, from the mip level nearest to `lod`."""
    level = np.int64(lod + 0.5) if lod > 0.0 else np.int64(0)
    if level > 8:
        return 0.0
    scale = 1.0 / (np.int64(1) << level)
    x = u * scale - 0.5
    y = v * scale - 0.5
    x0 = np.floor(x)
    y0 = np.floor(y)
    fx = x - x0
    fy = y - y0
    size = np.int64(512) >> level
    mask = size - 1
    ix = np.int64(x0) & mask
    iy = np.int64(y0) & mask
    jx = (ix + 1) & mask
    jy = (iy + 1) & mask
    base = OFFSETS[level]
    r0 = base + iy * size
    r1 = base + jy * size
    top = mips[r0 + ix] * (1.0 - fx) + mips[r0 + jx] * fx
    low = mips[r1 + ix] * (1.0 - fx) + mips[r1 + jx] * fx
    return top * (1.0 - fy) + low * fy


def _mips(tile: NDArray[np.float64]) -> NDArray[np.float32]:
    levels = [tile]
    while levels[-1].shape[0] > 1:
        t = levels[-1]
        levels.append((t[::2, ::2] + t[1::2, ::2] + t[::2, 1::2] + t[1::2, 1::2]) / 4)
    return np.concatenate([level.ravel() for level in levels]).astype(np.float32)


@lru_cache(maxsize=1)
def textures() -> Textures:
    """The two noise tiles; the same in every world (worlds shift and scale them)."""
    rng = np.random.default_rng(20240)
    white = rng.standard_normal((SIZE, SIZE))
    grain = (white + np.roll(white, 1, 0) + np.roll(white, 1, 1) + np.roll(white, (1, 1), (0, 1))) / 2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    f[0, 0] = np.inf
    f = np.maximum(f, 2.0 / SIZE)
    fractal = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / f**1.15, s=(SIZE, SIZE))
    fractal -= fractal.mean()
    return Textures(_mips(grain - grain.mean()), _mips(fractal / fractal.std()))
