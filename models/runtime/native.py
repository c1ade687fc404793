"""The compiled dense kernels (csrc/), loaded with ctypes; optional: without a compiler they are not built."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

ABI = 5
ROWS = 6
LINE = 64  # bytes of a cache line
PLAIN, AVX2, AVX512, AVX512_BF16 = range(4)
NAMES = ("", "AVX2", "AVX-512", "AVX-512 BF16")  # of the kernels at a level
CONVOLVE, DEPTHWISE, MAXIMUM_POOL, MEAN, COPY, FROM_PLANES, TO_PLANES, WINOGRAD, FUSED = range(9)
_P, _I, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Operation(ctypes.Structure):
    """Mirror of Operation in csrc/dense.h."""

    _fields_ = [
        ("kind", _I), ("source", _P * 2), ("stride", _I * 2), ("channels", _I * 2),
        ("batch", _I), ("in_height", _I), ("in_width", _I), ("in_pitch", _I), ("out_height", _I), ("out_width", _I),
        ("kernel_height", _I), ("kernel_width", _I), ("step", _I), ("pad_top", _I), ("pad_left", _I),
        ("weights", _P), ("bias", _P), ("residual", _P), ("out", _P), ("out_stride", _I), ("chunk", _I), ("panels", _I),
        ("low", _D), ("high", _D),
    ]  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How the rows of one precision lie in memory, see csrc/dense.h.

    lanes: a row is a multiple of so many elements · panel: output channels of a block · depth: input channels of one
    step of a product; runs of channels are filled up to it.
    """

    dtype: DTypeLike
    lanes: int
    panel: int
    depth: int

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return np.dtype(self.dtype).itemsize

    def up(self, channels: int) -> int:
        """Elements of a row."""
        return -(-channels // self.lanes) * self.lanes


FP32 = Layout(np.float32, lanes=8, panel=16, depth=1)
FP32_WIDE = Layout(np.float32, lanes=16, panel=32, depth=1)  # of AVX-512


def layout(precision: str) -> Layout:
    """The layout of "fp32" or "bf16" on this processor."""
    if precision == "fp32":
        return FP32_WIDE if level() >= AVX512 else FP32
    wide = level() >= AVX512_BF16
    return Layout(np.uint16, lanes=16 if wide else 8, panel=32 if wide else 16, depth=2)


def to_bf16(values: np.ndarray) -> np.ndarray:
    """uint16: the upper halves of float32 values, rounded to the nearest, to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def from_bf16(values: np.ndarray) -> np.ndarray:
    """float32 values of their upper halves, uint16."""
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)


@lru_cache(maxsize=1)
def _load() -> tuple[ctypes.CDLL | None, str]:
    """(library, "") or (None, why not)."""
    found = importlib.util.find_spec("models.runtime._dense")
    if found is None or not found.origin:
        return (
            None,
            "the extension was not built (no compiler at install time; `pip install -e .` with gcc builds it)",
        )
    try:
        library = ctypes.CDLL(found.origin)
        version = library.dense_abi()
    except (OSError, AttributeError) as error:
        return None, f"{found.origin} cannot be loaded: {error}"
    if version != ABI:
        return (None, f"{found.origin} is of another version ({version}, expected {ABI}): run `pip install -e .` again")
    library.dense_run.argtypes = [_P, _I, ctypes.c_int, ctypes.c_int, ctypes.c_int, _P, _I, _I, _P]
    return library, ""


def absence() -> str:
    """Why there are no kernels; empty where there are."""
    return _load()[1]


@lru_cache(maxsize=1)
def build() -> str:
    """Digest of the compiled kernels; "" where there are none."""
    found = importlib.util.find_spec("models.runtime._dense")
    if _load()[0] is None or found is None or not found.origin:
        return ""
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:16]


def level() -> int:
    """The best kernels that this processor can run: PLAIN, no vectors · AVX2 and AVX512, in fp32 · AVX512_BF16, in fp32
    with AVX-512 and in bf16."""
    library = _load()[0]
    return int(library.dense_level()) if library is not None else 0


class Memory:
    """Pieces of zeros that begin on a cache line, out of large blocks (which the kernel maps in huge pages)."""

    BLOCK = 16 << 20  # bytes; untouched pages cost nothing

    def __init__(self) -> None:
        self._left: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def take(self, count: int, dtype: DTypeLike = np.float32) -> np.ndarray:
        """dtype[count]."""
        size = count * np.dtype(dtype).itemsize
        rounded = -(-size // LINE) * LINE
        if len(self._left) < rounded + LINE:  # kernels may read a few bytes more than there are
            block = np.zeros(max(rounded, self.BLOCK) + 2 * LINE, np.uint8)
            self._left = block[-block.ctypes.data % LINE :]
        piece, self._left = self._left[:size], self._left[rounded:]
        return piece.view(dtype)

    def keep(self, values: np.ndarray) -> np.ndarray:
        """A copy of the values, flat."""
        piece = self.take(values.size, values.dtype)
        piece[:] = values.ravel()
        return piece


class Operations:
    """Operations on rows of one layout in order, ready to run; `keep` keeps alive what their addresses point to."""

    def __init__(self, operations: Sequence[Operation], keep: Sequence[object], threads: int, rows: Layout):
        self._operations = (Operation * len(operations))(*operations)
        self._keep = tuple(keep)
        self._threads = threads
        self._level, self._bf16 = level(), rows.depth == 2
        memory = Memory()
        pointers = 8 * max((_pointers(op) for op in operations), default=0)
        self._tiles_at = -(-pointers // LINE) * LINE
        elements = max((_elements(operations, i, rows.panel) for i in range(len(operations))), default=0)
        self._bytes = self._tiles_at + -(-elements * rows.size // LINE) * LINE
        self._scratch = memory.take(self._bytes * threads, np.uint8)
        widest = max((max(*op.channels, op.out_stride) for op in operations), default=0)
        self._zeros = memory.take(widest + rows.panel)

    def read_from(self, address: int) -> None:
        """The first operation reads from here."""
        self._operations[0].source[0] = address

    def __call__(self) -> None:
        """Runs all operations. Raises MemoryError where there is no memory."""
        library = _load()[0]
        assert library is not None  # operations are made only where there is one
        if library.dense_run(
            ctypes.addressof(self._operations), len(self._operations), self._threads, self._level,
            self._bf16, self._scratch.ctypes.data, self._bytes, self._tiles_at, self._zeros.ctypes.data,
        ):  # fmt: skip
            raise MemoryError("the dense kernels found no memory for their counters")


def _pointers(op: Operation) -> int:
    """Entries of the table of a convolution's chunk: a full block for every one, however small."""
    if op.kind != CONVOLVE:
        return 0
    return -(-op.chunk // ROWS) * ROWS * op.kernel_height * op.kernel_width * (2 if op.channels[1] else 1)


def _elements(operations: Sequence[Operation], i: int, panel: int) -> int:
    """Elements that one thread needs for an operation, see csrc/winograd.h and csrc/depthwise.h."""
    op = operations[i]
    if op.kind == WINOGRAD:
        return 16 * (op.chunk * (op.channels[0] + panel) + panel)
    if op.kind == FUSED:
        expand, middle = operations[i + 1 : i + 3]
        return expand.out_width * expand.out_stride * middle.kernel_height + middle.out_width * middle.out_stride
    return 0
