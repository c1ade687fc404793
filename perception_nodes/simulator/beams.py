"""Beam tables of spinning LiDARs: where each laser points, in which order and when it fires.

Angles are radians: elevation above the sensor's horizontal plane, azimuth counter-clockwise from the sensor's +x
(forward). Tables list beams by ring id; `ring` 0 is the lowest beam for `hdl32e` (as in nuScenes), `vlp16` and the
generic patterns, and the HIGHEST for `hdl64e` (as in KITTI's files). Sources: Velodyne HDL-32E user's manual (63-9113,
32 lasers, 1.33 degrees, 46.08 us a firing cycle), HDL-64E S2 manual (two blocks of 32, 1/3 and 1/2 degree, 0.1728
degrees a column at 10 Hz), VLP-16 manual (63-9243, 2 degrees, 55.296 us).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BeamTable:
    """One turn of a spinning LiDAR.

    elevation float64 [B] rad · azimuth_offset float64 [B] rad, added to the column's azimuth · height float64 [B] m,
    where the laser leaves the sensor above its origin · fire_delay float64 [B] s after the start of the column ·
    columns of a turn · period s of a turn · start rad, azimuth of the first column · clockwise seen from above.
    """

    name: str
    elevation: NDArray[np.float64]
    azimuth_offset: NDArray[np.float64]
    height: NDArray[np.float64]
    fire_delay: NDArray[np.floating]
    columns: int
    period: float
    start: float = np.pi
    clockwise: bool = True

    @property
    def rings(self) -> int:
        """Number of lasers."""
        return len(self.elevation)

    @property
    def rays(self) -> int:
        """Number of firings in one turn."""
        return self.rings * self.columns

    def azimuths(self) -> NDArray[np.floating]:
        """Azimuth of every column, float64 [columns] rad, in firing order."""
        turn = np.arange(self.columns) * (2 * np.pi / self.columns)
        return self.start - turn if self.clockwise else self.start + turn

    def directions(self) -> NDArray[np.float64]:
        """Unit direction of every firing in the sensor frame, float64 [columns * rings, 3], columns first."""
        azimuth = self.azimuths()[:, None] + self.azimuth_offset[None, :]
        elevation = np.broadcast_to(self.elevation, azimuth.shape)
        flat = np.cos(elevation)
        xyz = np.stack((flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)), -1)
        return xyz.reshape(-1, 3)

    def times(self) -> NDArray:
        """Seconds from the end of the turn to every firing (negative), float64 [columns * rings]."""
        column = np.arange(self.columns)[:, None] * (self.period / self.columns)
        return (column + self.fire_delay[None, :] - self.period).reshape(-1)

    def with_columns(self, columns: int) -> BeamTable:
        """The same lasers at another number of columns a turn (for quick previews and tests)."""
        return replace(self, columns=columns)


def interleaved(count: int) -> NDArray[np.int64]:
    """Firing position of each ring (lowest first) where lower and upper half fire in turns (HDL-32E, VLP-16)."""
    order = np.arange(count).reshape(2, -1).T.reshape(-1)  # the ring that fires k-th
    position = np.empty(count, np.int64)
    position[order] = np.arange(count)
    return position


def hdl32e() -> BeamTable:
    """nuScenes' sensor: 32 lasers from -30.67 to +10.67 degrees, 1084 columns, 20 turns a second."""
    elevation = np.radians(np.linspace(-30.67, 10.67, 32))
    columns, period = 1084, 0.05
    delay = interleaved(32) * 1.152e-6
    return BeamTable("hdl32e", elevation, np.zeros(32), np.zeros(32), delay, columns, period)


def hdl64e(offsets: bool = True) -> BeamTable:
    """KITTI's sensor: an upper block of 32 lasers (+2 to -8.33 degrees in thirds) over a lower one (-8.83 to -24.33 in
    halves), 2083 columns (0.1728 degrees), 10 turns a second. `offsets` sets the lasers' azimuths, which stand in four
    banks 3 degrees apart, and the heights at which they leave the sensor (straight lines fitted to the rings of KITTI's
    sweeps meet the axis 0.2 m above the origin for the upper block, 0.1 m and less for the lower); without it every
    column is one fan from one point."""
    elevation = np.radians(np.concatenate((2.0 - np.arange(32) / 3.0, -8.83 - np.arange(32) * 0.5)))
    azimuth, height = np.zeros(64), np.zeros(64)
    if offsets:
        azimuth = np.radians(np.tile([-4.5, -1.5, 1.5, 4.5], 16))
        height = np.concatenate((np.linspace(0.21, 0.18, 32), np.linspace(0.11, -0.02, 32)))
    columns, period = 2083, 0.1
    delay = np.tile(np.arange(32), 2) * (period / columns / 32)
    return BeamTable("hdl64e", elevation, azimuth, height, delay, columns, period, start=np.pi)


def vlp16() -> BeamTable:
    """The 16-laser sensor: -15 to +15 degrees in steps of 2, 1808 columns (0.1991 degrees), 10 turns a second."""
    elevation = np.radians(np.linspace(-15.0, 15.0, 16))
    return BeamTable("vlp16", elevation, np.zeros(16), np.zeros(16), interleaved(16) * 2.304e-6, 1808, 0.1)


def dense128() -> BeamTable:
    """A generic sensor of 128 lasers, -25 to +15 degrees, four times denser about the horizon than at the edges."""
    elevation = np.radians(_foveated(128, -25.0, 15.0, -1.5, 4.0))
    return BeamTable("dense128", elevation, np.zeros(128), np.zeros(128), np.arange(128) * 4e-7, 1800, 0.1)


def uniform(
    rings: int, lowest_deg: float, highest_deg: float, columns: int, period: float = 0.1, density: float = 1.0
) -> BeamTable:
    """A generic pattern: `rings` lasers between two elevations; `density` > 1 packs them towards the horizon."""
    elevation = np.radians(_foveated(rings, lowest_deg, highest_deg, -2.0, density))
    delay = np.arange(rings) * (period / columns / rings)
    return BeamTable(f"uniform{rings}", elevation, np.zeros(rings), np.zeros(rings), delay, columns, period)


def _foveated(count: int, low: float, high: float, centre: float, density: float) -> NDArray[np.float64]:
    """`count` angles (degrees, ascending) from low to high whose spacing is `density` times closer about `centre`."""
    fine = np.linspace(low, high, 4001)
    weight = 1.0 + (density - 1.0) * np.exp(-(((fine - centre) / 6.0) ** 2))
    cumulative = np.concatenate(([0.0], np.cumsum(0.5 * (weight[1:] + weight[:-1]))))
    return np.interp(np.linspace(0.0, cumulative[-1], count), cumulative, fine)


BEAMS = {"hdl32e": hdl32e, "hdl64e": hdl64e, "vlp16": vlp16, "dense128": dense128}


def random_pattern(rng: np.random.Generator) -> BeamTable:
    """A random plausible sensor, for training networks that must not depend on one sensor: 16 to 128 lasers over 20
    to 45 degrees, at most about 140 k firings a turn. Same generator state, same table."""
    rings = int(rng.choice([16, 24, 32, 40, 64, 80, 128], p=[0.1, 0.1, 0.22, 0.14, 0.24, 0.1, 0.1]))
    lowest = float(rng.uniform(-32.0, -14.0))
    highest = float(rng.uniform(1.0, 15.0))
    columns = int(rng.integers(900, min(2200, 140_000 // rings) + 1))
    table = uniform(rings, lowest, highest, columns, float(rng.choice([0.05, 0.1])), float(rng.uniform(1.0, 5.0)))
    wobble = rng.normal(0.0, np.radians(0.04), rings)  # lasers are aimed by hand
    offset = rng.normal(0.0, np.radians(rng.uniform(0.0, 3.0)), rings)
    return replace(
        table,
        name=f"random{rings}",
        elevation=np.sort(table.elevation + wobble),
        azimuth_offset=offset,
        clockwise=bool(rng.random() < 0.7),
        start=float(rng.uniform(-np.pi, np.pi)),
    )
