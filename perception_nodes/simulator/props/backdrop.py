"""What stands far behind the ring road: rows of plain buildings and tree lines, to about 130 m."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.draft import Draft
from perception_nodes.simulator.layout.frontage import Frontage
from perception_nodes.simulator.layout.soup import BUILDING, Soup, box_quads
from perception_nodes.simulator.props.buildings import PLASTERS
from perception_nodes.simulator.props.library import Library
from perception_nodes.simulator.props.placer import Placer
from perception_nodes.simulator.scene import Mesh, Surface


def far_house(rng: np.random.Generator, storeys: int, pitched: bool) -> Mesh:
    """A building of a few triangles, 1 m wide and deep, to be scaled; height in metres."""
    soup = Soup()
    tone = np.array(PLASTERS[int(rng.integers(len(PLASTERS)))]) * rng.uniform(0.75, 1.05)
    rgb = tuple(int(c) for c in np.clip(tone, 0, 255))
    height = 3.0 * storeys
    soup.quads(box_quads((-0.5, 0, -3), (0.5, 1, height)), Surface.PLASTER, BUILDING, rgb)
    if pitched:
        rise = float(rng.uniform(2.5, 4.5))
        roof = [
            [(-0.52, -0.03, height), (0.52, -0.03, height), (0.52, 0.5, height + rise), (-0.52, 0.5, height + rise)],
            [(0.52, 1.03, height), (-0.52, 1.03, height), (-0.52, 0.5, height + rise), (0.52, 0.5, height + rise)],
        ]
        soup.quads(roof, Surface.ROOF, BUILDING, (120, 70, 56))
    x, z = np.meshgrid(np.arange(-0.38, 0.4, 0.25), np.arange(1.0, height - 0.5, 3.0))
    corners = np.stack(
        [
            np.stack([x.ravel() + dx, np.full(x.size, -0.004), z.ravel() + dz], -1)
            for dx, dz in ((0, 0), (0.09, 0), (0.09, 1.3), (0, 1.3))
        ],
        1,
    )
    soup.quads(corners, Surface.GLASS, BUILDING, (60, 74, 88))
    return soup.mesh()


def add_backdrop(draft: Draft, placer: Placer, library: Library, fronts: list[Frontage]) -> None:
    """Rows at 45 to 125 m behind the ring road, corners included."""
    rng, style = draft.rng, draft.plan.style
    low, high = style.storeys
    houses = [far_house(rng, int(rng.integers(low, high + 1)), rng.random() < style.pitched) for _ in range(5)]
    chance = {"fields": 0.08, "houses": 0.5, "blocks": 0.6}[style.backdrop]
    for front in fronts:
        for x0, spread in ((48.0, 8.0), (85.0, 14.0), (118.0, 8.0)):
            s = -x0
            while s < front.length + x0:
                wide = float(rng.uniform(9, 26))
                x = x0 + float(rng.uniform(0, spread))
                beyond = max(-s, s + wide - front.length, 0.0)
                if beyond > x or np.hypot(beyond, x) > 135.0:
                    s += wide
                    continue
                if rng.random() < chance:
                    deep = float(rng.uniform(9, 16))
                    house = houses[int(rng.integers(len(houses)))]
                    placer.put(house, front.uv(s + wide / 2, x), front.along, (wide * 0.85, deep, 1.0))
                elif rng.random() < 0.75:
                    tree = library.far_trees[int(rng.integers(len(library.far_trees)))]
                    for _ in range(int(rng.integers(1, 3))):
                        at = front.uv(s + rng.uniform(0, wide), x + rng.uniform(-4, 6))
                        placer.put(tree, at, (1, 0), float(rng.uniform(0.9, 1.6)))
                s += wide
    corner_plants(draft, placer, library, fronts)


def corner_plants(draft: Draft, placer: Placer, library: Library, fronts: list[Frontage]) -> None:
    """Trees and bushes at the outer corners of the ring, where no lots lie."""
    rng = draft.rng
    for front in fronts:
        for _ in range(int(rng.integers(6, 14))):
            s, x = -rng.uniform(2, 40), rng.uniform(2, 40)
            if np.hypot(s, x) < 8:
                continue
            kind = library.trees if rng.random() < 0.6 else library.bushes
            placer.put(kind[int(rng.integers(len(kind)))], front.uv(s, x), (1, 0), float(rng.uniform(0.8, 1.5)))
