"""Multiply-accumulates of a network on a given cloud: kernel-map pairs x Cin x Cout, plus the linear layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.sparse import Level


def macs_by_part(
    level: Level, channels: Sequence[int], in_channels: int, classes: int, point_branch: bool
) -> dict[str, int]:
    """MACs by part of the plan (stem, stage1…4, up1…4, points, classifier) on the voxels of `level` (stride 1).

    The released papers count the same way: a convolution costs what its existing neighbours cost,
    interpolation nothing.
    """
    levels = [level]
    for _ in range(4):
        levels.append(levels[-1].down()[0])
    pairs = [len(found.submanifold(3)) for found in levels]
    voxels = [len(found) for found in levels]
    c = list(channels)

    def residual(at: int, inputs: int, outputs: int) -> int:
        shortcut = 0 if inputs == outputs else voxels[at] * inputs * outputs
        return pairs[at] * (inputs * outputs + outputs * outputs) + shortcut

    parts = {"stem": pairs[0] * (in_channels * c[0] + c[0] * c[0])}
    for i in range(1, 5):
        down = voxels[i - 1] * c[i - 1] * c[i - 1]
        parts[f"stage{i}"] = down + residual(i, c[i - 1], c[i]) + residual(i, c[i], c[i])
    for i in range(1, 5):
        at, skip = 4 - i, c[4 - i]
        up = voxels[at] * c[3 + i] * c[4 + i]
        parts[f"up{i}"] = up + residual(at, c[4 + i] + skip, c[4 + i]) + residual(at, c[4 + i], c[4 + i])
    if point_branch:
        parts["points"] = voxels[0] * (c[0] * c[4] + c[4] * c[6] + c[6] * c[8])
    parts["classifier"] = voxels[0] * c[8] * classes
    return parts


def gmacs(
    level: Level, channels: Sequence[int], in_channels: int = 4, classes: int = 19, point_branch: bool = True
) -> float:
    """Total in 10^9 multiply-accumulates."""
    return math.fsum(macs_by_part(level, channels, in_channels, classes, point_branch).values()) / 1e9
