"""The layer plan of SPVCNN's U-Net as data, with random weights: what every engine of `benchmarks.sparse` runs.

Batch norm counts as folded for everyone: each convolution has weights [K, Cin, Cout] and a bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDTHS = (32, 32, 64, 128, 256, 256, 128, 96, 96)


@dataclass(frozen=True)
class Conv:
    """One convolution: kernel [K, Cin, Cout], bias [Cout]. kind: "same" (3^3), "down", "up" (2^3, stride 2) or
    "point" (1^3).
    """

    kind: str
    level: int
    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Block:
    """relu(second(relu(first(x))) + (shortcut(x) or x))."""

    first: Conv
    second: Conv
    shortcut: Conv | None


@dataclass(frozen=True)
class UNet:
    """stem (2), per stage: down + 2 blocks, per up stage: up + concatenation with the skip + 2 blocks, classifier."""

    stem: list[Conv]
    down: list[tuple[Conv, Block, Block]]
    up: list[tuple[Conv, Block, Block]]
    classifier: Conv


def build(width: float = 0.5, inputs: int = 4, classes: int = 19, seed: int = 0) -> UNet:
    """The plan of SPVCNN (reference: widths 32, 32, 64, 128, 256, 256, 128, 96, 96 times `width`)."""
    rng = np.random.default_rng(seed)
    c = [int(w * width) for w in WIDTHS]

    def conv(kind: str, level: int, channels: int, outputs: int, gain: float = 1.6) -> Conv:
        volume = {"same": 27, "down": 8, "up": 8, "point": 1}[kind]
        # About 4 of 27 neighbours exist, all children of a parent do not either: keep activations near one.
        reach = {"same": 5.0, "down": 2.0, "up": 1.0, "point": 1.0}[kind]
        kernel = rng.normal(0, gain / math.sqrt(channels * reach), (volume, channels, outputs))
        return Conv(kind, level, kernel.astype(np.float32), rng.normal(0, 0.1, outputs).astype(np.float32))

    def block(level: int, channels: int, outputs: int) -> Block:
        shortcut = conv("point", level, channels, outputs, 0.8) if channels != outputs else None
        return Block(conv("same", level, channels, outputs), conv("same", level, outputs, outputs, 0.8), shortcut)

    stem = [conv("same", 0, inputs, c[0]), conv("same", 0, c[0], c[0])]
    down, up = [], []
    for i in range(1, 5):
        down.append((conv("down", i - 1, c[i - 1], c[i - 1]), block(i, c[i - 1], c[i]), block(i, c[i], c[i])))
    for i in range(1, 5):
        level, out = 4 - i, c[4 + i]
        up.append((conv("up", level, c[3 + i], out), block(level, out + c[level], out), block(level, out, out)))
    return UNet(stem, down, up, conv("point", 0, c[8], classes))


def convolutions(plan: UNet) -> list[Conv]:
    """Every convolution of the plan."""
    out = list(plan.stem)
    for conv, *blocks in plan.down + plan.up:
        out.append(conv)
        for b in blocks:
            out += [b.first, b.second] + ([b.shortcut] if b.shortcut else [])
    return [*out, plan.classifier]


def macs(plan: UNet, pairs_same: list[int], voxels: list[int]) -> float:
    """Multiply-adds: pairs of each map times Cin times Cout (a down or up map has one pair per fine voxel)."""
    total = 0
    for conv in convolutions(plan):
        pairs = pairs_same[conv.level] if conv.kind == "same" else voxels[conv.level]
        total += pairs * conv.kernel.shape[1] * conv.kernel.shape[2]
    return float(total)
