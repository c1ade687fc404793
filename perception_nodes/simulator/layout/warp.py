"""From the straight street plan to a curved, sloped town, and exactly back.

Everything is laid out in plan coordinates (u, v), where roads are axis-aligned. Two shears bend the plan,

    x' = u + f(v),   y' = v + g(x'),

then a rotation turns it. Shears never fold and invert in closed form, roads get curvature, junctions get odd angles,
and blocks keep their area. Height is a sum of long waves over the map plus an optional tilt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Waves:
    """Sum of sines of one variable: rows of (amplitude m, wavelength m, phase rad)."""

    rows: tuple[tuple[float, float, float], ...]

    def __call__(self, s: Array) -> Array:
        """Value (m) at s (m), same shape."""
        total = np.zeros_like(s, dtype=np.float64)
        for amplitude, wavelength, phase in self.rows:
            total += amplitude * np.sin(2 * np.pi * s / wavelength + phase)
        return total


@dataclass(frozen=True)
class Warp:
    """Plan (u, v) to map (x, y), and the base height of the land. All methods are vectorised over leading axes."""

    across: Waves  # f: shifts x as a function of v
    along: Waves  # g: shifts y as a function of x'
    turn: float  # rad
    hills: tuple[tuple[float, float, float, float], ...]  # amplitude m, wave vector x and y (rad/m), phase

    def map_from_plan(self, uv: Array) -> Array:
        """Plan points float64 [..., 2] -> map points [..., 2]."""
        x = uv[..., 0] + self.across(uv[..., 1])
        y = uv[..., 1] + self.along(x)
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.stack([c * x - s * y, s * x + c * y], -1)

    def plan_from_map(self, xy: Array) -> Array:
        """Map points float64 [..., 2] -> plan points [..., 2]; the exact inverse of `map_from_plan`."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        x = c * xy[..., 0] + s * xy[..., 1]
        y = c * xy[..., 1] - s * xy[..., 0]
        v = y - self.along(x)
        return np.stack([x - self.across(v), v], -1)

    def height(self, uv: Array) -> Array:
        """Base height of the land (m) at plan points [..., 2] -> [...]."""
        xy = self.map_from_plan(uv)
        z = np.zeros(xy.shape[:-1])
        for amplitude, kx, ky, phase in self.hills:
            z += amplitude * np.sin(kx * xy[..., 0] + ky * xy[..., 1] + phase)
        return z

    def lift(self, uv: Array, above: Array | float = 0.0) -> Array:
        """Plan points [..., 2] -> map points [..., 3] at `above` metres over the base height."""
        return np.concatenate([self.map_from_plan(uv), (self.height(uv) + above)[..., None]], -1)

    def yaw(self, uv: Array, heading: Array) -> Array:
        """Map yaw (rad) at plan points [..., 2] of plan directions [..., 2]."""
        step = 0.05
        d = self.map_from_plan(uv + step * heading) - self.map_from_plan(uv - step * heading)
        return np.arctan2(d[..., 1], d[..., 0])


def random_warp(rng: np.random.Generator, bend: float, hilliness: float) -> Warp:
    """A warp whose roads turn by up to about `bend` (rad) and whose land slopes by up to about `hilliness` (1)."""

    def waves() -> Waves:
        rows = []
        for share in (0.7, 0.3):
            wavelength = float(rng.uniform(160, 420) if share > 0.5 else rng.uniform(90, 200))
            slope = bend * share * float(rng.uniform(0.3, 1.0))
            rows.append((slope * wavelength / (2 * np.pi), wavelength, float(rng.uniform(0, 2 * np.pi))))
        return Waves(tuple(rows))

    hills = []
    for share in (0.55, 0.3, 0.15):
        wavelength = float(rng.uniform(90, 400))
        k = 2 * np.pi / wavelength
        angle = float(rng.uniform(0, 2 * np.pi))
        slope = hilliness * share * float(rng.uniform(0.2, 1.0))
        hills.append((slope / k, k * np.cos(angle), k * np.sin(angle), float(rng.uniform(0, 2 * np.pi))))
    return Warp(waves(), waves(), float(rng.uniform(-np.pi, np.pi)), tuple(hills))
