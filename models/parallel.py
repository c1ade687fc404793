"""Splitting a numba kernel's loop over threads; results must not depend on where it is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")


def even(total: int, threads: int) -> list[int]:
    """Edges that cut 0..total into `threads` ranges of nearly equal length."""
    return [total * i // threads for i in range(threads + 1)]


def over_ranges(kernel: Callable[..., None], edges: Sequence[int], *arrays: object) -> None:
    """kernel(*arrays, first, last) for every two neighbours of `edges`, each in a thread. The kernel must release the
    GIL and write elements of its own range only.
    """
    ranges = list(zip(edges[:-1], edges[1:]))
    if len(ranges) == 1:
        kernel(*arrays, *ranges[0])
        return
    jobs = [_pool(len(ranges)).submit(kernel, *arrays, first, last) for first, last in ranges]
    for job in jobs:
        job.result()
