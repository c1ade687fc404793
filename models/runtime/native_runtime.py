"""Our own kernels: the temporal shift costs nothing, for convolutions read their first channels from the caches.

Activations stay rows of channels from the first layer to the last; buffers are used again as soon as nobody reads them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from models.runtime import native
from models.runtime.compiled import Array, Compiled, Signature, Stream
from models.runtime.lower import Layer, Lowered, Rows, Unsupported, View, lower

if TYPE_CHECKING:
    from torch import Tensor, nn

PLANS = 4  # batches kept ready
CHUNK_BYTES = 128 * 1024  # of input that stays in the second-level cache while all panels of weights pass
SMALL_WEIGHTS = 128 * 1024  # bytes; below, chunks are small enough that their results stay in the cache as well
KINDS = {
    "convolve": native.CONVOLVE,
    "depthwise": native.DEPTHWISE,
    "maximum_pool": native.MAXIMUM_POOL,
    "mean": native.MEAN,
}


def up(channels: int) -> int:
    """Floats of a row."""
    return -(-channels // native.LANES) * native.LANES


def packed(layer: Layer) -> np.ndarray | None:
    """Weights in the order in which the kernels read them, see csrc/dense.h."""
    if layer.weights is None:
        return None
    outputs = layer.weights.shape[0]
    matrix = np.zeros((layer.weights[0].size, up(outputs)), np.float32)
    matrix[:, :outputs] = layer.weights.transpose(2, 3, 1, 0).reshape(-1, outputs)
    if layer.kind == "depthwise":
        return matrix
    return np.concatenate([matrix[:, at : at + native.PANEL].ravel() for at in range(0, up(outputs), native.PANEL)])


class NativeCompiled(Compiled):
    """A network in our kernels; one input that is no cache, one output that is none."""

    runtime = "native"

    def __init__(
        self, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
    ):
        if native.absence():
            raise ModelError(f"runtime native is not there: {native.absence()}")
        if precision == "bf16":
            raise ModelError("runtime native computes in fp32: take precision fp32 or runtime openvino")
        super().__init__(signature, threads, precision)
        self.lowered = lower(module, examples)
        caches, outputs = self.lowered.inputs[1:], self.lowered.outputs[1:]
        if [(c.channels, c.height, c.width) for c in caches] != [
            (o.channels, o.rows.height, o.rows.width) for o in outputs
        ]:
            raise Unsupported("native kernels take one frame and caches, and give one result and the next caches")
        self.weights = {
            layer: (packed(layer), None if layer.bias is None else padded(layer.bias)) for layer in self.lowered.layers
        }
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self.plan(signature.shapes[0][0])

    def plan(self, batch: int) -> Plan:
        """The program for a batch; the least recently used is forgotten."""
        if batch in self._plans:
            self._plans.move_to_end(batch)
        else:
            self._plans[batch] = Plan(self, batch)
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return self._plans[batch]

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled."""
        plan = self.plan(arrays[0].shape[0])
        plan.load(arrays[1:])
        first = plan.step(arrays[0]).copy()
        return (first, *plan.caches())

    def describe(self) -> str:
        """See Compiled."""
        return f"native kernels ({'AVX2' if native.level() else 'plain'}), {self.precision}, {self.threads} threads"

    def stream(self, batch: int = 1) -> Stream:
        """See Compiled."""
        return NativeStream(self, batch)


def padded(bias: np.ndarray) -> np.ndarray:
    """A bias as long as a row."""
    return np.concatenate([bias, np.zeros(up(len(bias)) - len(bias), np.float32)]).astype(np.float32)


class Plan:
    """The buffers and the program of one batch; the caches stay in it from step to step."""

    def __init__(self, network: NativeCompiled, batch: int):
        self.network, self.batch = network, batch
        self._buffers: dict[Rows, np.ndarray] = {}
        lowered = network.lowered
        frame, *caches = lowered.inputs
        for rows in lowered.inputs:
            self._buffers[rows] = self._new(rows)
        self._frame = np.zeros((batch, frame.channels, frame.height, frame.width), np.float32)
        result = lowered.outputs[0]
        self._first = np.zeros((batch, result.channels, result.rows.height, result.rows.width), np.float32)
        program = [self._planes(native.FROM_PLANES, View(frame, 0, frame.channels), self._frame)]
        program += self._layers(lowered, caches)
        program.append(self._planes(native.TO_PLANES, result, self._first))
        keep = [*self._buffers.values(), *network.weights.values(), self._frame, self._first]
        self._program = native.Program(program, keep, network.threads)
        self._caches = [self._buffers[c] for c in caches]

    def _new(self, rows: Rows) -> np.ndarray:
        return np.zeros((self.batch * rows.height * rows.width, up(rows.channels)), np.float32)

    def _layers(self, lowered: Lowered, caches: list[Rows]) -> list[native.Operation]:
        """The layers in order, each followed by the caches that may be overwritten after it."""
        last: dict[Rows, int] = {}
        made = {layer.out: i for i, layer in enumerate(lowered.layers)}
        for i, layer in enumerate(lowered.layers):
            for rows in (*(v.rows for v in layer.inputs), *([layer.residual] if layer.residual else [])):
                last[rows] = i
        moves: dict[int, list[tuple[View, Rows]]] = {}
        for cache, view in zip(caches, lowered.outputs[1:]):
            at = max(last.get(cache, 0), made.get(view.rows, 0))
            if view.rows in caches and view.rows is not cache:
                raise Unsupported("native kernels take no cache from another cache")
            moves.setdefault(at, []).append((view, cache))
            last[view.rows] = max(last.get(view.rows, 0), at)
        last[lowered.outputs[0].rows] = len(lowered.layers)
        kept = set(lowered.inputs)
        free: list[np.ndarray] = []
        program = []
        for i, layer in enumerate(lowered.layers):
            self._buffers[layer.out] = self._take(layer.out, free)
            program.append(self._operation(layer))
            program += [self._move(view, cache) for view, cache in moves.get(i, ())]
            done = [r for r, at in last.items() if at == i and r not in kept and r in self._memory]
            free += [self._memory.pop(r) for r in done]
        return program

    _memory: dict[Rows, np.ndarray]

    def _take(self, rows: Rows, free: list[np.ndarray]) -> np.ndarray:
        """Memory for an activation: the smallest free piece that is large enough, else new."""
        if not hasattr(self, "_memory"):
            self._memory = {}
        count = self.batch * rows.height * rows.width * up(rows.channels)
        fitting = sorted((f for f in free if f.size >= count), key=lambda f: f.size)
        piece = fitting[0] if fitting else np.zeros(count, np.float32)
        if fitting:
            free[:] = [f for f in free if f is not piece]
        self._memory[rows] = piece
        return piece[:count].reshape(-1, up(rows.channels))

    def _operation(self, layer: Layer) -> native.Operation:
        rows, out = layer.inputs[0].rows, self._buffers[layer.out]
        weights, bias = self.network.weights[layer]
        op = native.Operation(
            kind=KINDS[layer.kind], batch=self.batch, in_height=rows.height, in_width=rows.width, in_pitch=rows.width,
            out_height=layer.out.height, out_width=layer.out.width, kernel_height=layer.kernel[0],
            kernel_width=layer.kernel[1], step=layer.step, pad_top=layer.pads[0], pad_left=layer.pads[1],
            out=out.ctypes.data, out_stride=out.shape[1], low=layer.low, high=layer.high,
        )  # fmt: skip
        for i, view in enumerate(layer.inputs):
            self._source(op, i, view)
        op.weights = None if weights is None else weights.ctypes.data
        op.bias = None if bias is None else bias.ctypes.data
        op.residual = None if layer.residual is None else self._buffers[layer.residual].ctypes.data
        if layer.kind == "convolve":
            self._divide(op, layer)
        return op

    def _divide(self, op: native.Operation, layer: Layer) -> None:
        """Work items: chunks of pixels, and parts of the panels where there are few chunks."""
        pixels = self.batch * layer.out.height * layer.out.width
        channels = sum(v.channels for v in layer.inputs)
        if 4 * channels * op.out_stride * math.prod(layer.kernel) <= SMALL_WEIGHTS:
            fitting = CHUNK_BYTES // (4 * (channels * layer.step**2 + op.out_stride)) // 2
        else:
            fitting = CHUNK_BYTES // (4 * channels * layer.step**2)
        op.chunk = pixels if pixels <= 64 else min(pixels, max(48, fitting // native.ROWS * native.ROWS))
        panels, chunks = -(-op.out_stride // native.PANEL), -(-pixels // op.chunk)
        wanted = 1 if self.network.threads == 1 else max(1, -(-4 * self.network.threads // chunks))
        op.panels = max(1, panels // wanted)

    def _source(self, op: native.Operation, i: int, view: View) -> None:
        rows = self._buffers[view.rows]
        op.source[i] = rows.ctypes.data + 4 * view.first
        op.stride[i] = rows.shape[1]
        op.channels[i] = view.channels

    def _move(self, view: View, cache: Rows) -> native.Operation:
        out = self._buffers[cache]
        op = native.Operation(
            kind=native.COPY, batch=self.batch, in_height=cache.height, in_width=cache.width, out=out.ctypes.data,
            out_stride=out.shape[1],
        )  # fmt: skip
        self._source(op, 0, view)
        return op

    def _planes(self, kind: int, view: View, planes: np.ndarray) -> native.Operation:
        """Between rows and [N, C, H, W]."""
        rows = self._buffers[view.rows]
        op = native.Operation(
            kind=kind, batch=self.batch, in_height=view.rows.height, in_width=view.rows.width, in_pitch=view.rows.width
        )
        self._source(op, 0, view)
        if kind == native.FROM_PLANES:
            op.source[0], op.out, op.out_stride = planes.ctypes.data, rows.ctypes.data, rows.shape[1]
        else:
            op.out = planes.ctypes.data
        return op

    def step(self, frame: Array) -> Array:
        """One frame [N, C, H, W] -> the first output, valid until the next step."""
        np.copyto(self._frame, frame)
        self._program()
        flat = len(self.network.signature.outputs) and self._first.shape[2:] == (1, 1)
        return self._first[:, :, 0, 0] if flat else self._first

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """Takes caches [N, C, H, W]."""
        for mine, given, rows in zip(self._caches, caches, self.network.lowered.inputs[1:]):
            mine[:, : rows.channels] = np.moveaxis(given, 1, -1).reshape(-1, rows.channels)

    def caches(self) -> tuple[Array, ...]:
        """Copies of the caches [N, C, H, W]."""
        found = []
        for mine, rows in zip(self._caches, self.network.lowered.inputs[1:]):
            shaped = mine[:, : rows.channels].reshape(self.batch, rows.height, rows.width, rows.channels)
            found.append(np.ascontiguousarray(np.moveaxis(shaped, -1, 1)))
        return tuple(found)


class NativeStream(Stream):
    """Caches as rows of channels, overwritten in place."""

    compiled: NativeCompiled

    def allocate(self) -> None:
        """See Stream."""
        self._plan = Plan(self.compiled, self.batch)

    def step(self, *frames: NDArray[Any]) -> Array:
        """See Stream."""
        (frame,) = frames
        expected = (self.batch, *self.compiled.signature.shapes[0][1:])
        if tuple(frame.shape) != expected:
            raise ValueError(f"the frame has shape {tuple(frame.shape)}, expected {expected}")
        return self._plan.step(frame)

    @property
    def caches(self) -> tuple[Array, ...]:
        """See Stream."""
        return self._plan.caches()

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """See Stream."""
        found = tuple(tuple(c.shape) for c in caches)
        if found != self.shapes:
            raise ValueError(f"caches of shapes {found}, expected {self.shapes}")
        self._plan.load(caches)
