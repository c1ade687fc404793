"""A network as a list of layers for the compiled engine, which then runs a frame in one call: maps, layers, and for
sweeps also voxels, features and labels, without Python in between and with the interpreter's lock released.

    program = Program(network, channels=8, classes=19, points=(4, 16))    # network(rows, maps) -> rows: see `fused`
    frame = Frame()
    frame.index(program, keys, threads=2)
    logits = frame.compute(program, feats, threads=2)

The network is called once with stand-ins for rows and maps; what it asks of `fused.convolve`, `fused.interpolate` and
`fused.point_mean` is written down. Rows whose lives do not overlap share memory.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import native
from .fused import KINDS, PANEL, Packed, Planned
from .maps import UNET_DEPTH, MapSet

# A stand-in's number of rows: how many voxels level i will have is not known yet, but which counts are the same is.
STAND_IN = 1 << 40

_I, _P = ctypes.c_int64, ctypes.c_void_p
CONVOLVE, INTERPOLATE, MEAN = range(3)


class OpTerm(ctypes.Structure):
    """Mirror of OpTerm in program.h."""

    _fields_ = [("source", _I), ("map", _I), ("weights", _P), ("volume", _I), ("channels", _I)]


class Op(ctypes.Structure):
    """Mirror of Op in program.h."""

    _fields_ = [
        ("code", _I), ("terms_count", _I), ("terms", OpTerm * 4), ("column_scale", _P), ("bias", _P), ("residual", _I),
        ("relu", _I), ("residual_after_relu", _I), ("out", _I), ("points", _I), ("add", _I),
    ]  # fmt: skip


class Register(ctypes.Structure):
    """Mirror of Register in program.h."""

    _fields_ = [("level", _I), ("width", _I), ("kind", _I), ("slot", _I)]


class _Layers(ctypes.Structure):
    """Mirror of Program in program.h."""

    _fields_ = [
        ("ops", _P), ("ops_count", _I), ("registers", _P), ("registers_count", _I), ("input", _I), ("output", _I),
        ("depth", _I), ("points", _I),
    ]  # fmt: skip


class Sweep(ctypes.Structure):
    """Mirror of Sweep in sweep.h."""

    _fields_ = [
        ("xyz", _P), ("intensity", _P), ("points", _I), ("low", _I * 3), ("size", _I * 3),
        ("voxel_size", ctypes.c_double), ("codes", _P), ("codes_count", _I), ("first_point", _I), ("label", _P),
        ("score", _P), ("classes", _I), ("seconds", ctypes.c_double * 5),
    ]  # fmt: skip


class _Map:
    """Stand-in for a KernelMap."""

    def __init__(self, code: int, volume: int, source: int, target: int) -> None:
        self.code, self.volume = code, volume
        self.inputs, self.outputs = STAND_IN + source, STAND_IN + target


class _Level:
    """Stand-in for a Level."""

    def __init__(self, number: int, levels: list[_Level]) -> None:
        self.number, self._levels = number, levels

    def __len__(self) -> int:
        return STAND_IN + self.number

    def submanifold(self, kernel_size: int = 3) -> _Map:
        if kernel_size != 3:
            raise ValueError(f"a program has maps of 3^3 kernels, not of {kernel_size}^3")
        return _Map(3 * self.number, 27, self.number, self.number)

    def down(self) -> tuple[_Level, _Map]:
        return self._levels[self.number + 1], _Map(3 * self.number + 1, 8, self.number, self.number + 1)

    def up(self) -> tuple[_Level, _Map]:
        finer = self.number - 1
        return self._levels[finer], _Map(3 * finer + 2, 8, self.number, finer)


class _Points:
    """Stand-in for a PointMap whose points are the voxels of the first level."""

    def __init__(self, level: int) -> None:
        self.level, self.voxels = level, STAND_IN + level

    def __len__(self) -> int:
        return STAND_IN


class Program:
    """The layers of one network. Holds the weights it points to.

    network: called with (rows, maps) as a FusedNetwork calls `fused`; returns the rows of the logits · channels: of its
    input · classes: of its output · points: strides at which points (the voxels of the first level) meet voxels.
    """

    def __init__(
        self,
        network: Callable[[Any, Any], Any],
        channels: int,
        classes: int,
        points: Sequence[int] = (),
        depth: int = UNET_DEPTH,
    ) -> None:
        self.channels, self.classes = channels, classes
        self._registers: list[tuple[int, int, int]] = []  # level, width, kind
        self._ops: list[Op] = []
        self._keep: list[Packed] = []
        levels: list[_Level] = []
        levels += [_Level(i, levels) for i in range(depth + 1)]
        met = {stride: _Points(stride.bit_length() - 1) for stride in points}
        first = self.planned(0, channels, "fp32")
        last = network(first, MapSet(levels, met))  # type: ignore[arg-type]
        if not isinstance(last, Planned) or last.precision != "fp32":
            raise ValueError(f"the network returned {type(last).__name__}: expected float32 rows of the engine")
        slots = self._slots(last.register)
        registers = [Register(*r, slot) for r, slot in zip(self._registers, slots)]
        self._arrays = (Op * len(self._ops))(*self._ops), (Register * len(registers))(*registers)
        self.layers = _Layers(
            ctypes.addressof(self._arrays[0]), len(self._ops), ctypes.addressof(self._arrays[1]), len(registers),
            first.register, last.register, depth, sum(1 << p.level for p in met.values()),
        )  # fmt: skip

    def planned(self, level: int, channels: int, precision: str) -> Planned:
        """New stand-in rows."""
        width = -(-channels // PANEL) * PANEL
        self._registers.append((level, width, KINDS[precision]))
        return Planned(self, len(self._registers) - 1, STAND_IN + level, channels, precision)

    def convolve(
        self,
        weights: Packed,
        inputs: Sequence[tuple[Any, Any]],
        rows: int,
        residual: Planned | None,
        relu: bool,
        residual_after_relu: bool,
        precision: str,
    ) -> Planned:
        """Writes down one convolution; arguments as of `fused.convolve`, which has checked them."""
        out = self.planned(rows - STAND_IN, weights.outputs, precision)
        op = Op(code=CONVOLVE, terms_count=len(inputs), out=out.register, relu=relu)
        op.residual_after_relu = residual_after_relu
        op.column_scale, op.bias = native.address(weights.column_scale), native.address(weights.bias)
        op.residual = -1 if residual is None else residual.register
        for term, (x, found), packed, channels in zip(op.terms, inputs, weights.terms, weights.channels):
            term.source, term.map = x.register, -1 if found is None else found.code
            term.weights, term.volume, term.channels = native.address(packed), len(packed), channels
        self._ops.append(op)
        self._keep.append(weights)
        return out

    def interpolate(self, x: Planned, points: Any, onto: Planned | None) -> Planned:
        out = onto if onto is not None else self.planned(0, x.channels, "fp32")
        op = Op(code=INTERPOLATE, terms_count=1, out=out.register, residual=-1, points=points.level)
        op.terms[0].source, op.add = x.register, onto is not None
        self._ops.append(op)
        return out

    def point_mean(self, z: Planned, points: Any, precision: str) -> Planned:
        out = self.planned(points.level, z.channels, precision)
        op = Op(code=MEAN, terms_count=1, out=out.register, residual=-1, points=points.level)
        op.terms[0].source = z.register
        self._ops.append(op)
        return out

    def _slots(self, output: int) -> list[int]:
        """A slot per register: registers whose lives do not overlap share one."""
        last = {}
        for i, op in enumerate(self._ops):
            read = [op.terms[t].source for t in range(op.terms_count)] + [op.residual, op.out]
            last.update({register: i for register in read if register >= 0})
        last[output] = len(self._ops)
        slots, count = [0] * len(self._registers), 1
        free: list[int] = []
        living = {0: 0}  # register -> slot; register 0 is the input
        for i, op in enumerate(self._ops):
            if op.out not in living:
                if not free:
                    free, count = [count], count + 1
                living[op.out] = slots[op.out] = free.pop()
            for register in [r for r in living if last.get(r, 0) <= i]:
                free.append(living.pop(register))
        if count > MAX_SLOTS:
            raise ValueError(f"the network keeps {count} layers' rows at a time: at most {MAX_SLOTS}")
        return slots


MAX_SLOTS = 64


class Frame:
    """Memory of the engine for one frame after another; not for several threads at once.

    Raises RuntimeError where the extension is absent, MemoryError from its calls.
    """

    def __init__(self) -> None:
        loaded = native.library()
        if loaded is None:
            raise RuntimeError(f"the compiled sparse engine is not there: {native.absence()}")
        self._library = loaded
        self._handle = loaded.sparse_frame_new()
        if not self._handle:
            raise MemoryError("sparse engine: no memory for a frame")
        weakref.finalize(self, loaded.sparse_frame_free, self._handle)
        self._voxels = 0

    def index(self, program: Program, keys: NDArray[np.int64], threads: int = 1) -> None:
        """Builds every map for voxels by their sorted, unique keys int64 [N] (models.sparse.keys)."""
        keys = np.ascontiguousarray(keys, np.int64)
        self._voxels = len(keys)
        layers = ctypes.byref(program.layers)
        if self._library.sparse_frame_index(self._handle, layers, native.address(keys), len(keys), threads):
            raise MemoryError(f"sparse engine: no memory for the maps of {len(keys)} voxels")

    def compute(self, program: Program, feats: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Logits float32 [N, classes] of features float32 [N, channels] on the voxels of the last `index`."""
        if feats.shape != (self._voxels, program.channels):
            raise ValueError(f"features have shape {feats.shape}: expected {(self._voxels, program.channels)}")
        feats = np.ascontiguousarray(feats, np.float32)
        logits = np.empty((len(feats), program.classes), np.float32)
        if len(feats) and self._library.sparse_frame_compute(
            self._handle, ctypes.byref(program.layers), native.address(feats), program.channels,
            native.address(logits), program.classes, native.level(), threads,
        ):  # fmt: skip
            raise MemoryError(f"sparse engine: no memory for the layers of {len(feats)} voxels")
        return logits

    def step(self, program: Program, sweep: Sweep, threads: int = 1) -> int:
        """Fills the labels and scores of a sweep; returns how many voxels it has."""
        found = self._library.sparse_frame_step(
            self._handle, ctypes.byref(program.layers), ctypes.byref(sweep), native.level(), threads
        )
        if found < 0:
            raise MemoryError(f"sparse engine: no memory for a sweep of {sweep.points} points")
        return int(found)
