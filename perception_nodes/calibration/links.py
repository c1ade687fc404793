"""Links of the TF tree: fixed ones, and moving ones that remember their last seconds and interpolate."""

from __future__ import annotations

from bisect import bisect_left, insort

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import Matrix, interpolate
from perception_nodes.messages.transforms import Transform

HISTORY_S = 10.0
MAX_HISTORY = 2000  # transforms of one moving link
RESTART_S = 1.0  # a stamp older than the newest by more than this: time was set back


class FixedLink:
    """A link of /tf_static or of a rig YAML: the same at any time."""

    moving = False

    def __init__(self, transform: Transform) -> None:
        self.parent, self.child = transform.parent, transform.child
        self._transform = transform

    @property
    def newest(self) -> Transform:
        """The transform."""
        return self._transform

    def at(self, stamp_ns: int | None) -> Matrix:
        """parent_from_child float64 [4, 4]."""
        return self._transform.parent_from_child


class MovingLink:
    """A link of /tf: transforms by stamp, those of the last `history_s` seconds (and at most `MAX_HISTORY`)."""

    moving = True

    def __init__(self, parent: str, child: str, history_s: float = HISTORY_S) -> None:
        self.parent, self.child = parent, child
        self._history_ns = round(history_s * 1e9)
        self._transforms: list[Transform] = []  # by stamp, rising

    @property
    def newest(self) -> Transform | None:
        """The transform of the newest stamp, or None."""
        return self._transforms[-1] if self._transforms else None

    def add(self, transform: Transform) -> None:
        """Keeps a transform; the same stamp again replaces it, a stamp of long ago restarts the link."""
        stamp_ns = transform.stamp_ns
        if self._transforms and self._transforms[-1].stamp_ns - stamp_ns > RESTART_S * 1e9:
            self._transforms.clear()
        place = bisect_left(self._transforms, stamp_ns, key=_stamp)
        if place < len(self._transforms) and self._transforms[place].stamp_ns == stamp_ns:
            self._transforms[place] = transform
        else:
            insort(self._transforms, transform, key=_stamp)
        oldest = self._transforms[-1].stamp_ns - self._history_ns
        old = max(bisect_left(self._transforms, oldest, key=_stamp), len(self._transforms) - MAX_HISTORY)
        del self._transforms[:old]

    def clear(self) -> None:
        """Forgets every transform."""
        self._transforms.clear()

    def at(self, stamp_ns: int | None) -> Matrix:
        """parent_from_child float64 [4, 4] at a stamp, between its neighbours; None: the newest.

        Raises:
            CalibrationError: no transform was received, or the stamp is outside the received ones.
        """
        link = f"{self.parent} <- {self.child}"
        if not self._transforms:
            raise CalibrationError(f"nothing has come on /tf for {link} since time was set back; publish it on /tf")
        if stamp_ns is None:
            return self._transforms[-1].parent_from_child
        place = bisect_left(self._transforms, stamp_ns, key=_stamp)
        if place < len(self._transforms) and self._transforms[place].stamp_ns == stamp_ns:
            return self._transforms[place].parent_from_child
        first, last = self._transforms[0].stamp_ns, self._transforms[-1].stamp_ns
        if place == 0:
            raise CalibrationError(
                f"the transform {link} is asked for {(first - stamp_ns) * 1e-9:.3f} s before the oldest that is kept;"
                " publish /tf before the sensor's messages"
            )
        if place == len(self._transforms):
            raise CalibrationError(
                f"the transform {link} is asked for {(stamp_ns - last) * 1e-9:.3f} s after the newest that came;"
                " publish /tf more often, or without delay"
            )
        before, after = self._transforms[place - 1], self._transforms[place]
        part = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        return interpolate(before.parent_from_child, after.parent_from_child, part)


def _stamp(transform: Transform) -> int:
    return transform.stamp_ns
