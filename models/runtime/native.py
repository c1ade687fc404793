"""The compiled dense kernels (csrc/), loaded with ctypes; absent without complaint where no compiler built them."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

ABI = 3
LANES, ROWS, PANEL = 8, 6, 16
LINE = 16  # floats of a cache line
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
    library.dense_run.argtypes = [_P, _I, ctypes.c_int, ctypes.c_int, _P, _I, _I, _P]
    return library, ""


def absence() -> str:
    """Why there are no kernels; empty where there are."""
    return _load()[1]


def level() -> int:
    """0: no vector kernels run here · 1: AVX2 · 2: AVX2, on a processor with AVX-512, which these do not use."""
    library = _load()[0]
    return int(library.dense_level()) if library is not None else 0


class Memory:
    """Pieces of float32 zeros that begin on a cache line, out of large blocks (which the kernel maps in huge pages)."""

    BLOCK = 4 << 20  # floats; untouched pages cost nothing

    def __init__(self) -> None:
        self._left = np.zeros(0, np.float32)

    def take(self, count: int) -> np.ndarray:
        """float32[count]."""
        rounded = -(-count // LINE) * LINE
        if len(self._left) < rounded:
            block = np.zeros(max(rounded, self.BLOCK) + LINE, np.float32)
            self._left = block[-block.ctypes.data // 4 % LINE :]
        piece, self._left = self._left[:count], self._left[rounded:]
        return piece

    def keep(self, values: np.ndarray) -> np.ndarray:
        """A copy of the values, flat."""
        piece = self.take(values.size)
        piece[:] = values.ravel()
        return piece


class Program:
    """Operations in order, ready to run. What their addresses point to is kept alive by `keep`."""

    def __init__(self, operations: Sequence[Operation], keep: Sequence[object], threads: int):
        self._operations = (Operation * len(operations))(*operations)
        self._keep = tuple(keep)
        self._threads = threads
        self._level = min(level(), 1)
        memory = Memory()
        pointers = 2 * max((_pointers(op) for op in operations), default=0)  # of eight bytes, in floats
        self._tiles_at = 4 * (-(-pointers // LINE) * LINE)
        floats = max((_floats(operations, i) for i in range(len(operations))), default=0)
        self._bytes = self._tiles_at + 4 * (-(-floats // LINE) * LINE)
        self._scratch = memory.take(self._bytes // 4 * threads)
        self._zeros = memory.take(max((max(*op.channels, op.out_stride) for op in operations), default=LANES) + PANEL)

    def read_from(self, address: int) -> None:
        """The first operation reads from here."""
        self._operations[0].source[0] = address

    def __call__(self) -> None:
        """Runs all operations. Raises MemoryError where there is no memory."""
        library = _load()[0]
        assert library is not None  # a plan is made only where there is one
        if library.dense_run(
            ctypes.addressof(self._operations), len(self._operations), self._threads, self._level,
            self._scratch.ctypes.data, self._bytes, self._tiles_at, self._zeros.ctypes.data,
        ):  # fmt: skip
            raise MemoryError("the dense kernels found no memory for their counters")


def _pointers(op: Operation) -> int:
    """Entries of the table of a convolution's chunk: a full block for every one, however small."""
    if op.kind != CONVOLVE:
        return 0
    return -(-op.chunk // ROWS) * ROWS * op.kernel_height * op.kernel_width * (2 if op.channels[1] else 1)


def _floats(operations: Sequence[Operation], i: int) -> int:
    """Floats that one thread needs for an operation, see csrc/winograd.h and csrc/depthwise.h."""
    op = operations[i]
    if op.kind == WINOGRAD:
        return 16 * (op.chunk * (op.channels[0] + PANEL) + PANEL)
    if op.kind == FUSED:
        expand, middle = operations[i + 1 : i + 3]
        return expand.out_width * expand.out_stride * middle.kernel_height + middle.out_width * middle.out_stride
    return 0
