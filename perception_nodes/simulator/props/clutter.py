"""Street furniture outside the 19 point classes (SemanticKITTI's other-object and other-structure): unlabelled."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.layout.soup import CLUTTER, Soup, box_quads, tube
from perception_nodes.simulator.scene import Mesh, Surface

KINDS = ("bollard", "bin", "wheelie", "bench", "cabinet", "planter", "hydrant", "rack", "column", "stone")


def thing(rng: np.random.Generator, kind: str) -> Mesh:
    """One object at the origin; its front faces -y."""
    soup = Soup()
    grey = int(rng.integers(60, 170))
    rgb = (grey, grey, grey)

    def box(low, high, surface=Surface.METAL, colour=rgb, porosity=0.0):
        soup.quads(box_quads(low, high, True), surface, CLUTTER, colour, porosity)

    def post(path, radii, surface=Surface.METAL, colour=rgb, sides=8):
        v, t = tube(path, radii, sides)
        soup.add(v, t, surface, CLUTTER, colour)

    if kind == "bollard":
        post([(0, 0, -0.2), (0, 0, 0.9), (0, 0, 0.95)], [0.07, 0.07, 0.01])
    elif kind == "bin":
        post([(0, 0, -0.1), (0, 0, 0.85), (0, 0, 0.95)], [0.22, 0.25, 0.05], Surface.PLASTIC, (60, 80, 60))
    elif kind == "wheelie":
        colour = [(40, 44, 46), (60, 70, 160), (50, 100, 60), (150, 130, 40)][int(rng.integers(4))]
        box((-0.29, -0.36, 0.0), (0.29, 0.36, 1.05), Surface.PLASTIC, colour)
    elif kind == "bench":
        box((-0.85, -0.22, 0.4), (0.85, 0.22, 0.46), Surface.WOOD, (130, 100, 70))
        box((-0.85, 0.2, 0.46), (0.85, 0.25, 0.85), Surface.WOOD, (130, 100, 70), 0.3)
        for x in (-0.7, 0.7):
            box((x - 0.03, -0.2, -0.1), (x + 0.03, 0.2, 0.4))
    elif kind == "cabinet":
        box((-0.55, -0.2, -0.2), (0.55, 0.2, rng.uniform(0.9, 1.5)), Surface.METAL, (150, 152, 140))
    elif kind == "planter":
        box((-0.6, -0.4, -0.1), (0.6, 0.4, 0.5), Surface.CONCRETE, (160, 156, 148))
    elif kind == "hydrant":
        post([(0, 0, -0.1), (0, 0, 0.6), (0, 0, 0.75)], [0.13, 0.13, 0.03], Surface.METAL, (180, 40, 36))
    elif kind == "rack":
        for x in np.arange(-1.2, 1.3, 0.8):
            post([(x, -0.35, -0.1), (x, -0.35, 0.8)], [0.025, 0.025], sides=4)
            post([(x, 0.35, -0.1), (x, 0.35, 0.8)], [0.025, 0.025], sides=4)
            post([(x, -0.37, 0.8), (x, 0.37, 0.8)], [0.025, 0.025], sides=4)
    elif kind == "column":
        post([(0, 0, -0.1), (0, 0, 2.9), (0, 0, 3.1)], [0.6, 0.6, 0.2], Surface.PLASTER, (190, 180, 160), 12)
    else:
        post([(0, 0, -0.1), (0, 0, 0.25), (0, 0, 0.45)], [0.35, 0.32, 0.1], Surface.CONCRETE, (150, 146, 138), 6)
    return soup.mesh()


def bus_shelter(rng: np.random.Generator) -> Mesh:
    """A shelter that opens to -y (SemanticKITTI: other-structure, unlabelled)."""
    soup = Soup()
    frame = (70, 74, 78)
    for x in (-2.0, 2.0):
        for y in (-0.6, 0.6):
            soup.quads(box_quads((x - 0.05, y - 0.05, -0.2), (x + 0.05, y + 0.05, 2.4)), Surface.METAL, CLUTTER, frame)
    soup.quads(box_quads((-2.2, -0.9, 2.4), (2.2, 0.7, 2.52), True), Surface.METAL, CLUTTER, frame)
    soup.quads(
        [[(-2, 0.6, 0.2), (2, 0.6, 0.2), (2, 0.6, 2.2), (-2, 0.6, 2.2)]], Surface.GLASS, CLUTTER, (150, 170, 175)
    )
    soup.quads(box_quads((1.95, -0.55, 0.3), (2.05, 0.55, 2.0)), Surface.PLASTIC, CLUTTER, (200, 190, 150))
    soup.quads(box_quads((-1.4, 0.15, 0.42), (1.2, 0.5, 0.48), True), Surface.WOOD, CLUTTER, (120, 95, 70))
    return soup.mesh()
