"""The compiled engine (csrc/), loaded with ctypes; absent without complaint where no compiler built it.

Environment: PERCEPTION_SPARSE_ISA = plain | avx2 | avx512 | avx512vnni forces an instruction set (an error where the
processor cannot run it; avx512bf16 is taken as avx512vnni, see `fused`); PERCEPTION_SPARSE_ENGINE = numba leaves the
extension unused.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from functools import lru_cache

import numpy as np

ABI = 4
LEVELS = ("plain", "avx2", "avx512", "avx512vnni")
PANEL = 16


class Term(ctypes.Structure):
    """Mirror of Term in conv.c."""

    _fields_ = [
        ("rows", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("stride", ctypes.c_int64),
        ("rows_in", ctypes.c_void_p),
        ("rows_out", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("volume", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("kind", ctypes.c_int64),
    ]


class Convolution(ctypes.Structure):
    """Mirror of Convolution in conv.c."""

    _fields_ = [
        ("terms", ctypes.c_void_p),
        ("terms_count", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("column_scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("residual_scale", ctypes.c_void_p),
        ("residual_stride", ctypes.c_int64),
        ("relu", ctypes.c_int64),
        ("residual_after_relu", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("out_scale", ctypes.c_void_p),
        ("out_stride", ctypes.c_int64),
        ("residual_kind", ctypes.c_int64),
        ("out_kind", ctypes.c_int64),
        ("level", ctypes.c_int64),
        ("threads", ctypes.c_int64),
    ]


_P, _I = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "sparse_convolve": (ctypes.c_int, [_P]),
    "sparse_half_neighbours": (None, [_P, _I, _P, _P, _I]),
    "sparse_assemble": (None, [_P, _I, _P, _P, _P, _I]),
    "sparse_down": (_I, [_P, _I, _P, _P, _P, _P, _P]),
    "sparse_sort": (ctypes.c_int, [_P, _I, _P]),
    "sparse_unique": (_I, [_P, _I, _P, _P, _P, _P]),
    "sparse_by_voxel": (None, [_P, _I, _I, _P, _P]),
    "sparse_corners": (None, [_P, _I, _P, _P, _P, _P, _P, _P, _I]),
    "sparse_interpolate": (None, [_I, _P, _P, _I, _P, _P, _I, _I, _P, _I, _I, _I, _I]),
    "sparse_interpolate_gradient": (None, [_P, _I, _P, _P, _I, _I, _P, _I]),
    "sparse_point_mean": (ctypes.c_int, [_P, _I, _P, _P, _I, _I, _P, _P, _I, _I, _I, _I]),
    "sparse_weight_gradient": (ctypes.c_int, [_P, _I, _P, _I, _P, _P, _P, _I, _I, _I, _P, _I, _I]),
    "sparse_peak": (_I, [_I, _I, _I, _I]),
    "sparse_frame_new": (_P, []),
    "sparse_frame_free": (None, [_P]),
    "sparse_frame_index": (ctypes.c_int, [_P, _P, _P, _I, _I]),
    "sparse_frame_compute": (ctypes.c_int, [_P, _P, _P, _I, _P, _I, _I, _I]),
    "sparse_frame_step": (_I, [_P, _P, _P, _I, _I]),
    "sparse_best_level": (ctypes.c_int, []),
    "sparse_abi": (ctypes.c_int, []),
}


@lru_cache(maxsize=1)
def _load() -> tuple[ctypes.CDLL | None, str]:
    """(library, "") or (None, why not)."""
    if os.environ.get("PERCEPTION_SPARSE_ENGINE") == "numba":
        return None, "PERCEPTION_SPARSE_ENGINE=numba"
    found = importlib.util.find_spec("models.sparse._kernels")
    if found is None or not found.origin:
        return None, "the extension was not built (no compiler at install time; `pip install -e .` with gcc builds it)"
    try:
        library = ctypes.CDLL(found.origin)
        version = library.sparse_abi()
    except (OSError, AttributeError) as error:
        return None, f"{found.origin} cannot be loaded: {error}"
    if version != ABI:
        return None, f"{found.origin} is of another version ({version}, expected {ABI}): run `pip install -e .` again"
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library, ""


def library() -> ctypes.CDLL | None:
    """The loaded extension, or None."""
    return _load()[0]


def absence() -> str:
    """Why there is no extension; empty where there is one."""
    return _load()[1]


_threads = max(1, int(os.environ.get("PERCEPTION_SPARSE_THREADS", 0)) or min(4, len(os.sched_getaffinity(0))))


def threads() -> int:
    """Threads of map building and of the autograd engine on the CPU (fused inference takes its own number). Never
    changes results.
    """
    return _threads


def set_threads(count: int) -> None:
    """Sets `threads()`; the default is PERCEPTION_SPARSE_THREADS, or the available cores, at most 4."""
    global _threads
    if count < 1:
        raise ValueError(f"threads: {count}, expected at least 1")
    _threads = count


@lru_cache(maxsize=8)
def _level(forced: str) -> int:
    loaded = library()
    best = loaded.sparse_best_level() if loaded is not None else 0
    if not forced:
        return best
    name = "avx512vnni" if forced == "avx512bf16" else forced
    if name not in LEVELS:
        raise ValueError(f"PERCEPTION_SPARSE_ISA={forced}: expected one of {', '.join(LEVELS)}")
    if LEVELS.index(name) > best:
        raise ValueError(f"PERCEPTION_SPARSE_ISA={forced}: this processor offers at most {LEVELS[best]}")
    return LEVELS.index(name)


def level() -> int:
    """Index into LEVELS of the instruction set in use."""
    return _level(os.environ.get("PERCEPTION_SPARSE_ISA", ""))


def address(array: np.ndarray | None) -> int | None:
    """Address of an array's first element; None for None."""
    return None if array is None else array.__array_interface__["data"][0]  # half the cost of array.ctypes.data
