"""Decide what stands where: lots along the sides of blocks and along the ring road."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.soup import BUILDING, POLE, TRUNK, VEGETATION, Soup, box_quads, tube
from perception_nodes.simulator.scene import Mesh, Surface

if TYPE_CHECKING:
    from perception_nodes.simulator.world import Draft

Array = NDArray[np.float64]


def place_props(draft: Draft) -> None:
    """Everything beside the roads."""
    for block in draft.plan.blocks:
        u0, v0, u1, v1 = draft.lands[block.id].box
        for side in range(4):
            low, high = (u0, u1) if side % 2 == 0 else (v0, v1)
            for s in np.arange(low + 8, high - 8, 18.0):
                uv = np.array([(s, v0 + 9), (u1 - 9, s), (s, v1 - 9), (u0 + 9, s)][side])
                simple_house(draft, uv)
    poles, trees = pole_template(), tree_template()
    for block in draft.plan.blocks:
        ring = draft.rims[block.id].ring(draft.edges[block.id].inner() + 0.3)[::5]
        xyz = draft.ground.on(draft.warp.map_from_plan(ring))
        draft.prop_soup.copies(poles, xyz[::2])
        draft.prop_soup.copies(trees, xyz[1::2], draft.rng.uniform(0, 6, len(xyz[1::2])))
        draft.lamps += [(float(p[0]), float(p[1]), float(p[2]) + 5.8) for p in xyz[::2]]


def simple_house(draft: Draft, uv: Array) -> None:
    soup = Soup()
    height = float(draft.rng.uniform(4, 8))
    soup.quads(box_quads((-5, -4.5, -1), (5, 4.5, height)), Surface.PLASTER, BUILDING, (200, 190, 170))
    xyz = draft.ground.on(draft.warp.map_from_plan(uv))
    draft.prop_soup.copies(soup.mesh(), xyz[None], float(draft.warp.yaw(uv, np.array([1.0, 0.0]))))


def pole_template() -> Mesh:
    soup = Soup()
    v, t = tube([(0, 0, -0.2), (0, 0, 5.8)], [0.07, 0.05])
    soup.add(v, t, Surface.METAL, POLE, (110, 115, 118))
    return soup.mesh()


def tree_template() -> Mesh:
    soup = Soup()
    v, t = tube([(0, 0, -0.2), (0, 0, 3.0)], [0.2, 0.12])
    soup.add(v, t, Surface.BARK, TRUNK, (92, 76, 60))
    rng = np.random.default_rng(1)
    centre = rng.normal(0, 0.9, (60, 1, 3)) + [0, 0, 4.0]
    soup.quads(centre + rng.normal(0, 0.5, (60, 4, 3)), Surface.LEAVES, VEGETATION, (70, 105, 45), 0.4)
    return soup.mesh()
