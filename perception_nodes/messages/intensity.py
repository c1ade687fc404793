"""The full scale of a LiDAR's intensities, found from its first clouds. No ROS.

Drivers send float32 intensities of 0 to 1, or of 0 to 255 (velodyne_points), and the message does not say which. The
scale follows from the 1 % and 99 % quantiles of several clouds, so single outliers do not count. It depends only on the
clouds' values and their order. For uint8 the full scale is always 255.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLOUDS = 5  # with intensities, before the scale is kept
SAMPLED = 8192  # intensities of a cloud that are looked at, evenly spaced
SLACK = 1.01  # a quantile may exceed its full scale by so much
LEAST_OF_255 = 4.0  # fractions whose 99 % quantile is between 1 and this are of neither scale
TYPE_SCALE = {"u1": 255.0}


class Spread(NamedTuple):
    """1 % and 99 % quantile of a cloud's finite intensities; whole: they are whole numbers."""

    low: float
    high: float
    whole: bool


class ScaleReading(NamedTuple):
    """What holds for one cloud.

    Attributes:
        scale: full scale: the intensities are to be divided by it; None: no scale fits, they are not to be used.
        state: scale and where it is from, in a few words.
        found: sentence, at the cloud where the scale was found; "" at all others.
        warning: sentence, at every cloud that does not fit; "" else.
    """

    scale: float | None
    state: str
    found: str = ""
    warning: str = ""


class IntensityScale:
    """Finds the full scale of one sensor's intensities and keeps it.

    Args:
        given: the full scale where the user gave one; None: found from the clouds.
    """

    def __init__(self, given: float | None = None) -> None:
        self._given = given
        self._seen: deque[Spread] = deque(maxlen=CLOUDS)
        self._kept: float | None = None
        self._is_kept = False  # `_kept` holds (None: no scale fits)
        self._misfit = ""  # sentence of a search that ended with None
        self._searching = True

    def reset(self) -> None:
        """Another recording may begin: the scale is found anew, and the one so far holds until then."""
        self._seen.clear()
        self._searching = True

    def __call__(self, values: NDArray[np.float32], kind: str) -> ScaleReading:
        """values: float32 [N], one cloud's raw intensities; kind: numpy type code of the field ("f4", "u1")."""
        seen = spread(values)
        if self._given is not None:
            return self._of_the_user(self._given, seen)
        if kind in TYPE_SCALE:
            return ScaleReading(TYPE_SCALE[kind], f"{TYPE_SCALE[kind]:g} (uint8)")
        if self._searching and seen is not None:
            self._seen.append(seen)
            if len(self._seen) == CLOUDS:
                return self._keep(kind)
        if not self._is_kept:
            return self._so_far(kind)
        warning = self._misfit  # one text however the clouds vary: it is counted, not repeated
        if self._kept is not None and seen is not None and scale_of(seen, kind) != self._kept:
            warning = (
                f"intensities do not fit the full scale {self._kept:g} that was found from earlier clouds and is still "
                "used: set input.intensity_scale"
            )
        return ScaleReading(self._kept, _named(self._kept, "found from the first clouds"), "", warning)

    def _of_the_user(self, given: float, seen: Spread | None) -> ScaleReading:
        warning = ""
        if seen is not None and seen.high > SLACK * given:
            warning = f"intensities exceed input.intensity_scale {given:g}"
        return ScaleReading(given, _named(given, "input.intensity_scale"), "", warning)

    def _so_far(self, kind: str) -> ScaleReading:
        if not self._seen:
            return ScaleReading(1.0, "unknown: no cloud with intensities yet")
        scale = scale_of(_middle(self._seen), kind)
        warning = _no_scale() if scale is None else ""
        return ScaleReading(scale, _named(scale, f"from {len(self._seen)} of {CLOUDS} clouds"), "", warning)

    def _keep(self, kind: str) -> ScaleReading:
        middle, before, again = _middle(self._seen), self._kept, self._is_kept
        self._kept, self._is_kept, self._searching = scale_of(middle, kind), True, False
        state = _named(self._kept, "found from the first clouds")
        self._misfit = _no_scale(f" of {middle.low:.3g} to {middle.high:.3g}") if self._kept is None else ""
        if self._kept is None:
            return ScaleReading(None, state, "", self._misfit)
        if not again:
            text = f"intensities are of 0 to {self._kept:g}, found from the first {CLOUDS} clouds"
            return ScaleReading(self._kept, state, f"{text} (99 % are at most {middle.high:g})")
        if before == self._kept:
            return ScaleReading(self._kept, state)
        was = "no scale fitted" if before is None else f"they were of 0 to {before:g}"
        text = f"intensities are of 0 to {self._kept:g} since the stamps jumped; before, {was}"
        return ScaleReading(self._kept, state, text, text)


def spread(values: NDArray[np.float32]) -> Spread | None:
    """Quantiles of one cloud's intensities; None where they say nothing: no finite one, or nothing but 0 and 1."""
    sampled = values[:: max(1, len(values) // SAMPLED)].astype(np.float64)
    sampled = sampled[np.isfinite(sampled)]
    if not len(sampled):
        return None
    low, high = (float(q) for q in np.quantile(sampled, (0.01, 0.99)))
    whole = bool((sampled == np.round(sampled)).mean() > 0.99)
    return None if whole and 0 <= low and high <= 1 else Spread(low, high, whole)


def scale_of(seen: Spread, kind: str) -> float | None:
    """The full scale that quantiles fit, or None."""
    if seen.low < 0:
        return None
    if kind == "u2":
        return 255.0 if seen.high <= 255 else 65535.0
    if seen.high <= SLACK and not seen.whole:
        return 1.0
    fits = seen.high <= 255 * SLACK and (seen.whole or seen.high >= LEAST_OF_255)
    return 255.0 if fits else None


def scaled(values: NDArray[np.float32], scale: float | None) -> NDArray[np.float32]:
    """Intensities float32 [N] of 0 to 1; zeros (a sensor without intensities) where no scale fits."""
    if scale is None:
        return np.zeros_like(values)
    shares = values if scale == 1.0 else values * np.float32(1 / scale)
    return np.clip(shares, np.float32(0), np.float32(1))


def _middle(seen: deque[Spread]) -> Spread:
    """The medians: one odd cloud among several does not count."""
    low, high = (float(np.median([getattr(s, name) for s in seen])) for name in ("low", "high"))
    return Spread(low, high, 2 * sum(s.whole for s in seen) > len(seen))


def _named(scale: float | None, source: str) -> str:
    return f"{'none fits' if scale is None else f'{scale:g}'} ({source})"


def _no_scale(of: str = "") -> str:
    return (
        f"intensities{of} fit neither 0 to 1 nor 0 to 255 and are not used: set input.intensity_scale to the sensor's "
        "full scale"
    )
