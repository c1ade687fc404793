"""Latency percentiles and frame counts from what a replay recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perception_nodes.evaluation.segmentation import NO_DATA


def percentiles(values_ms: list[float]) -> dict[str, float] | str:
    """p50, p90, p99 and max of milliseconds, or "no data" for an empty list."""
    if not values_ms:
        return NO_DATA
    p50, p90, p99 = np.percentile(np.asarray(values_ms, float), [50, 90, 99])
    return {k: round(float(v), 3) for k, v in (("p50", p50), ("p90", p90), ("p99", p99), ("max", max(values_ms)))}


def frames(given: int, answered: int, apart: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Counts of messages published to a node, answered by it, apart by state (held, warming up), never answered."""
    counts = {"apart": dict(apart)} if apart else {}
    return {"in": given, "out": answered, "dropped": max(given - answered - sum((apart or {}).values()), 0), **counts}
