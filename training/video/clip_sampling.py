"""Which frames of a video make a clip: uniform (TSN), dense (I3D), and causal (the newest frames of a stream).

All indices are 0-based, int64; `frames` is the video's length. Uniform: Wang et al., Temporal Segment Networks; dense:
Carreira & Zisserman, I3D; both with the arithmetic of the TSM release, so that its published figures can be repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DENSE_WINDOW = 64  # frames
DENSE_STARTS = 10

Indices = NDArray[np.int64]


def uniform_train(frames: int, segments: int, rng: np.random.Generator, length: int = 1) -> Indices:
    """One random frame of each of `segments` equal parts, [segments]. length: consecutive frames that each place needs
    (5 for optical flow). A video shorter than the segments gives repeated or leading frames."""
    average = (frames - length + 1) // segments
    if average > 0:
        return np.arange(segments) * average + rng.integers(average, size=segments)
    if frames > segments:
        return np.sort(rng.integers(frames - length + 1, size=segments))
    return np.zeros(segments, np.int64)


def uniform_test(frames: int, segments: int, length: int = 1, twice: bool = False) -> Indices:
    """The middle of each part, [segments]; twice: the parts' beginnings after them, [2 * segments]."""
    if frames > segments + length - 1:
        tick = (frames - length + 1) / segments
        middle = np.array([int(tick / 2.0 + tick * i) for i in range(segments)])
        if not twice:
            return middle
        return np.concatenate([middle, np.array([int(tick * i) for i in range(segments)])])
    return np.zeros(segments * (2 if twice else 1), np.int64)


def dense_train(frames: int, segments: int, rng: np.random.Generator) -> Indices:
    """`segments` frames spread over a window of 64 at a random place, modulo the video's length, [segments]."""
    last = max(1, 1 + frames - DENSE_WINDOW)
    start = 0 if last == 1 else int(rng.integers(last - 1))
    return (start + np.arange(segments) * (DENSE_WINDOW // segments)) % frames


def dense_test(frames: int, segments: int, starts: int = DENSE_STARTS) -> Indices:
    """`starts` such windows spread over the video, [starts, segments]."""
    last = max(1, 1 + frames - DENSE_WINDOW)
    begin = np.linspace(0, last - 1, num=starts, dtype=int)
    return (begin[:, None] + np.arange(segments) * (DENSE_WINDOW // segments)) % frames


def causal(end: int, segments: int, period: int) -> Indices:
    """The frame `end` and those before it, `period` frames apart, oldest first, [segments]. Raises ValueError where the
    video does not reach back so far."""
    first = end - (segments - 1) * period
    if first < 0:
        raise ValueError(
            f"frame {end} has no {segments} frames {period} apart behind it; the first end is {end - first}"
        )
    return first + np.arange(segments) * period
