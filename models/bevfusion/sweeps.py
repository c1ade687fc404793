"""Several LiDAR sweeps as one cloud in the newest sweep's frame, each point with its age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SWEEPS = 9  # beside the newest one
NEAR = 1.0  # m


@dataclass(frozen=True, eq=False)
class Sweep:
    """points float32 [P, 4 or more]: x, y, z in m in the sweep's own LiDAR frame, intensity 0 to 255 · stamp_s: s ·
    now_from_sweep: float [4, 4], takes the sweep's coordinates to the newest sweep's LiDAR frame.
    """

    points: NDArray[np.float32]
    stamp_s: float
    now_from_sweep: NDArray[np.float64]


def without_near(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points outside the square |x| < 1 m, |y| < 1 m (the vehicle's own roof)."""
    return points[~((np.abs(points[:, 0]) < NEAR) & (np.abs(points[:, 1]) < NEAR))]


def accumulate(
    points: NDArray[np.float32], stamp_s: float, past: Sequence[Sweep], most: int = SWEEPS
) -> NDArray[np.float32]:
    """Ten sweeps as the released models are fed: float32 [N, 5], x, y, z (m, newest LiDAR frame), intensity (0 to 255),
    age (s).

    points: the newest sweep, float32 [P, 4 or more]; all of its points stay, with age 0 · past: newest first; the first
    `most` are taken, without the points within 1 m. Without any past the newest sweep is repeated `most` times, as the
    released code does at the start of a recording.

    The released code draws the sweeps at random even in evaluation; this takes the newest, so that results repeat.
    """
    now = np.column_stack([points[:, :4], np.zeros(len(points))]).astype(np.float32)
    parts = [now]
    for sweep in past[:most]:
        old = without_near(sweep.points)
        turn, shift = sweep.now_from_sweep[:3, :3], sweep.now_from_sweep[:3, 3]
        xyz = old[:, :3] @ turn.T + shift
        parts.append(np.column_stack([xyz, old[:, 3], np.full(len(old), stamp_s - sweep.stamp_s)]).astype(np.float32))
    if not past:
        parts += [without_near(now)] * most
    return np.concatenate(parts)
