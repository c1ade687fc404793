"""Sky and weather: the dome that is seen and mirrored, and the light, haze and wetness that every pixel shares.

Radiance is linear RGB; a white surface under the full day's sky and sun comes out near 3. The dome is a table over
azimuth (columns, wrapping) and the square root of the direction's z (rows, 0 at the horizon): fine where the eye looks.
Columns follow the angle's stand-in on the diamond |x| + |y| = 1, which needs no arc tangent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, kernel
from perception_nodes.simulator.render.noise import Textures, smooth, tap
from perception_nodes.simulator.scene import Conditions

COLUMNS = 2048
ROWS = 160


# Places in the vector that kernels read (arrays and scalars cost compiled code less than tuples of arrays)
SUN, SUN_RGB, ZENITH, HORIZON, GLOW, ABOVE, BELOW = 0, 3, 6, 9, 12, 15, 18
DENSITY, LAMPS, CLOUD, WET, SHIFT = 21, 22, 23, 24, 25


class Air(NamedTuple):
    """Light and weather of a drive. Colours float64 [3]; `sun` points to it; `density` is the extinction in 1/m;
    `lamps` is how much artificial light is on, `cloud` the cover, `wet` and `rain` the state of the road and sky
    (all 0..1); `shift` (m) gives every world its own place in the noise."""

    sun: NDArray[np.float64]
    sun_rgb: NDArray[np.float64]
    zenith: NDArray[np.float64]
    horizon: NDArray[np.float64]
    glow: NDArray[np.float64]
    above: NDArray[np.float64]
    below: NDArray[np.float64]
    density: float
    lamps: float
    cloud: float
    wet: float
    rain: float
    exposure: float
    shift: float

    def vector(self) -> NDArray[np.float64]:
        """What kernels read, at the places named above: float64 [26]."""
        return np.array([*np.concatenate(self[:7]), self.density, self.lamps, self.cloud, self.wet, self.shift])


_LIGHT = {  # sun, zenith, horizon, glow about the sun, ambient from above, from below, lamps, exposure
    "day": ((2.7, 2.45, 2.05), (0.15, 0.30, 0.66), (0.66, 0.78, 0.92), (0.55, 0.45, 0.30), (0.52, 0.62, 0.80),
            (0.26, 0.24, 0.21), 0.0, 1.0),
    "dusk": ((0.75, 0.33, 0.13), (0.075, 0.105, 0.21), (0.30, 0.24, 0.25), (0.75, 0.30, 0.08), (0.13, 0.14, 0.19),
             (0.07, 0.06, 0.06), 0.75, 2.6),
    "night": ((0.0, 0.0, 0.0), (0.0016, 0.0023, 0.0050), (0.012, 0.011, 0.011), (0.0, 0.0, 0.0),
              (0.0065, 0.0075, 0.011), (0.004, 0.004, 0.004), 1.0, 4.2),
}  # fmt: skip
_WEATHER = {  # share of the sun, grey share of the sky, extinction 1/m, cover, wet, rain
    "clear": (1.0, 0.0, 0.0011, 0.42, 0.0, 0.0),
    "fog": (0.03, 0.95, 0.026, 1.0, 0.25, 0.0),
    "rain": (0.0, 0.9, 0.0065, 1.0, 1.0, 1.0),
    "wet": (0.22, 0.6, 0.0022, 0.78, 0.85, 0.0),
}


def air(conditions: Conditions, seed: int) -> Air:
    """The light of a drive; raises ValueError on an unknown time of day or weather."""
    if conditions.daytime not in _LIGHT or conditions.weather not in _WEATHER:
        raise ValueError(
            f"no light for daytime {conditions.daytime!r} and weather {conditions.weather!r}; "
            f"known: {', '.join(_LIGHT)} and {', '.join(_WEATHER)}"
        )
    rng = np.random.default_rng([seed, 77])
    sun_rgb, zenith, horizon, glow, above, below, lamps, exposure = _LIGHT[conditions.daytime]
    sun_share, grey, density, cover, wet, rain = _WEATHER[conditions.weather]
    elevation = conditions.sun_elevation
    if conditions.daytime == "dusk":
        elevation = min(max(elevation, 0.04), 0.13)
    elevation = min(max(elevation, 0.04), 1.5)
    azimuth = conditions.sun_azimuth
    sun = np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], np.float64
    )
    low = np.clip(1.0 - elevation / 0.5, 0.0, 1.0)  # a low sun is weaker and warmer
    warm = np.array([1.0, 1.0 - 0.25 * low, 1.0 - 0.5 * low]) if conditions.daytime == "day" else np.ones(3)
    zenith_, horizon_ = np.array(zenith), np.array(horizon)
    dull = np.full(3, (zenith_.mean() + horizon_.mean()) * (0.62 if conditions.weather != "fog" else 0.72))
    cover = min(1.0, cover * (0.4 + 1.2 * rng.random())) if conditions.weather == "clear" else cover
    above_ = np.array(above) * (1 - grey) + np.full(3, np.mean(above)) * grey * (1.1 if grey else 1.0)
    return Air(
        sun=sun,
        sun_rgb=np.array(sun_rgb) * warm * sun_share,
        zenith=zenith_ * (1 - grey) + dull * grey * 0.9,
        horizon=horizon_ * (1 - grey) + dull * grey,
        glow=np.array(glow) * max(sun_share, 0.04),
        above=above_,
        below=np.array(below) * (1 - 0.3 * grey),
        density=density * (1.0 if conditions.weather == "clear" else 0.75 + 0.5 * rng.random()),
        lamps=max(lamps, 0.25 if conditions.weather in ("fog", "rain") else 0.0),
        cloud=cover,
        wet=wet,
        rain=rain,
        exposure=exposure,
        shift=float(rng.uniform(0, 500)),
    )


@kernel
def paint_dome(air, fractal, out):
    """Fills the dome table float32 [ROWS, COLUMNS, 3]: gradient, glow, clouds, and far hills and tree lines."""
    rows, columns, _ = out.shape
    for j in range(columns):
        turn = 4.0 * j / columns
        ca = 1.0 - turn if turn < 2.0 else turn - 3.0
        sa = 1.0 - abs(turn - 1.0) if turn < 3.0 else turn - 4.0
        if turn >= 2.0 and turn < 3.0:
            sa = 2.0 - turn
        size = np.sqrt(ca * ca + sa * sa)
        ca /= size
        sa /= size
        # silhouettes: periodic in azimuth because they are read on a circle in the noise tile
        hill = 0.018 + 0.011 * tap(fractal, 40.0 * ca + air[SHIFT], 40.0 * sa, 0.0)
        trees = 0.011 + 0.0035 * tap(fractal, 230.0 * ca, 230.0 * sa + air[SHIFT], 0.0)
        for i in range(rows):
            dz = ((i + 0.5) / rows) ** 2
            flat = np.sqrt(1.0 - dz * dz)
            dx = ca * flat
            dy = sa * flat
            to_sun = dx * air[SUN] + dy * air[SUN + 1] + dz * air[SUN + 2]
            rise = 1.0 - np.exp(-4.2 * dz)
            halo = max(to_sun, 0.0)
            halo = 0.35 * halo**6 + 0.9 * halo**64
            cover, bright = _cloud(dx, dy, dz, air, fractal)
            hazy = np.exp(-dz * 9.0)
            for c in range(3):
                base = air[HORIZON + c] * (1.0 - rise) + air[ZENITH + c] * rise + air[GLOW + c] * halo
                lit = (
                    air[HORIZON + c] * 0.75
                    + air[ABOVE + c] * 0.35
                    + 0.16 * air[SUN_RGB + c] * bright
                    + air[GLOW + c] * halo
                )
                value = base * (1.0 - cover) + lit * (0.55 + 0.45 * bright) * cover
                value = value * (1.0 - 0.5 * hazy) + (air[HORIZON + c] + air[GLOW + c] * halo) * 0.5 * hazy
                tint = 0.30 if c == 0 else (0.36 if c == 1 else 0.34)
                far = air[ABOVE + c] * tint
                if dz < trees:
                    value = 0.62 * value + 0.38 * far * 0.55
                elif dz < hill:
                    value = 0.8 * value + 0.2 * far
                out[i, j, c] = value
    return


@helper
def _cloud(dx, dy, dz, air, fractal):
    """Cover 0..1 and brightness 0..1 of the clouds in a direction: a plane of noise, lit by its slope to the sun."""
    k = 1.0 / (dz + 0.09)
    u = dx * k * 26.0 + air[SHIFT]
    v = dy * k * 26.0
    lod = np.log2(0.2 + 0.25 * k)
    d = tap(fractal, u, v, lod) + 0.45 * tap(fractal, u * 4.3, v * 4.3, lod + 2.1)
    toward = tap(fractal, u + 3.0 * air[SUN], v + 3.0 * air[SUN + 1], lod)
    edge = 1.9 - 3.4 * air[CLOUD]
    cover = smooth(edge, edge + 1.1, d)
    bright = 0.62 + 0.28 * (d - toward) - 0.16 * max(d - edge - 0.6, 0.0)
    return cover * (0.92 if air[CLOUD] < 1.0 else 1.0), min(max(bright, 0.0), 1.0)


@helper
def sky(dome, air, dx, dy, dz):
    """Radiance of the dome in a unit direction; below the horizon, of a distant plain."""
    rows, columns, _ = dome.shape
    if dz <= 0.0:
        y = 0.0
    else:
        y = min(np.sqrt(dz) * rows - 0.5, rows - 1.001)
        if y < 0.0:
            y = 0.0
    x = (1.0 - dx / (abs(dx) + abs(dy) + 1e-12)) * (0.25 * columns)
    if dy < 0.0:
        x = columns - x
    x0 = np.int64(x)
    fx = x - x0
    if x0 >= columns:
        x0 = np.int64(0)
    x1 = x0 + 1 if x0 + 1 < columns else 0
    y0 = np.int64(y)
    fy = y - y0
    y1 = min(y0 + 1, rows - 1)
    w00 = (1 - fx) * (1 - fy)
    w01 = fx * (1 - fy)
    w10 = (1 - fx) * fy
    w11 = fx * fy
    r = w00 * dome[y0, x0, 0] + w01 * dome[y0, x1, 0] + w10 * dome[y1, x0, 0] + w11 * dome[y1, x1, 0]
    g = w00 * dome[y0, x0, 1] + w01 * dome[y0, x1, 1] + w10 * dome[y1, x0, 1] + w11 * dome[y1, x1, 1]
    b = w00 * dome[y0, x0, 2] + w01 * dome[y0, x1, 2] + w10 * dome[y1, x0, 2] + w11 * dome[y1, x1, 2]
    if dz < 0.0:  # ground beyond the world: haze near the horizon, then a dull plain
        k = 1.0 - np.exp(dz * 30.0)
        ground = 0.16 * (air[ABOVE] + air[ABOVE + 1] + air[ABOVE + 2]) / 3.0 + 0.05 * air[SUN_RGB + 1] * air[SUN + 2]
        r = r * (1 - k) + ground * 0.95 * k
        g = g * (1 - k) + ground * 1.05 * k
        b = b * (1 - k) + ground * 0.75 * k
    return r, g, b


@helper
def mirror(dome, air, dx, dy, dz):
    """What a shiny surface sees: the dome, with a blurred street (facades, ground) about the horizon."""
    r, g, b = sky(dome, air, dx, dy, dz if dz > 0.02 else 0.02)
    street = 0.17 * (air[ABOVE] + air[ABOVE + 1] + air[ABOVE + 2]) / 3.0 + 0.06 * air[SUN_RGB + 1] + 0.02 * air[LAMPS]
    if dz < 0.0:
        k = smooth(0.0, 0.06, -dz)
        ground = 0.14 * (air[ABOVE + 1] + air[SUN_RGB + 1] * air[SUN + 2]) + 0.008 * air[LAMPS]
        street = street * (1.0 - k) + ground * k
    k = 1.0 - smooth(0.05, 0.30, dz)
    k *= 0.85
    return r * (1 - k) + street * k, g * (1 - k) + street * k, b * (1 - k) + street * 0.97 * k


def dome(sky_air: Air, tex: Textures) -> NDArray[np.float32]:
    """The painted dome, float32 [ROWS, COLUMNS, 3]."""
    out = np.empty((ROWS, COLUMNS, 3), np.float32)
    paint_dome(sky_air.vector(), tex.fractal, out)
    return out
