"""The templates of one world: a few individuals of each kind, drawn once and copied everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_nodes.simulator.props import clutter, fences, plants, posts
from perception_nodes.simulator.scene import Mesh


@dataclass
class Library:
    """Template meshes by kind."""

    trees: list[Mesh]
    street_trees: list[Mesh]
    far_trees: list[Mesh]
    bushes: list[Mesh]
    shrubs: list[Mesh]
    hedges: list[Mesh]
    weeds: list[Mesh]
    fences: dict[str, list[Mesh]]
    lamps: list[tuple[Mesh, tuple[float, float, float]]]
    signs: list[Mesh]
    lights: list[Mesh]
    utility: Mesh
    clutter: dict[str, Mesh]
    shelter: Mesh


def draw_library(rng: np.random.Generator) -> Library:
    """Draw a world's templates."""
    species = [str(s) for s in rng.choice(plants.SPECIES, 9)]
    street = [s for s in species if s not in ("conifer", "multi")][:2] or ["round"]
    return Library(
        trees=[plants.tree(rng, s) for s in species],
        street_trees=[plants.tree(rng, s) for s in street for _ in range(2)],
        far_trees=[plants.far_tree(rng) for _ in range(5)],
        bushes=[plants.bush(rng) for _ in range(5)],
        shrubs=[plants.shrub(rng) for _ in range(4)],
        hedges=[plants.hedge(rng) for _ in range(3)],
        weeds=[plants.weeds(rng) for _ in range(2)],
        fences={kind: [fences.fence(rng, kind) for _ in range(2)] for kind in fences.KINDS},
        lamps=[posts.lamp(rng) for _ in range(2)],
        signs=[posts.sign(rng) for _ in range(10)],
        lights=[posts.traffic_light(rng, 0.0), posts.traffic_light(rng, float(rng.uniform(3, 6)))],
        utility=posts.utility_pole(rng),
        clutter={kind: clutter.thing(rng, kind) for kind in clutter.KINDS},
        shelter=clutter.bus_shelter(rng),
    )
