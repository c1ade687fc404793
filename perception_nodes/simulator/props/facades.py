"""Facades: walls cut by windows and doors that lie back in the wall, or plain walls with flush windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.soup import BUILDING, Soup
from perception_nodes.simulator.scene import Surface

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """Materials and window measures of one building."""

    wall: Surface
    rgb: tuple[int, int, int]
    glass: tuple[int, int, int]
    trim: tuple[int, int, int]
    window: tuple[float, float]  # width, height
    sill: float  # height of the window's lower edge over its floor
    recess: float
    bay: float  # distance between window axes
    shop: bool = False
    relief: float = 0.02  # m, how far parts of the wall stand before or behind its face
    shutters: bool = False  # open shutters beside the windows


@dataclass(frozen=True)
class Wall:
    """A vertical wall: starts at `start`, runs `length` along `along`; `inward` points into the building."""

    start: Array  # [3]
    along: Array  # [3] unit
    inward: Array  # [3] unit
    length: float

    def points(self, s, depth, z) -> Array:
        """Points [..., 3] at s along, `depth` behind the wall's face, z over its foot."""
        s, depth, z = np.broadcast_arrays(np.asarray(s, float), np.asarray(depth, float), np.asarray(z, float))
        return (
            self.start
            + s[..., None] * self.along
            + depth[..., None] * self.inward
            + z[..., None] * np.array([0.0, 0.0, 1.0])
        )

    def rectangles(self, s0, s1, z0, z1, depth=0.0) -> Array:
        """Quads [Q, 4, 3] that face outwards; `along` runs to the right for who looks at the wall."""
        s0, s1, z0, z1, depth = np.broadcast_arrays(*(np.asarray(x, float).ravel() for x in (s0, s1, z0, z1, depth)))
        s = np.stack([s0, s1, s1, s0], -1)
        z = np.stack([z0, z0, z1, z1], -1)
        return np.asarray(self.points(s, np.broadcast_to(depth[:, None], s.shape), z), np.float64)


def reveals(wall: Wall, s0: Array, s1: Array, z0: Array, z1: Array, depth: float) -> Array:
    """The four inner faces [4 N, 4, 3] of openings: sill, head and both jambs."""
    zero, deep = np.zeros_like(s0), np.full_like(s0, depth)

    def quad(s, d, z) -> Array:
        return wall.points(np.stack(s, -1), np.stack(d, -1), np.stack(z, -1))

    sill = quad((s0, s1, s1, s0), (zero, zero, deep, deep), (z0, z0, z0, z0))
    head = quad((s0, s0, s1, s1), (zero, deep, deep, zero), (z1, z1, z1, z1))
    left = quad((s0, s0, s0, s0), (zero, deep, deep, zero), (z0, z0, z1, z1))
    right = quad((s1, s1, s1, s1), (deep, zero, zero, deep), (z0, z0, z1, z1))
    return np.concatenate([sill, head, left, right])


def window_axes(length: float, bay: float, width: float) -> Array:
    """Left edges of evenly spread windows."""
    count = int((length - 0.8) // bay)
    if count < 1:
        return np.zeros(0)
    margin = (length - count * bay) / 2
    return np.asarray(margin + (np.arange(count) + 0.5) * bay - width / 2, np.float64)


def facade(
    soup: Soup, rng: np.random.Generator, wall: Wall, foot: float, storeys: int, storey: float, look: Look, deep: int
) -> None:
    """A wall from `foot` (below ground) over `storeys`; windows of the lowest `deep` storeys lie back in the wall,
    those above are flush panes. Some windows are closed by shutters, which do return beams."""
    width, height = look.window
    left = window_axes(wall.length, look.bay, width)
    deep = min(deep, storeys) if len(left) else 0
    top = storeys * storey
    split = deep * storey
    if deep:
        soup.quads(wall.rectangles(0, wall.length, foot, 0.0), look.wall, BUILDING, look.rgb)
    low = split if deep else foot
    if top > low:
        soup.quads(wall.rectangles(0, wall.length, low, top), look.wall, BUILDING, look.rgb)
    for level in range(deep):
        deep_storey(soup, rng, wall, level * storey, storey, look, left, door=level == 0)
    flush = np.arange(deep, storeys) * storey + look.sill
    if len(flush) and len(left):
        s, z = (x.ravel() for x in np.meshgrid(left, flush))
        keep = rng.random(len(s)) < 0.93
        panes = wall.rectangles(s[keep], s[keep] + width, z[keep], z[keep] + height, -0.02)
        soup.quads(panes, Surface.GLASS, BUILDING, look.glass)


def deep_storey(soup, rng, wall: Wall, base: float, storey: float, look: Look, left: Array, door: bool) -> None:
    """One storey with openings: wall strips and pillars, reveals, panes, shutters and perhaps a door."""
    width, height = look.window
    low, high = np.full(len(left), base + look.sill), np.full(len(left), base + look.sill + height)
    right = left + width
    if door and look.shop:
        left, right = left - 0.3 * (look.bay - width), right + 0.3 * (look.bay - width)
        low, high = np.full(len(left), base + 0.35), np.full(len(left), base + storey - 0.55)
    is_door = np.zeros(len(left), bool)
    if door:
        is_door[int(rng.integers(len(left)))] = True
        low = np.where(is_door, base + 0.02, low)
        high = np.where(is_door, base + 2.15, high)
    n = len(left)
    starts, ends = np.concatenate([[0.0], right]), np.concatenate([left, [wall.length]])
    out = rng.uniform(-look.relief, look.relief, (3, n + 1))
    strips = [
        wall.rectangles(starts, ends, base, base + storey, out[0]),
        wall.rectangles(left, right, np.full(n, base), low, out[1, :n]),
        wall.rectangles(left, right, high, np.full(n, base + storey), out[2, :n]),
    ]
    soup.quads(np.concatenate(strips), look.wall, BUILDING, look.rgb)
    soup.quads(reveals(wall, left, right, low, high, look.recess), Surface.PLASTER, BUILDING, look.trim)
    closed = ~is_door & (rng.random(len(left)) < 0.12)
    glass = ~is_door & ~closed
    panes = wall.rectangles(left, right, low, high, look.recess)
    soup.quads(panes[glass], Surface.GLASS, BUILDING, look.glass)
    soup.quads(panes[closed], Surface.PLASTIC, BUILDING, look.trim)
    soup.quads(panes[is_door], Surface.WOOD, BUILDING, (88, 62, 44))
    ledges(soup, wall, look, left[~is_door], right[~is_door], low[~is_door], high[~is_door])


def ledges(soup: Soup, wall: Wall, look: Look, left: Array, right: Array, low: Array, high: Array) -> None:
    """Window sills that stand out of the wall, and open shutters."""
    foot = low - 0.06
    soup.quads(wall.rectangles(left, right, foot, low, -0.07), Surface.CONCRETE, BUILDING, look.trim)
    s, z = np.stack([left, right, right, left], -1), np.repeat(low[:, None], 4, 1)
    top = wall.points(s, np.broadcast_to(np.array([-0.07, -0.07, 0.0, 0.0]), s.shape), z)
    soup.quads(top, Surface.CONCRETE, BUILDING, look.trim)
    if look.shutters:
        half = (right - left) / 2
        leaves = [
            wall.rectangles(left - half, left, low, high, -0.05),
            wall.rectangles(right, right + half, low, high, -0.05),
        ]
        soup.quads(np.concatenate(leaves), Surface.WOOD, BUILDING, look.trim)
