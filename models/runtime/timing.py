"""How long candidates take on a machine that other programs use too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

LEAST, MOST = 10, 60  # rounds
SECONDS = 3.0  # for all rounds; more where LEAST need more
PATIENCE = 10.0  # s, after which the rounds that were run must do: calls of seconds need no repetition
HOPELESS = ((1, 8.0), (4, 3.0))  # after so many rounds, works that take so many times as long as the fastest leave


def clock() -> float:
    """Seconds of a steady clock; tests put their own in its place."""
    return time.perf_counter()


def interleaved(works: Mapping[Any, Callable[[], object]], seconds: float = SECONDS) -> dict[Any, float]:
    """Milliseconds of every work: the shortest of its calls.

    All works run in turn, round by round, so that other load on the machine meets all alike. Load only lengthens a
    call, so the shortest call says most about the work itself. A call that is not timed goes before every timed one:
    the work then has its weights in the cache, and the threads of the one before it have stopped waiting. Works that
    are much slower than the fastest leave early.
    """
    shortest = dict.fromkeys(works, float("inf"))
    left = list(works)
    begin = clock()
    for done in range(MOST):
        for name in left:
            works[name]()
            start = clock()
            works[name]()
            shortest[name] = min(shortest[name], clock() - start)
        for rounds, times in HOPELESS:
            if done + 1 == rounds:
                fastest = min(shortest.values())
                left = [name for name in left if shortest[name] <= times * fastest]
        spent = clock() - begin
        if spent > PATIENCE or (done + 1 >= LEAST and (len(left) < 2 or spent > seconds)):
            break
    return {name: taken * 1e3 for name, taken in shortest.items()}
