"""Blocks: raised islands between roads with kerb, grass strip, walkway and the land inside; and the land outside.

A block's edge is a rounded rectangle. Rings of points at growing offsets follow it inwards (outwards for the land
around the ring road); each ring has its own offset per side, so a side can have its own walkway.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.plan import Block, StreetPlan
from perception_nodes.simulator.layout.soup import OTHER_GROUND, SIDEWALK, TERRAIN, Soup
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Surface

Array = NDArray[np.float64]
KERB_FACE, KERB_STONE = 0.03, 0.16  # offsets of the kerb's upper edge and of its back


@dataclass
class Edge:
    """Cross-section of a block's rim, per side (bottom, right, top, left)."""

    kerb: float
    strip: Array  # [4] grass between kerb and walkway
    walk: Array  # [4] walkway width, 0 for none
    back: tuple[Surface, int, tuple[int, int, int]]  # what lies behind the walkway: surface, class, colour
    paving: tuple[int, int, int]
    kerb_rgb: tuple[int, int, int]
    grass: tuple[int, int, int]
    lowered: list[tuple[int, float, float, bool]] = field(default_factory=list)
    # (side, position along the side, half width, paved through the grass strip)

    def inner(self) -> Array:
        """Offset [4] of the walkway's back."""
        return KERB_STONE + self.strip + self.walk


def draw_edge(rng: np.random.Generator, plan: StreetPlan) -> Edge:
    """A rim drawn from the plan's style."""
    style = plan.style
    walk = np.full(4, rng.uniform(*style.walk)) * rng.uniform(0.8, 1.2, 4)
    strip = np.where(rng.random(4) < style.strip, rng.uniform(0.6, 3.0), 0.0)
    bare = rng.random(4) < style.no_walk
    walk[bare], strip[bare] = 0.0, 0.0
    tone = int(rng.integers(105, 185))
    warm = int(rng.integers(0, 30)) if rng.random() < 0.4 else 0
    green = rng.integers((60, 85, 35), (115, 135, 65))
    paving = (tone + warm // 2, tone - warm // 3, tone - warm)
    grass = (int(green[0]), int(green[1]), int(green[2]))
    back = (Surface.GRASS, TERRAIN, grass)
    if rng.random() < style.paved:
        back = (Surface.PAVING, SIDEWALK, paving)
    elif rng.random() < 0.05 and style.name != "rural":
        back = (Surface.GRAVEL, OTHER_GROUND, (150, 144, 132))
    return Edge(float(rng.uniform(*style.kerb)), strip, walk, back, paving, (tone + 10,) * 3, grass)


@dataclass
class Rim:
    """Sample points around a rounded rectangle: which side or corner each belongs to and its place there."""

    box: tuple[float, float, float, float]
    radii: Array  # [4]
    side: NDArray[np.int64]  # [P] the side that it lies on (corner points: the side that follows)
    along: Array  # [P] plan coordinate along the side (u for bottom and top, v for right and left), nan on corners
    angle: Array  # [P] angle on the corner's arc, nan on sides
    out: int  # +1: offsets go inwards; -1: outwards

    def ring(self, offset: Array) -> Array:
        """Plan points [P, 2] at per-side offsets [4] (or a scalar) from the kerb line."""
        d = np.broadcast_to(np.asarray(offset, np.float64), (4,))
        u0, v0, u1, v1 = self.box
        sign = float(self.out)
        w0, h0, w1, h1 = u0 + sign * d[3], v0 + sign * d[0], u1 - sign * d[1], v1 - sign * d[2]
        points = np.zeros((len(self.side), 2))
        on_side = np.isnan(self.angle)
        level = np.array([h0, w1, h1, w0])[self.side]
        vertical = self.side % 2 == 1
        # Points of a side stay between the (moving) corners.
        lows = np.array([w0, h0, w0, h0])[self.side]
        highs = np.array([w1, h1, w1, h1])[self.side]
        along = np.clip(np.nan_to_num(self.along), lows, highs)
        points[:, 0] = np.where(vertical, level, along)
        points[:, 1] = np.where(vertical, along, level)
        before = np.array([d[3], d[0], d[1], d[2]])  # side before corner i
        after = d
        ru = np.where(np.arange(4) % 2 == 0, before, after)  # offset of the vertical side at corner i
        rv = np.where(np.arange(4) % 2 == 0, after, before)
        rx = np.maximum(self.radii - sign * ru, 0.0)
        ry = np.maximum(self.radii - sign * rv, 0.0)
        su, sv = np.array([1, -1, -1, 1]), np.array([1, 1, -1, -1])
        cu = np.array([w0, w1, w1, w0]) + su * rx
        cv = np.array([h0, h0, h1, h1]) + sv * ry
        corner = self.side
        angle = np.nan_to_num(self.angle)
        arc_points = np.stack([cu[corner] + rx[corner] * np.cos(angle), cv[corner] + ry[corner] * np.sin(angle)], -1)
        points[~on_side] = arc_points[~on_side]
        return points


def make_rim(box, radii, extra: list[tuple[int, float]], out: int = 1, step: float = 3.5, turns: int = 7) -> Rim:
    """Sample a rounded rectangle counter-clockwise; `extra` are (side, along) places that must be points."""
    u0, v0, u1, v1 = box
    radii = np.asarray(radii, np.float64)
    sides, along, angles = [], [], []
    for i in range(4):
        a = np.pi + i * np.pi / 2 + np.linspace(0, np.pi / 2, turns)
        sides += [i] * turns
        along += [np.nan] * turns
        angles += list(a)
        low, high = ((u0, u1), (v0, v1))[i % 2]
        # Corner i starts side i for the walk round; in plan coordinates sides 2 and 3 run backwards.
        first, last = (radii[i], radii[(i + 1) % 4]) if i < 2 else (radii[(i + 1) % 4], radii[i])
        low, high = low + first, high - last
        places = list(np.linspace(low, high, max(2, int(np.ceil((high - low) / step)) + 1))[1:-1])
        places += [x for s, x in extra if s == i and low < x < high]
        places = sorted(places, reverse=i >= 2)
        sides += [i] * len(places)
        along += places
        angles += [np.nan] * len(places)
    return Rim(tuple(box), radii, np.array(sides), np.array(along), np.array(angles), out)


def lowering(edge: Edge, rim: Rim) -> tuple[Array, NDArray[np.bool_]]:
    """Kerb height factor [P] (0.15 where lowered) and mask [P] of points inside a paved entrance."""
    factor, paved = np.ones(len(rim.side)), np.zeros(len(rim.side), bool)
    for side, place, half, through in edge.lowered:
        away = np.abs(rim.along - place)
        inside = (rim.side == side) & (away <= half + 1e-6)
        factor[inside] = 0.15
        if through:
            paved |= inside
    return factor, paved


def band(soup: Soup, low: Array, high: Array, out: int, surface, label, rgb, chosen=None) -> None:
    """Close quads between two rings of points [P, 3]; `chosen` [P] keeps the quads that start at those points."""
    a, b = (low, high) if out > 0 else (high, low)
    nxt = np.roll(np.arange(len(a)), -1)
    corners = np.stack([a, a[nxt], b[nxt], b], 1)
    soup.quads(corners if chosen is None else corners[chosen], surface, label, rgb)


def build_rim(soup: Soup, warp: Warp, edge: Edge, rim: Rim) -> tuple[Array, float]:
    """Kerb, strip, walkway and back strip; returns per-side offset and height (m) of the land's edge."""
    factor, paved = lowering(edge, rim)
    stone, strip, inner = np.full(4, KERB_STONE), KERB_STONE + edge.strip, edge.inner()
    end = inner + 0.5
    top = edge.kerb + 0.02 * (inner - KERB_STONE)
    kerb = edge.kerb * factor
    rings = [
        (np.zeros(4), np.full(len(factor), -0.02)),
        (np.full(4, KERB_FACE), kerb),
        (stone, kerb),
        (strip, edge.kerb * (0.5 + 0.5 * factor)),
        (inner, np.full(len(factor), float(top.max()))),
        (end, np.full(len(factor), float(top.max()) + 0.02)),
    ]
    points = [warp.lift(rim.ring(offset), height) for offset, height in rings]
    nxt = np.roll(np.arange(len(paved)), -1)
    through = paved & paved[nxt]
    band(soup, points[0], points[1], rim.out, Surface.KERB, SIDEWALK, edge.kerb_rgb)
    band(soup, points[1], points[2], rim.out, Surface.KERB, SIDEWALK, edge.kerb_rgb)
    band(soup, points[2], points[3], rim.out, Surface.GRASS, TERRAIN, edge.grass, ~through)
    band(soup, points[2], points[3], rim.out, Surface.PAVING, SIDEWALK, edge.paving, through)
    band(soup, points[3], points[4], rim.out, Surface.PAVING, SIDEWALK, edge.paving)
    band(soup, points[4], points[5], rim.out, *edge.back, ~through)
    band(soup, points[4], points[5], rim.out, Surface.PAVING, SIDEWALK, edge.paving, through)
    return end, float(top.max()) + 0.02


@dataclass
class Land:
    """The inside of a block: its rectangle in the plan and the height of its ground over the base height."""

    box: tuple[float, float, float, float]
    round_u: Array  # [4] radii of the corners along u and v
    round_v: Array
    level: float  # at the edge
    bank: float  # rise over the edge
    reach: float  # width of the bank
    rough: float  # amplitude of unevenness
    waves: tuple[tuple[float, float, float], ...]  # wave vector u, v and phase of the unevenness

    def rounded(self, uv: Array) -> Array:
        """Points [..., 2] of the rectangle pulled into its rounded corners: squares to quarter discs, continuously."""
        u0, v0, u1, v1 = self.box
        out = uv.copy()
        corners = ((u0, v0, -1, -1), (u1, v0, 1, -1), (u1, v1, 1, 1), (u0, v1, -1, 1))
        for i, (u, v, su, sv) in enumerate(corners):
            ru, rv = self.round_u[i], self.round_v[i]
            if min(ru, rv) <= 0:
                continue
            cu, cv = u - su * ru, v - sv * rv
            p = np.stack([(uv[..., 0] - cu) * su / ru, (uv[..., 1] - cv) * sv / rv], -1)
            inside = (p > 0).all(-1)
            shrink = p.max(-1) / np.maximum(np.linalg.norm(p, axis=-1), 1e-9)
            out[..., 0] = np.where(inside, cu + su * ru * p[..., 0] * shrink, out[..., 0])
            out[..., 1] = np.where(inside, cv + sv * rv * p[..., 1] * shrink, out[..., 1])
        return out

    def above(self, uv: Array) -> Array:
        """Height over the base height (m) at plan points [..., 2]."""
        u0, v0, u1, v1 = self.box
        inside = np.minimum(
            np.minimum(uv[..., 0] - u0, u1 - uv[..., 0]), np.minimum(uv[..., 1] - v0, v1 - uv[..., 1])
        ).clip(0.0)
        share = np.clip(inside / self.reach, 0, 1)
        wave = np.zeros(uv.shape[:-1])
        for ku, kv, phase in self.waves:
            wave += np.sin(ku * uv[..., 0] + kv * uv[..., 1] + phase)
        rise = self.bank * share * share * (3 - 2 * share)
        return self.level - 0.02 + rise + self.rough * wave * np.clip(inside / 3.0, 0, 1)


def draw_land(rng: np.random.Generator, plan: StreetPlan, block: Block, end: Array, level: float, flat: bool) -> Land:
    """The land inside a block whose rim ends at per-side offsets `end` and height `level`; it begins a little under the
    rim's last ring, so that no gap shows. `flat`: no bank and hardly any unevenness."""
    end = end - 0.3
    u0, v0, u1, v1 = block.box
    box = (u0 + end[3], v0 + end[0], u1 - end[1], v1 - end[2])
    low, high = plan.style.bank
    bank = float(rng.uniform(low, high)) if rng.random() < 0.6 else 0.05
    waves = tuple((float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5)), float(rng.uniform(0, 6.3))) for _ in range(4))
    rough = float(rng.uniform(0.005, 0.05))
    if flat:
        bank, rough = 0.04, 0.004
    before, after = np.roll(end, 1), end
    even = np.arange(4) % 2 == 0
    round_u = np.maximum(np.array(block.radii) - np.where(even, before, after), 0.0)
    round_v = np.maximum(np.array(block.radii) - np.where(even, after, before), 0.0)
    return Land(box, round_u, round_v, level, bank, float(rng.uniform(2.0, 8.0)), rough, waves)


def build_land(soup: Soup, warp: Warp, land: Land, surface: Surface, label: int, rgb, cell: float = 3.2) -> None:
    """The ground inside a block as a grid of about `cell` metres."""
    u0, v0, u1, v1 = land.box
    if u1 - u0 < 1 or v1 - v0 < 1:
        return
    u = np.linspace(u0, u1, max(3, int((u1 - u0) / cell)))
    v = np.linspace(v0, v1, max(3, int((v1 - v0) / cell)))
    uv = np.stack(np.meshgrid(u, v, indexing="ij"), -1)
    soup.grid(warp.lift(land.rounded(uv), land.above(uv)), surface, label, rgb)


@dataclass
class Outside:
    """The land around the ring road, from the back of its walkway outwards."""

    rim: Rim
    start: Array  # [4] offset where the land begins
    level: float
    reach: float
    bank: float
    rough: float

    def place(self, share: float, offset: float) -> tuple[Array, Array]:
        """Plan point [2] and inward direction [2] at a share (0..1) of the rim's length, `offset` beyond the land's
        edge."""
        ring = self.rim.ring(self.start + offset)
        closed = np.concatenate([ring, ring[:1]])
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
        s = share * length[-1]
        k = min(int(np.searchsorted(length, s, "right")) - 1, len(ring) - 1)
        part = (s - length[k]) / max(length[k + 1] - length[k], 1e-9)
        along = closed[k + 1] - closed[k]
        along = along / np.linalg.norm(along)
        return closed[k] + part * (closed[k + 1] - closed[k]), np.array([-along[1], along[0]])


def build_outside(soup: Soup, rng: np.random.Generator, plan: StreetPlan, warp: Warp, edge: Edge, out: Outside) -> None:
    """Rings of rising and falling land around the ring road."""
    n = len(out.rim.side)
    previous = warp.lift(out.rim.ring(out.start), np.full(n, out.level))
    offset = 0.0
    swell = rng.uniform(-1, 1, (3, 2))
    for width in (1.5, 2.0, 2.5, 3.0, 4, 5, 6, 8, 10, 14, 18, 22, 26, 30):
        offset += width
        uv = out.rim.ring(out.start + offset)
        share = min(offset / out.reach, 1.0)
        height = out.level + out.bank * share * share * (3 - 2 * share)
        wave = sum(a * np.sin(0.05 * b * (uv[:, 0] - uv[:, 1])) for a, b in swell) * min(offset / 60, 1.0) * 1.5
        noise = out.rough * rng.standard_normal(n)
        ring = warp.lift(uv, height + wave + noise)
        band(soup, previous, ring, -1, Surface.GRASS, TERRAIN, edge.grass)
        previous = ring


__all__ = [
    "Edge",
    "Land",
    "Outside",
    "Rim",
    "build_land",
    "build_outside",
    "build_rim",
    "draw_edge",
    "draw_land",
    "make_rim",
    "OTHER_GROUND",
]
