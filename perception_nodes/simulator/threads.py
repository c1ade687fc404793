"""Splits work over a few threads for kernels that release the GIL: disjoint outputs, so results do not depend on how
many there are. (numba's own parallel loops are avoided: its work queue aborts when two Python threads enter it.)"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}  # by process (a fork has no threads) and size


def default_threads() -> int:
    """Threads to use: NUMBA_NUM_THREADS where set, else the processors this process may run on (4 at most)."""
    text = os.environ.get("NUMBA_NUM_THREADS", "")
    if text.isdigit() and int(text) > 0:
        return int(text)
    return min(4, len(os.sched_getaffinity(0)))


def split(work: Callable[[int, int], object], count: int, threads: int, grain: int = 64) -> None:
    """Calls `work(first, last)` on ranges that cover 0 to `count`, each `grain` long, on `threads` threads; the first
    exception of a range is raised here."""
    ranges = [(i, min(i + grain, count)) for i in range(0, count, grain)]
    if threads <= 1 or len(ranges) <= 1:
        if count:
            work(0, count)
        return
    key = (os.getpid(), threads)
    pool = _pools.get(key)
    if pool is None:
        pool = _pools.setdefault(key, ThreadPoolExecutor(threads, thread_name_prefix="simulator"))
    for future in [pool.submit(work, first, last) for first, last in ranges]:
        future.result()
