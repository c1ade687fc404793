"""Augmentation of a clip, the same for all of its frames (except a pan), on uint8 [T, H, W, C].

Cropping and testing follow the TSN/TSM recipe. A flip swaps the classes that have sides (`flip_labels`); for data whose
labels speak of left and right without such a partner (Something-Something, Jester) it must be off. Stacked flow keeps
x in the even channels: a flip inverts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipAugment:
    """scales: crop sizes as shares of the shorter side (official: 1, .875, .75, .66; () for none) · distort: how many
    places in `scales` height and width may differ · flip: its chance · light: spread of brightness and contrast · pan:
    share of the clips over which the crop travels, at a steady speed: motion that no single frame gives away, for
    lessons of motion alone (it changes what turns look like)."""

    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    distort: int = 1
    flip: float = 0.5
    light: float = 0.0
    pan: float = 0.0


def crop_offsets(width: int, height: int, crop_width: int, crop_height: int) -> list[tuple[int, int]]:
    """The 13 fixed places (x, y) of a crop: corners and centre, middles of the sides, and between corner and centre."""
    x, y = (width - crop_width) // 4, (height - crop_height) // 4
    grid = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3)]
    return [(i * x, j * y) for i, j in grid]


def multi_scale_crop(clip: Clip, size: tuple[int, int], config: ClipAugment, rng: np.random.Generator) -> Clip:
    """A random one of the crops, resized to `size` (height, width) px. Scales are shares of each side where the wanted
    picture is not square, of the shorter side where it is."""
    _, height, width = clip.shape[:3]
    square = size[0] == size[1]
    base = (min(height, width),) * 2 if square else (height, width)
    places = len(config.scales)
    pairs = [(i, j) for i in range(places) for j in range(places) if abs(i - j) <= config.distort]
    if not pairs:
        return resized(clip, size)
    i, j = pairs[int(rng.integers(len(pairs)))]
    high, wide = round(base[0] * config.scales[i]), round(base[1] * config.scales[j])
    if config.pan > 0 and rng.random() < config.pan:
        return resized(panned(clip, high, wide, rng), size)
    offsets = crop_offsets(width, height, wide, high)
    x, y = offsets[int(rng.integers(len(offsets)))]
    return resized(clip[:, y : y + high, x : x + wide], size)


def panned(clip: Clip, high: int, wide: int, rng: np.random.Generator) -> Clip:
    """A crop of `high` x `wide` px that travels from one random place to another."""
    frames, height, width = clip.shape[:3]
    ends = rng.uniform(0, [height - high, width - wide], size=(2, 2))  # first and last frame: y, x
    places = np.linspace(*ends, frames).round().astype(int)
    return np.stack([frame[y : y + high, x : x + wide] for frame, (y, x) in zip(clip, places)])


def resized(clip: Clip, size: tuple[int, int]) -> Clip:
    """Every frame at `size` (height, width): bilinear, by areas where it gets much smaller."""
    import cv2

    if clip.shape[1:3] == tuple(size):
        return clip
    small = clip.shape[1] > 1.5 * size[0] or clip.shape[2] > 1.5 * size[1]
    how = cv2.INTER_AREA if small else cv2.INTER_LINEAR
    out = np.empty((len(clip), *size, clip.shape[3]), np.uint8)
    for i, frame in enumerate(clip):
        out[i] = cv2.resize(frame, (size[1], size[0]), interpolation=how).reshape(*size, clip.shape[3])
    return out


def flipped(clip: Clip, flow: bool = False) -> Clip:
    """Mirrored left to right. flow: channels are x, y, x, y, …, zero motion at 128; x is inverted."""
    out = clip[:, :, ::-1]
    if flow:
        out = out.copy()
        out[..., ::2] = 255 - out[..., ::2]
    return out


def augment(
    clip: Clip, labels: NDArray[np.int64], size: tuple[int, int], config: ClipAugment, rng: np.random.Generator,
    flip_labels: NDArray[np.int64] | None = None, flow: bool = False,
) -> tuple[Clip, NDArray[np.int64]]:  # fmt: skip
    """(clip uint8 [T, *size, C], labels) of one training sample. flip_labels int64 [K]: what each class becomes in the
    mirror; None: labels have no sides. Labels below 0 (ignored) stay."""
    clip = multi_scale_crop(clip, size, config, rng)
    if rng.random() < config.flip:
        clip = flipped(clip, flow)
        labels = labels if flip_labels is None else np.where(labels < 0, labels, flip_labels[labels.clip(0)])
    if config.light > 0 and not flow:
        clip = _relit(clip, config.light, rng)
    return np.ascontiguousarray(clip), labels


def _relit(clip: Clip, spread: float, rng: np.random.Generator) -> Clip:
    """Contrast about mid-grey, brightness and the balance of the colours, by a table."""
    contrast = 1.0 + spread * rng.uniform(-1, 1)
    shift = 128.0 * spread * rng.uniform(-1, 1) + 24.0 * spread * rng.uniform(-1, 1, size=clip.shape[-1])
    levels = np.arange(256.0)[:, None]
    table = np.clip((levels - 128.0) * contrast + 128.0 + shift, 0, 255).astype(np.uint8)
    return np.stack([table[clip[..., c], c] for c in range(clip.shape[-1])], axis=-1)


def test_crops(clip: Clip, size: int, crops: int = 1, scale: int = 256) -> NDArray[np.uint8]:
    """Crops of a test clip, uint8 [crops, T, size, size, C]: the shorter side becomes `scale` px, then 1: centre ·
    3: left, centre, right (top, centre, bottom) at full height · 5: corners and centre · 10: those and their mirrors.
    Raises ValueError for other numbers."""
    _, height, width = clip.shape[:3]
    factor = scale / min(height, width)
    clip = resized(clip, (round(height * factor), round(width * factor)))
    _, height, width = clip.shape[:3]
    x, y = width - size, height - size
    middle = (x // 2, y // 2)
    places = {
        1: [middle],
        3: [(0, y // 2), middle, (x, y // 2)] if width >= height else [(x // 2, 0), middle, (x // 2, y)],
        5: [(0, 0), (x, 0), (0, y), (x, y), middle],
    }
    places[10] = places[5]
    if crops not in places:
        raise ValueError(f"{crops} crops; known: 1, 3, 5, 10")
    out = [clip[:, b : b + size, a : a + size] for a, b in places[crops]]
    if crops == 10:
        out += [flipped(c) for c in out]
    return np.ascontiguousarray(np.stack(out))
