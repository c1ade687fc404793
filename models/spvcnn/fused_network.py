"""MinkUNet, SPVCNN and SPVNAS on the fused CPU engine (models.sparse.fused): batch norms folded, weights packed, and no
concatenation, shortcut or addition as a pass of its own.

Precisions "int16" and "int8" keep voxel features and weights in 16 or 8 bits, but not where that costs accuracy for
nothing: the raw input features, the point branch's own rows and the logits stay float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.sparse import MapSet, fused
from models.sparse.fused import Packed, Rows
from models.sparse.kernel_map import KernelMap
from models.sparse.program import Program


class _Block(NamedTuple):
    """A residual block: both convolutions, the second with the shortcut's terms where widths differ."""

    first: Packed
    second: Packed
    shortcut: bool


class _Up(NamedTuple):
    """A transposed convolution, a block on (its output, skip) without their concatenation, and plain blocks."""

    climb: Packed
    joined: _Block
    rest: list[_Block]


def _pair(pair: Any, precision: str) -> Packed:
    """A convolution and its batch norm."""
    kernel, bias = fused.fold(pair[0].kernel, pair[1])
    return fused.pack([kernel], bias, precision)


def _linear(linear: Any, norm: Any, precision: str) -> Packed:
    kernel, bias = fused.fold(linear.weight.detach().t(), norm, linear.bias)
    return fused.pack([kernel], bias, precision)


def _block(block: Any, precision: str, split: int = 0) -> _Block:
    """A residual block. split: channels of the first of two inputs that stand for their concatenation, or 0."""
    one, two, shortcut = block.pairs()
    first, first_bias = fused.fold(one[0].kernel, one[1])
    second, bias = fused.fold(two[0].kernel, two[1])
    parts = [slice(0, split), slice(split, None)] if split else [slice(None)]
    terms = [second]
    if shortcut is not None:
        kernel, more = fused.fold(shortcut[0].kernel, shortcut[1])
        terms += [kernel[:, p] for p in parts]
        bias = bias + more
    elif split:
        raise ValueError("a block of two inputs whose sum of widths is its output width needs a concatenation")
    return _Block(
        fused.pack([first[:, p] for p in parts], first_bias, precision),
        fused.pack(terms, bias, precision),
        shortcut is not None,
    )


class FusedNetwork:
    """One network's packed weights; call it on features and maps. Results do not depend on `threads`.

    network: MinkUNet, SPVCNN or SPVNAS in eval mode · precision: "fp32", "int16" or "int8" (see models.sparse.fused).
    """

    point_strides = (4, 16)

    def __init__(self, network: Any, precision: str, threads: int):
        self.precision, self.threads = precision, threads
        p = precision
        self._stem0 = _pair(network.stem[0:2], "fp32")
        self._stem1 = _pair(network.stem[3:5], p)
        self._down = [(_pair(t.pair(), p), [_block(b, p) for b in blocks]) for t, blocks in network.down_layers()]
        self._up = [
            _Up(
                _pair(t.pair(), p),
                _block(blocks[0], p, split=t.pair()[0].kernel.shape[-1]),
                [_block(b, p) for b in blocks[1:]],
            )
            for t, blocks in network.up_layers()
        ]
        kinds = (p, "fp32", "fp32")  # the first reads voxel features, the others the points' own
        self._points = [_linear(linear, norm, k) for (linear, norm), k in zip(network.point_layers(), kinds)]
        self._classifier = _linear(network.head(), None, "fp32" if self._points else p)

    def program(self) -> Program:
        """This network as one call of the compiled engine; its points are its voxels."""
        strides = self.point_strides if self._points else ()
        return Program(self, self._stem0.channels[0], self._classifier.outputs, strides)

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
        y = self._residual(self._up[i].joined, [y, skip], same)
        for block in self._up[i].rest:
            y = self._residual(block, [y], same)
        return y

    def __call__(self, x: Rows, maps: MapSet) -> NDArray[np.float32]:
        """x: float32 rows [N, C] on the voxels of maps.levels[0] (with a point branch: these are the points,
        maps.points at strides 4 and 16) -> logits float32 [N, classes]."""
        levels = maps.levels
        n, same = len(levels[0]), levels[0].submanifold(3)
        x0 = self._run(self._stem1, [(self._run(self._stem0, [(x, same)], n), same)], n)
        skips = [x0]
        for (down, blocks), level in zip(self._down, levels):
            coarse, found = level.down()
            y = self._run(down, [(skips[-1], found)], len(coarse))
            same = coarse.submanifold(3)
            for block in blocks:
                y = self._residual(block, [y], same)
            skips.append(y)
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
