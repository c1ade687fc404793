"""Fences with holes, railings and low walls: 2 m pieces along x, all of class fence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.soup import FENCE, Soup, box_quads
from perception_nodes.simulator.scene import Mesh, Surface

KINDS = ("picket", "chain", "panel", "bars", "wall", "wall_bars", "wire", "rails", "guard")
WOODS = ((128, 96, 66), (150, 128, 100), (96, 74, 56), (196, 190, 180), (86, 92, 84), (112, 112, 110))
METALS = ((70, 82, 76), (120, 124, 128), (40, 44, 46), (150, 154, 156), (52, 70, 58))
STONES = ((170, 164, 152), (150, 110, 92), (188, 182, 168), (120, 118, 114))


def box(soup: Soup, low, high, surface: Surface, rgb, porosity: float = 0.0) -> None:
    """A box of class fence."""
    soup.quads(box_quads(low, high), surface, FENCE, rgb, porosity)


def slats(
    soup: Soup, x: NDArray[np.floating], width: float, z0: float, z1: float, surface: Surface, rgb, y: float = 0.0
) -> None:
    """Upright slats without thickness at places x."""
    corners = np.zeros((len(x), 4, 3))
    corners[:, :, 0] = x[:, None] + np.array([-0.5, 0.5, 0.5, -0.5]) * width
    corners[:, :, 1] = y
    corners[:, :, 2] = np.array([z0, z0, z1, z1])
    soup.quads(corners, surface, FENCE, rgb)


def fence(rng: np.random.Generator, kind: str) -> Mesh:
    """A 2 m piece of fence centred on the origin, height drawn from the kind's usual range."""
    soup = Soup()
    wood, metal = WOODS[int(rng.integers(len(WOODS)))], METALS[int(rng.integers(len(METALS)))]
    stone = STONES[int(rng.integers(len(STONES)))]
    stone_surface = (Surface.BRICK, Surface.PLASTER, Surface.CONCRETE)[int(rng.integers(3))]
    if kind == "picket":
        h, gap = rng.uniform(0.7, 1.3), rng.uniform(0.15, 0.22)
        slats(soup, np.arange(-0.95, 1.0, gap), gap * rng.uniform(0.45, 0.75), 0.06, h, Surface.WOOD, wood, -0.03)
        rail = [[(-1, 0, z), (1, 0, z), (1, 0, z + 0.07), (-1, 0, z + 0.07)] for z in (0.25 * h, 0.8 * h)]
        soup.quads(rail, Surface.WOOD, FENCE, wood)
        box(soup, (-1.04, -0.05, -0.3), (-0.95, 0.05, h), Surface.WOOD, wood)
    elif kind in ("chain", "wire"):
        h = rng.uniform(0.9, 2.0)
        porosity = float(rng.uniform(0.55, 0.8) if kind == "chain" else rng.uniform(0.75, 0.9))
        soup.quads([[(-1, 0, 0.02), (1, 0, 0.02), (1, 0, h), (-1, 0, h)]], Surface.RAILING, FENCE, metal, porosity)
        for x in (-1.0, 0.0) if rng.random() < 0.5 else (-1.0,):
            box(soup, (x - 0.025, -0.025, -0.3), (x + 0.025, 0.025, h + 0.05), Surface.METAL, metal)
        if rng.random() < 0.4:
            box(soup, (-1, -0.06, -0.3), (1, 0.06, 0.2), Surface.CONCRETE, stone)
    elif kind == "panel":
        h = rng.uniform(1.3, 2.0)
        box(soup, (-1, -0.02, 0.05), (1, 0.02, h), Surface.WOOD, wood)
        box(soup, (-1.05, -0.05, -0.3), (-0.95, 0.05, h + 0.05), Surface.WOOD, wood)
    elif kind == "bars":
        bars(soup, metal, 0.08, rng.uniform(0.9, 1.8), rng.uniform(0.11, 0.16))
    elif kind == "wall":
        h, d = rng.uniform(0.3, 2.0) if rng.random() < 0.5 else rng.uniform(0.3, 0.9), rng.uniform(0.08, 0.17)
        box(soup, (-1.01, -d, -0.4), (1.01, d, h), stone_surface, stone)
        if rng.random() < 0.5:
            box(soup, (-1.01, -d - 0.04, h), (1.01, d + 0.04, h + 0.06), Surface.CONCRETE, stone)
    elif kind == "wall_bars":
        h = rng.uniform(0.25, 0.7)
        box(soup, (-1.01, -0.13, -0.4), (1.01, 0.13, h), stone_surface, stone)
        if rng.random() < 0.5:
            bars(soup, metal, h, h + rng.uniform(0.5, 0.9), 0.13)
        else:
            slats(soup, np.arange(-0.9, 1.0, 0.2), 0.13, h + 0.04, h + rng.uniform(0.5, 0.8), Surface.WOOD, wood)
        box(soup, (-1.12, -0.16, -0.4), (-0.84, 0.16, h + 0.75), stone_surface, stone)
    elif kind == "rails":
        h = rng.uniform(0.8, 1.2)
        for z in (0.35 * h, 0.66 * h, 0.95 * h):
            box(soup, (-1, -0.02, z - 0.05), (1, 0.02, z + 0.05), Surface.WOOD, wood)
        box(soup, (-1.06, -0.06, -0.3), (-0.94, 0.06, h), Surface.WOOD, wood)
    else:  # guard: a crash barrier
        box(soup, (-1, -0.04, 0.42), (1, 0.04, 0.74), Surface.METAL, (150, 154, 156))
        box(soup, (-0.06, 0.04, -0.3), (0.06, 0.16, 0.7), Surface.METAL, (140, 144, 146))
    return soup.mesh()


def bars(soup: Soup, rgb, low: float, high: float, gap: float) -> None:
    """A metal railing: bars as a sheet that lets through what lies between them, a rail and a post."""
    sheet = [[(-1, 0, low), (1, 0, low), (1, 0, high), (-1, 0, high)]]
    soup.quads(sheet, Surface.RAILING, FENCE, rgb, 1.0 - 0.035 / gap)
    rail = [[(-1, -0.015, high - 0.05), (1, -0.015, high - 0.05), (1, -0.015, high), (-1, -0.015, high)]]
    soup.quads(rail, Surface.METAL, FENCE, rgb)
    box(soup, (-1.03, -0.03, low - 0.4), (-0.97, 0.03, high), Surface.METAL, rgb)
