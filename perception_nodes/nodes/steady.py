"""Keeps a node's process from pausing during a frame: memory is kept, the garbage collector skips permanent objects."""

import ctypes
import gc
import sys

KEPT_BYTES = 256 << 20
LARGEST_BYTES = 32 << 20  # glibc takes no more
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_memory() -> None:
    """Has malloc keep what is freed: each cloud would otherwise fetch its megabytes from the system page by page, and
    give them back. Nothing happens where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(MMAP_THRESHOLD, LARGEST_BYTES)
        set_option(TRIM_THRESHOLD, KEPT_BYTES)


def freeze_objects() -> None:
    """Has the garbage collector pass over all that is there now (modules, weights): a full collection among a million
    objects takes a tenth of a second."""
    gc.collect()
    gc.freeze()


def thaw_objects() -> None:
    """Gives them back to the collector: what it does not free at the end of the process, its DDS participant with the
    segment of shared memory among it, is left behind."""
    gc.unfreeze()
