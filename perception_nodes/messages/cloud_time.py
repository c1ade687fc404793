"""Per-point time under the names and units of the common drivers, as seconds relative to the cloud's stamp.

| driver | field | type and unit |
|---|---|---|
| Velodyne (ROS 2), this simulator | time | float32 s, relative |
| Ouster | t | uint32 ns, relative |
| Hesai, RoboSense | timestamp | float64 s, absolute |
| Livox | timestamp / offset_time | float64 ns, absolute / uint32 ns, relative |
| Autoware | time_stamp | uint32 ns, relative |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIME_NAMES = ("time", "t", "timestamp", "time_stamp", "offset_time", "time_offset", "offset_ns")
LONGEST_SWEEP_S = 2.0  # a relative time beyond this is not a time within a sweep


def relative_seconds(values: NDArray, stamp_ns: int) -> NDArray[np.float32] | None:
    """float32 [N] s after (negative: before) `stamp_ns`; None where the values are no times of one sweep."""
    if len(values) == 0:
        return np.zeros(0, np.float32)
    if values.dtype.kind in "iu":
        nanoseconds = values.astype(np.int64)
        if int(nanoseconds[0]) > 10**15:  # absolute: ns since 1970
            nanoseconds = nanoseconds - stamp_ns
        relative = nanoseconds * 1e-9
    else:
        seconds = values.astype(np.float64)
        first = seconds[0]
        if first > 1e15:  # absolute ns
            relative = (seconds - stamp_ns) * 1e-9
        elif first > 1e8:  # absolute s
            relative = seconds - stamp_ns * 1e-9
        else:
            relative = seconds
    if not np.isfinite(relative).all() or np.abs(relative).max() > LONGEST_SWEEP_S:
        return None
    return relative.astype(np.float32)
