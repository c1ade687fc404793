"""The memory and the operations of a network for one batch: what the native kernels run at every step.

Activations stay rows of channels from the first layer to the last; buffers are reused as soon as no layer reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.runtime import native
from models.runtime.arrange import bordered, fused, in_tiles, stem_of, strip
from models.runtime.compiled import Array
from models.runtime.lower import Activation, Layer, Lowered, Unsupported, View

CHUNK_BYTES = 128 * 1024  # of input that stays in the second-level cache while all panels of weights pass
SMALL_WEIGHTS = 128 * 1024  # bytes; below, chunks are small enough that their results stay in the cache as well
TILE_BYTES = 400 * 1024  # of transformed input that stays in the second-level cache
TILES = 48  # at most, for their sums have to stay there as well
ITEM_COST = 0.25  # of beginning a work item, in panels
KINDS = {
    "convolve": native.CONVOLVE,
    "depthwise": native.DEPTHWISE,
    "maximum_pool": native.MAXIMUM_POOL,
    "mean": native.MEAN,
}


def panels_of_item(panels: int, chunks: int, threads: int) -> int:
    """Panels of one work item: of those that give every thread about four, the one that lets all end together."""
    if threads == 1:
        return panels
    most = max(1, round(panels * chunks / (4 * threads)))
    costs = {p: -(-chunks * -(-panels // p) // threads) * (p + ITEM_COST) for p in range(1, min(panels, most) + 1)}
    return min(costs, key=lambda p: costs[p])


Weights = Mapping[Layer, tuple[np.ndarray, np.ndarray]]


class Workspace:
    """The buffers and the operations of one batch; the caches stay in it from step to step.

    weights: of every layer that has some, packed weights and padded bias (see arrange.py).
    """

    def __init__(self, lowered: Lowered, weights: Weights, layout: native.Layout, threads: int, batch: int):
        self.lowered, self.batch, self.layout = lowered, batch, layout
        self._weights, self._threads = weights, threads
        self._arena = native.Memory()
        self._memory: dict[Activation, np.ndarray] = {}
        self._buffers: dict[Activation, np.ndarray] = {}
        frame, *caches = lowered.inputs
        self._stem = stem_of(lowered)
        for rows in caches:
            self._buffers[rows] = self._new(rows.height * rows.width, self.layout.up(rows.channels))
        result = lowered.outputs[0]
        self._first = np.zeros((batch, result.channels, result.rows.height, result.rows.width), np.float32)
        program = [self._take_frame(frame), *self._layers(lowered, caches), self._give_result(result)]
        keep = [*self._buffers.values(), *weights.values(), self._first]
        self._operations = native.Operations(program, keep, threads, layout)
        self._caches = [self._buffers[c] for c in caches]

    def _new(self, pixels: int, stride: int) -> np.ndarray:
        return self._arena.take(self.batch * pixels * stride, self.layout.dtype).reshape(-1, stride)

    def _layers(self, lowered: Lowered, caches: list[Activation]) -> list[native.Operation]:
        """The layers in order, each followed by the caches that may be overwritten after it."""
        blocks = fused(lowered, self._threads, self.layout)
        end = {i: last for first, last in blocks.items() for i in range(first, last)}  # when a layer's work is done
        last: dict[Activation, int] = {}
        made = {layer.out: end.get(i, i) for i, layer in enumerate(lowered.layers)}
        for i, layer in enumerate(lowered.layers):
            for rows in (*(v.rows for v in layer.inputs), *([layer.residual] if layer.residual else [])):
                last[rows] = end.get(i, i)
        moves: dict[int, list[tuple[View, Activation]]] = {}
        for cache, view in zip(caches, lowered.outputs[1:]):
            at = max(last.get(cache, 0), made.get(view.rows, 0))
            if view.rows in caches and view.rows is not cache:
                raise Unsupported("native kernels take no cache from another cache")
            moves.setdefault(at, []).append((view, cache))
            after = end.get(at + 1, at + 1)  # no thread waits for a copy before it goes on to the next layer
            last[view.rows] = max(last.get(view.rows, 0), after)
        last[lowered.outputs[0].rows] = len(lowered.layers)
        kept = set(lowered.inputs)
        free: list[np.ndarray] = []
        program = []
        for i, layer in enumerate(lowered.layers):
            if i in end:
                self._buffers[layer.out] = np.zeros((0, self.layout.up(layer.out.channels)))  # lives in the scratch
            else:
                self._buffers[layer.out] = self._take(layer.out, free)
            if i in blocks:
                program.append(self._block(lowered.layers[i + 1]))
            program.append(self._operation(layer))
            program += [self._move(view, cache) for view, cache in moves.get(i, ())]
            done = [r for r, at in last.items() if at == i and r not in kept and r in self._memory]
            free += [self._memory.pop(r) for r in done]
        return program

    def _take(self, rows: Activation, free: list[np.ndarray]) -> np.ndarray:
        """Memory for an activation: the smallest free piece that is large enough, else new."""
        count = self.batch * rows.height * rows.width * self.layout.up(rows.channels)
        fitting = sorted((f for f in free if f.size >= count), key=lambda f: f.size)
        piece = fitting[0] if fitting else self._arena.take(count, self.layout.dtype)
        if fitting:
            free[:] = [f for f in free if f is not piece]
        self._memory[rows] = piece
        return piece[:count].reshape(-1, self.layout.up(rows.channels))

    def _operation(self, layer: Layer) -> native.Operation:
        rows, out = layer.inputs[0].rows, self._buffers[layer.out]
        op = native.Operation(
            kind=KINDS[layer.kind], batch=self.batch, in_height=rows.height, in_width=rows.width, in_pitch=rows.width,
            out_height=layer.out.height, out_width=layer.out.width, kernel_height=layer.kernel[0],
            kernel_width=layer.kernel[1], step=layer.step, pad_top=layer.pads[0], pad_left=layer.pads[1],
            out=out.ctypes.data, out_stride=out.shape[1], low=layer.low, high=layer.high,
        )  # fmt: skip
        for i, view in enumerate(layer.inputs):
            self._source(op, i, view)
        if layer in self._weights:
            op.weights, op.bias = (w.ctypes.data for w in self._weights[layer])
        op.residual = None if layer.residual is None else self._buffers[layer.residual].ctypes.data
        if layer is self._stem:
            self._read_lines(op, layer)
        if layer.kind == "convolve":
            self._divide(op, layer)
        return op

    def _block(self, middle: Layer) -> native.Operation:
        """What runs the next three operations as one, around this depthwise layer; in strips of lines."""
        return native.Operation(kind=native.FUSED, chunk=strip(middle, self._threads))

    def _read_lines(self, op: native.Operation, layer: Layer) -> None:
        """The stem reads a bordered frame without gaps: a line of its kernel is one run of floats."""
        height, width = bordered(layer)
        op.kernel_width, op.channels[0] = 1, layer.kernel[1] * layer.inputs[0].channels
        op.in_height, op.in_width, op.in_pitch, op.pad_top, op.pad_left = (height, width, width, 0, 0)

    def _divide(self, op: native.Operation, layer: Layer) -> None:
        """Work items: chunks of pixels or tiles, and parts of the panels where there are few chunks."""
        channels = sum(v.channels for v in layer.inputs)
        if in_tiles(layer, self.layout):
            op.kind = native.WINOGRAD
            units = self.batch * -(-layer.out.height // 2) * -(-layer.out.width // 2)
            most = max(native.ROWS, min(TILES, TILE_BYTES // (64 * channels)))
        else:
            units = self.batch * layer.out.height * layer.out.width
            size = self.layout.size
            if size * channels * op.out_stride * math.prod(layer.kernel) <= SMALL_WEIGHTS:
                fitting = CHUNK_BYTES // (size * (channels * layer.step**2 + op.out_stride)) // 2
            else:
                fitting = CHUNK_BYTES // (size * channels * layer.step**2)
            most = units if units <= 64 else max(48, layer.out.width, fitting // native.ROWS * native.ROWS)
        op.chunk = -(-units // -(-units // most))  # all chunks alike
        panels, chunks = -(-op.out_stride // self.layout.panel), -(-units // op.chunk)
        op.panels = panels_of_item(panels, chunks, self._threads)

    def _source(self, op: native.Operation, i: int, view: View) -> None:
        rows = self._buffers[view.rows]
        op.source[i] = rows.ctypes.data + self.layout.size * view.first
        op.stride[i] = rows.shape[1]
        op.channels[i] = view.channels

    def _move(self, view: View, cache: Activation) -> native.Operation:
        out = self._buffers[cache]
        op = native.Operation(
            kind=native.COPY, batch=self.batch, in_height=cache.height, in_width=cache.width, out=out.ctypes.data,
            out_stride=out.shape[1],
        )  # fmt: skip
        self._source(op, 0, view)
        return op

    def _take_frame(self, frame: Activation) -> native.Operation:
        """From the caller's [N, C, H, W], whose address every step sets, to rows: bordered where the stem reads."""
        height, width, stride = frame.height, frame.width, self.layout.up(frame.channels)
        op = native.Operation(kind=native.FROM_PLANES, batch=self.batch, in_height=height, in_width=width)
        if self._stem:
            (height, width), stride = bordered(self._stem), frame.channels
            op.pad_top, op.pad_left = self._stem.pads
        self._buffers[frame] = self._new(height * width, stride)
        op.channels[0], op.out, op.out_stride = (frame.channels, self._buffers[frame].ctypes.data, stride)
        op.out_height, op.in_pitch = height, width
        return op

    def _give_result(self, view: View) -> native.Operation:
        """From rows to [N, C, H, W]."""
        op = native.Operation(
            kind=native.TO_PLANES, batch=self.batch, in_height=view.rows.height, in_width=view.rows.width,
            out=self._first.ctypes.data,
        )  # fmt: skip
        self._source(op, 0, view)
        return op

    def step(self, frame: Array) -> Array:
        """One frame [N, C, H, W] -> the first output, valid until the next step."""
        frame = np.ascontiguousarray(frame, np.float32)
        self._operations.read_from(frame.ctypes.data)
        self._operations()
        return self._first[:, :, 0, 0] if self.lowered.flat else self._first

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """Takes caches [N, C, H, W]."""
        for mine, given, rows in zip(self._caches, caches, self.lowered.inputs[1:]):
            values = np.moveaxis(given, 1, -1).reshape(-1, rows.channels)
            mine[:, : rows.channels] = values if self.layout.depth == 1 else native.to_bf16(values)

    def caches(self) -> tuple[Array, ...]:
        """Copies of the caches [N, C, H, W]."""
        found = []
        for mine, rows in zip(self._caches, self.lowered.inputs[1:]):
            values = mine[:, : rows.channels]
            values = values if self.layout.depth == 1 else native.from_bf16(values)
            shaped = values.reshape(self.batch, rows.height, rows.width, rows.channels)
            found.append(np.ascontiguousarray(np.moveaxis(shaped, -1, 1)))
        return tuple(found)

    def _row(self, cache: np.ndarray, row: int) -> np.ndarray:
        """The pixels of one row of the batch."""
        pixels = len(cache) // self.batch
        return cache[row * pixels : (row + 1) * pixels]

    def give_row(self, row: int, one: Workspace) -> None:
        """Copies the caches of a row to a workspace of batch 1."""
        for mine, other in zip(self._caches, one._caches):
            other[:] = self._row(mine, row)

    def take_row(self, row: int, one: Workspace) -> None:
        """Copies the caches of a row from a workspace of batch 1."""
        for mine, other in zip(self._caches, one._caches):
            self._row(mine, row)[:] = other

    def reset_row(self, row: int) -> None:
        """Zero caches for a row."""
        for mine in self._caches:
            self._row(mine, row)[:] = 0
