"""MinkUNet and SPVCNN on the fused CPU engine (models.sparse.fused): batch norms folded, weights packed, and no
concatenation, shortcut or addition as a pass of its own.

Precision "int16" keeps voxel features and weights in 16 bits everywhere but where it would cost accuracy for nothing:
the raw input features, the point branch's own rows and the logits stay float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from models.sparse import MapSet, fused
from models.sparse.fused import Packed, Rows
from models.sparse.kernel_map import KernelMap
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.spvcnn import SPVCNN


class _Block(NamedTuple):
    """A residual block: both convolutions, the second with the shortcut's terms where widths differ."""

    first: Packed
    second: Packed
    shortcut: bool


class _Up(NamedTuple):
    """A transposed convolution, a block on (its output, skip) without their concatenation, and a plain block."""

    climb: Packed
    joined: _Block
    last: _Block


def _conv(block: Any, precision: str) -> Packed:
    return _pair(block.net[0], block.net[1], precision)


def _pair(conv: Any, norm: Any, precision: str) -> Packed:
    kernel, bias = fused.fold(conv.kernel, norm)
    return fused.pack([kernel], bias, precision)


def _linear(linear: Any, norm: Any, precision: str) -> Packed:
    kernel, bias = fused.fold(linear.weight.detach().t(), norm, linear.bias)
    return fused.pack([kernel], bias, precision)


def _block(block: Any, precision: str, split: int = 0) -> _Block:
    """A ResidualBlock. split: channels of the first of two inputs that stand for their concatenation, or 0."""
    first, first_bias = fused.fold(block.net[0].kernel, block.net[1])
    second, bias = fused.fold(block.net[3].kernel, block.net[4])
    parts = [slice(0, split), slice(split, None)] if split else [slice(None)]
    terms = [second]
    shortcut = not isinstance(block.downsample, nn.Identity)
    if shortcut:
        kernel, more = fused.fold(block.downsample[0].kernel, block.downsample[1])
        terms += [kernel[:, p] for p in parts]
        bias = bias + more
    elif split:
        raise ValueError("a block of two inputs whose sum of widths is its output width needs a concatenation")
    return _Block(
        fused.pack([first[:, p] for p in parts], first_bias, precision), fused.pack(terms, bias, precision), shortcut
    )


class FusedNetwork:
    """One network's packed weights; call it on features and maps. Results do not depend on `threads`.

    network: MinkUNet or SPVCNN in eval mode · precision: "fp32" or "int16" (see models.sparse.fused).
    """

    def __init__(self, network: MinkUNet, precision: str, threads: int):
        self.precision, self.threads = precision, threads
        p, c = precision, network.channels
        self._stem0 = _pair(network.stem[0], network.stem[1], "fp32")
        self._stem1 = _pair(network.stem[3], network.stem[4], p)
        stages: Any = (network.stage1, network.stage2, network.stage3, network.stage4)
        self._down = [(_conv(s[0], p), _block(s[1], p), _block(s[2], p)) for s in stages]
        ups: Any = (network.up1, network.up2, network.up3, network.up4)
        self._up = [
            _Up(_conv(u[0], p), _block(u[1][0], p, split=c[5 + i]), _block(u[1][1], p)) for i, u in enumerate(ups)
        ]
        self._points: list[Packed] = []
        if isinstance(network, SPVCNN):
            kinds = (p, "fp32", "fp32")  # the first reads voxel features, the others the points' own
            branches = [cast(nn.Sequential, t) for t in network.point_transforms]
            self._points = [_linear(t[0], t[1], k) for t, k in zip(branches, kinds)]
        self._classifier = _linear(network.classifier[0], None, "fp32" if self._points else p)

    def _run(
        self, weights: Packed, inputs: list[tuple[Rows, KernelMap | None]], rows: int, residual: Rows | None = None
    ) -> Rows:
        return fused.convolve(weights, inputs, rows, residual, out_precision=self.precision, threads=self.threads)

    def _residual(self, block: _Block, parts: list[Rows], same: KernelMap) -> Rows:
        n = same.outputs
        hidden = self._run(block.first, [(x, same) for x in parts], n)
        if block.shortcut:
            return self._run(block.second, [(hidden, same), *((x, None) for x in parts)], n)
        return self._run(block.second, [(hidden, same)], n, residual=parts[0])

    def _climb(self, i: int, x: Rows, skip: Rows, maps: MapSet) -> Rows:
        coarse = maps.levels[4 - i]
        finer, up = coarse.up()
        same = finer.submanifold(3)
        y = self._run(self._up[i].climb, [(x, up)], len(finer))
        return self._residual(self._up[i].last, [self._residual(self._up[i].joined, [y, skip], same)], same)

    def __call__(self, x: Rows, maps: MapSet) -> NDArray[np.float32]:
        """x: float32 rows [N, C] on the voxels of maps.levels[0] (SPVCNN: these are the points, maps.points at strides
        4 and 16) -> logits float32 [N, classes]."""
        levels = maps.levels
        n, same = len(levels[0]), levels[0].submanifold(3)
        x0 = self._run(self._stem1, [(self._run(self._stem0, [(x, same)], n), same)], n)
        skips = [x0]
        for (down, first, second), level in zip(self._down, levels):
            coarse, found = level.down()
            y = self._run(down, [(skips[-1], found)], len(coarse))
            same = coarse.submanifold(3)
            skips.append(self._residual(second, [self._residual(first, [y], same)], same))
        y, z = skips.pop(), None
        if self._points:
            y, z = self._exchange(y, x0, self._points[0], maps, 16)
        y = self._climb(0, y, skips[3], maps)
        y = self._climb(1, y, skips[2], maps)
        if z is not None:
            y, z = self._exchange(y, z, self._points[1], maps, 4)
        y = self._climb(2, y, skips[1], maps)
        y = self._climb(3, y, skips[0], maps)
        if z is not None:
            y = fused.convolve(
                self._points[2], [(z, None)], n, residual=y, residual_after_relu=True, out_precision="fp32",
                threads=self.threads,
            )  # fmt: skip
        logits = fused.convolve(
            self._classifier, [(y, None)], n, relu=False, out_precision="fp32", threads=self.threads
        )  # fmt: skip
        return logits.array()

    def _exchange(self, y: Rows, z: Rows, transform: Packed, maps: MapSet, stride: int) -> tuple[Rows, Rows]:
        """(voxels, points) after a meeting: points = voxels interpolated + transform(points), voxels = their means."""
        points = maps.points[stride]
        z = fused.convolve(transform, [(z, None)], len(points), out_precision="fp32", threads=self.threads)
        fused.interpolate(y, points, onto=z, threads=self.threads)
        return fused.point_mean(z, points, self.precision, threads=self.threads), z
