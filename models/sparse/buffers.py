"""Large arrays whose memory is used again: a layer's output costs thousands of page faults when its memory is fresh.

An array keeps its memory for as long as it, or any view of it, lives; then the memory waits here for the next array
of about its size.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

SMALLEST = 1 << 18  # bytes; smaller arrays are left to malloc
IDLE_BYTES = 192 << 20  # at most so much waits

_idle: dict[int, list[np.ndarray]] = {}
_idle_bytes = 0
_lock = threading.Lock()


class _Lease:
    """Owns a block while arrays refer to it (numpy keeps it as their base) and hands it back when the last one is
    gone.
    """

    def __init__(self, block: np.ndarray, size: int) -> None:
        self.block = block
        start = block.ctypes.data
        self.__array_interface__: dict[str, Any] = {
            "data": (start + -start % 64, False),
            "shape": (size,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        global _idle_bytes
        # Without waiting: the collector may run this inside _take, in the thread that holds the lock.
        if _lock is None or not _lock.acquire(blocking=False):
            return
        try:
            if _idle_bytes + len(self.block) <= IDLE_BYTES:
                _idle.setdefault(len(self.block), []).append(self.block)
                _idle_bytes += len(self.block)
        finally:
            _lock.release()


def _take(size: int) -> np.ndarray:
    """A block of at least size + 64 bytes, one of four sizes per power of two."""
    global _idle_bytes
    step = 1 << max((size + 64).bit_length() - 3, 0)
    capacity = -(-(size + 64) // step) * step
    with _lock:
        waiting = _idle.get(capacity)
        if waiting:
            _idle_bytes -= capacity
            return waiting.pop()
        if _idle_bytes > IDLE_BYTES // 2:
            # Clouds changed size: what waits is of the wrong sizes.
            _idle.clear()
            _idle_bytes = 0
    return np.empty(capacity, np.uint8)


def aligned(shape: tuple[int, ...], dtype: type | np.dtype, zero: bool = False) -> np.ndarray:
    """An uninitialised (or zero) C-ordered array that starts on a 64-byte boundary."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALLEST:
        block = np.empty(size + 64, np.uint8)
        start = -block.ctypes.data % 64
        raw = block[start : start + size]
    else:
        raw = np.asarray(_Lease(_take(size), size))
    out = raw.view(dtype).reshape(shape)
    if zero:
        out[...] = 0
    return out
