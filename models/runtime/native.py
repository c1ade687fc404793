"""The compiled dense kernels (csrc/), loaded with ctypes; absent without complaint where no compiler built them."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from functools import lru_cache

ABI = 1
LANES, ROWS, PANEL = 8, 6, 16
CONVOLVE, DEPTHWISE, MAXIMUM_POOL, MEAN, COPY, FROM_PLANES, TO_PLANES = range(7)
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
        return None, "the extension was not built (no compiler at install time; `pip install -e .` with gcc builds it)"
    try:
        library = ctypes.CDLL(found.origin)
        version = library.dense_abi()
    except (OSError, AttributeError) as error:
        return None, f"{found.origin} cannot be loaded: {error}"
    if version != ABI:
        return None, f"{found.origin} is of another version ({version}, expected {ABI}): run `pip install -e .` again"
    library.dense_run.argtypes = [_P, _I, ctypes.c_int, ctypes.c_int, _I, _I]
    return library, ""


def absence() -> str:
    """Why there are no kernels; empty where there are."""
    return _load()[1]


def level() -> int:
    """0: no vector kernels run here · 1: AVX2 · 2: AVX2, on a processor with AVX-512, which these do not use."""
    library = _load()[0]
    return int(library.dense_level()) if library is not None else 0


class Program:
    """Operations in order, ready to run. What their addresses point to is kept alive by `keep`."""

    def __init__(self, operations: Sequence[Operation], keep: Sequence[object], threads: int):
        self._operations = (Operation * len(operations))(*operations)
        self._keep = tuple(keep)
        self._threads = threads
        self._level = min(level(), 1)
        tables = [
            -(-op.chunk // ROWS) * ROWS * op.kernel_height * op.kernel_width * 2
            for op in operations
            if op.kind == CONVOLVE
        ]
        self._pointers = max(tables, default=1)
        self._zeros = max((max(*op.channels, op.out_stride) for op in operations), default=LANES) + PANEL

    def __call__(self) -> None:
        """Runs all operations. Raises MemoryError where a thread found no memory."""
        library = _load()[0]
        assert library is not None  # a plan is made only where there is one
        count = len(self._operations)
        address = ctypes.addressof(self._operations)
        if library.dense_run(address, count, self._threads, self._level, self._pointers, self._zeros):
            raise MemoryError("the dense kernels found no memory for their tables")
