"""Poles and what hangs on them: street lamps, traffic signs, traffic lights, utility poles.

Poles are class pole, sign plates class traffic-sign. SemanticKITTI has no class for the light box of a traffic light
(it labels it as an object outside the 19), so boxes are unlabelled (IGNORE), as are lamp heads' glass and wires.
Plates and lights face -x: a post stands beside the road with +x along the traffic's direction.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.layout.soup import CLUTTER, POLE, TRAFFIC_SIGN, Soup, box_quads, tube
from perception_nodes.simulator.scene import Mesh, Surface

GREYS = ((120, 124, 126), (90, 94, 96), (70, 76, 74), (150, 152, 152), (46, 58, 52))


def pole(soup: Soup, path, radii, rgb, sides: int = 7, surface: Surface = Surface.METAL, label: int = POLE) -> None:
    """A tube of class pole."""
    v, t = tube(path, radii, sides)
    soup.add(v, t, surface, label, rgb)


def lamp(rng: np.random.Generator) -> tuple[Mesh, tuple[float, float, float]]:
    """A street lamp and the place of its light; its arm reaches to +y (over the road)."""
    soup = Soup()
    rgb = GREYS[int(rng.integers(len(GREYS)))]
    if rng.random() < 0.3:  # post-top lantern
        h, arm = rng.uniform(3.2, 4.8), 0.0
        pole(soup, [(0, 0, -0.3), (0, 0, 0.9), (0, 0, 0.95), (0, 0, h)], [0.09, 0.085, 0.055, 0.045], rgb)
        soup.quads(box_quads((-0.2, -0.2, h), (0.2, 0.2, h + 0.4)), Surface.LAMP, POLE, (225, 220, 205))
    else:
        h, arm = rng.uniform(5.5, 10.0), rng.uniform(0.4, 2.4)
        r = rng.uniform(0.06, 0.11)
        pole(soup, [(0, 0, -0.3), (0, 0, 1.1), (0, 0, 1.15), (0, 0, h)], [1.3 * r, 1.3 * r, r, 0.6 * r], rgb)
        pole(soup, [(0, 0, h - 0.1), (0, arm, h + 0.1 * arm)], [0.6 * r, 0.5 * r], rgb, 4)
        z = h + 0.1 * arm
        soup.quads(box_quads((-0.14, arm, z - 0.06), (0.14, arm + 0.65, z + 0.08), True), Surface.METAL, POLE, rgb)
        light = [[(-0.1, arm + 0.1, z - 0.065), (-0.1, arm + 0.6, z - 0.065), (0.1, arm + 0.6, z - 0.065)]]
        soup.add(np.array(light[0]), [[0, 1, 2]], Surface.LAMP, POLE, (240, 235, 220))
    return soup.mesh(), (0.0, float(arm + 0.3), float(h))


def plate(soup: Soup, shape: str, z: float, size: float, rgb, y: float = 0.0) -> None:
    """A sign plate that faces -x: disc, triangle, give-way (triangle on its tip), square, octagon or board."""
    if shape == "board":
        outline = np.array([(-0.9, -0.6), (0.9, -0.6), (0.9, 0.6), (-0.9, 0.6)]) * size
    else:
        corners, turn = {
            "disc": (12, 0.0),
            "triangle": (3, np.pi / 2),
            "give-way": (3, -np.pi / 2),
            "square": (4, np.pi / 4),
            "diamond": (4, 0.0),
            "octagon": (8, np.pi / 8),
        }[shape]
        angle = turn + 2 * np.pi * np.arange(corners) / corners
        outline = size * np.stack([np.cos(angle), np.sin(angle)], -1)
    n = len(outline)
    front = np.stack([np.full(n, -0.06), y - outline[:, 0], z + outline[:, 1]], -1)
    fan = np.array([(0, i, i + 1) for i in range(1, n - 1)])
    soup.add(front, fan, Surface.SIGN, TRAFFIC_SIGN, rgb)
    soup.add(front + [0.015, 0, 0], fan[:, ::-1], Surface.METAL, TRAFFIC_SIGN, (140, 142, 144))


def sign(rng: np.random.Generator) -> Mesh:
    """A pole with one or two signs."""
    soup = Soup()
    h = rng.uniform(2.3, 3.2)
    pole(soup, [(0, 0, -0.3), (0, 0, h)], [0.035, 0.035] if rng.random() < 0.8 else [0.055, 0.05], (150, 152, 154), 6)
    colours = {
        "disc": (200, 40, 40) if rng.random() < 0.6 else (40, 80, 170),
        "triangle": (205, 50, 45),
        "give-way": (205, 50, 45),
        "square": (45, 85, 175),
        "diamond": (230, 200, 60),
        "octagon": (190, 25, 30),
        "board": (240, 240, 236) if rng.random() < 0.5 else (235, 200, 50),
    }
    z = h - 0.35
    for _ in range(1 if rng.random() < 0.65 else 2):
        shape = str(rng.choice(list(colours)))
        size = 0.5 if shape == "board" else rng.uniform(0.3, 0.45)
        plate(soup, shape, z, size, colours[shape])
        z -= 0.75
    return soup.mesh()


def traffic_light(rng: np.random.Generator, arm: float = 0.0) -> Mesh:
    """A traffic light; with an arm (m, to +y over the road) it carries a second head there."""
    soup = Soup()
    rgb = GREYS[int(rng.integers(len(GREYS)))]
    h = 5.8 if arm > 0 else 3.3
    pole(soup, [(0, 0, -0.3), (0, 0, h)], [0.11, 0.09] if arm > 0 else [0.06, 0.06], rgb)
    heads = [(0.0, 2.3)]
    if arm > 0:
        pole(soup, [(0, 0, h - 0.15), (0, arm, h - 0.05)], [0.07, 0.05], rgb, 5)
        heads.append((arm - 0.3, h - 1.0))
    for y, z in heads:
        head = box_quads((-0.3, y - 0.15, z), (-0.07, y + 0.15, z + 0.95), True)
        soup.quads(head, Surface.PLASTIC, CLUTTER, (32, 36, 34))
        for k, colour in enumerate(((90, 220, 120), (90, 75, 30), (90, 30, 28))):
            low, high = z + 0.05 + 0.3 * k, z + 0.27 + 0.3 * k
            lens = [(-0.305, y + 0.1, low), (-0.305, y - 0.1, low), (-0.305, y - 0.1, high), (-0.305, y + 0.1, high)]
            soup.quads([lens], Surface.PLASTIC, CLUTTER, colour)
    return soup.mesh()


def utility_pole(rng: np.random.Generator) -> Mesh:
    """A wooden or concrete pole with a cross-arm."""
    soup = Soup()
    h = rng.uniform(7, 10)
    wood = rng.random() < 0.7
    rgb = (104, 84, 64) if wood else (160, 158, 152)
    pole(soup, [(0, 0, -0.3), (0, 0, h)], [0.16, 0.11], rgb, 7, Surface.WOOD if wood else Surface.CONCRETE)
    soup.quads(box_quads((-0.06, -0.9, h - 0.7), (0.06, 0.9, h - 0.58), True), Surface.WOOD, POLE, rgb)
    return soup.mesh()
