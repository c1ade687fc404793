"""Milliseconds per stage of one frame, and percentiles over many."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("preprocess", "inference", "postprocess")
# Names of a node's timing topics, below its own name (Autoware's).
TIMING = (
    *(f"debug/processing_time/{stage}_ms" for stage in (*STAGES, "total")),
    "debug/cyclic_time_ms",
    "debug/pipeline_latency_ms",
)


class Stopwatch:
    """Times the stages of one frame; a stage entered twice adds up."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent in the `with` block to a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._ms[name] = self._ms.get(name, 0.0) + (time.monotonic() - start) * 1e3

    def milliseconds(self) -> dict[str, float]:
        """Per stage (0 where it was not entered) and `total`: from construction to now."""
        total = (time.monotonic() - self._start) * 1e3
        return {name: self._ms.get(name, 0.0) for name in STAGES} | {"total": total}


class Percentiles:
    """Percentiles of the newest `window` values; bounded memory whatever the length of the run."""

    def __init__(self, window: int = 10_000) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        self._values.append(value)

    def summary(self) -> dict[str, float]:
        """`p50` and `p99`, or nothing where there are no values (never 0)."""
        p50, p99 = self.at(50), self.at(99)
        return {} if p50 is None or p99 is None else {"p50": p50, "p99": p99}

    def at(self, percent: float) -> float | None:
        """The value that `percent` of all values do not exceed (nearest rank); None without values."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        rank = max(0, min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1))
        return ordered[int(rank)]
