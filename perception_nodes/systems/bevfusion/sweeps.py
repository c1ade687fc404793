"""The sweeps of the last half second, brought into the newest one's frame by the vehicle's own motion."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.sweeps import Sweep, accumulate
from perception_nodes.calibration.se3 import Matrix, invert


class SweepBuffer:
    """Holds the last `most` sweeps beside the newest.

    most: 0: only the newest is used · repeat: without a past the newest is repeated in its place, as the released
    models were fed.
    """

    def __init__(self, most: int, repeat: bool) -> None:
        self._repeats = most if repeat else 0
        self._past: deque[tuple[NDArray[np.float32], float, Matrix]] = deque(maxlen=most)
        self._most = most

    def clear(self) -> None:
        """Forgets the past."""
        self._past.clear()

    def add(
        self, points: NDArray[np.float32], stamp_s: float, fixed_from_level: Matrix | None
    ) -> tuple[NDArray[np.float32], Matrix | None]:
        """One sweep.

        Args:
            points: float32 [P, 4], x, y, z (m, level axes), intensity 0..255.
            stamp_s: s. fixed_from_level: the vehicle's pose, None: unknown, the past is forgotten.

        Returns:
            (float32 [N, 5] with the age in s behind, now_from_last float64 [4, 4]: from the sweep before, or None).
        """
        if fixed_from_level is None:
            self.clear()
            return accumulate(points, stamp_s, [], self._repeats), None
        now_from_fixed = invert(fixed_from_level)
        past = [Sweep(p, at, now_from_fixed @ pose) for p, at, pose in self._past]
        motion = past[0].now_from_sweep if past else None
        found = accumulate(points, stamp_s, past, self._most if past else self._repeats)
        self._past.appendleft((points, stamp_s, fixed_from_level))
        return found, motion
