"""Light trailers that stand uncoupled: closed cargo trailers, open utility trailers and flat ones, 2.8 to 6.5 m long.

Boxes are `trailer`, as in nuScenes; points are `other-vehicle`, as of every trailer that no truck pulls.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder

Size = tuple[float, float, float]
LIGHT_TRAILERS = ("cargo", "utility", "flat")
_PAINTS: tuple[RGB, ...] = ((232, 232, 230), (40, 42, 46), (150, 152, 156), (170, 30, 30), (40, 70, 130))


def light_trailer(form: str, seed: int) -> tuple[Mesh, Size]:
    """Mesh and box size of a trailer of a form in `LIGHT_TRAILERS`; the drawbar points to +x and is in the box."""
    rng = np.random.default_rng((0x117, LIGHT_TRAILERS.index(form), seed))
    b = MeshBuilder(point_class("other-vehicle"))
    tone = np.clip(np.array(_PAINTS[rng.integers(len(_PAINTS))]) + rng.integers(-12, 13, 3), 0, 255)
    paint: RGB = (int(tone[0]), int(tone[1]), int(tone[2]))
    bed, half = float(rng.uniform(2.0, 5.2)), float(rng.uniform(0.8, 1.1))
    bar = float(rng.uniform(0.8, 1.3))
    length = bed + bar
    front, rear = length / 2 - bar, -length / 2
    mid, deck = (front + rear) / 2, float(rng.uniform(0.5, 0.7))
    b.box([mid, 0, deck], [bed, 2 * half - 0.3, 0.12], Surface.METAL, (60, 60, 62))
    for side in (1, -1):
        b.tube(
            [front - 0.3, side * half * 0.7, deck],
            [length / 2 - 0.05, 0.0, 0.5],
            0.04,
            Surface.METAL,
            (40, 40, 42),
            sides=5,
        )
        for k in range(2 if bed > 3.6 else 1):
            x = mid - 0.25 + (0.45 - 0.85 * k if bed > 3.6 else 0.0)
            b.wheel([x, side * (half - 0.1), 0.32], 0.32, 0.19, (150, 150, 152))
        b.box([rear + 0.02, side * (half - 0.2), deck + 0.05], [0.05, 0.25, 0.12], Surface.TAILLIGHT, (170, 16, 18))
    b.tube([length / 2 - 0.25, 0, 0.0], [length / 2 - 0.25, 0, 0.55], 0.035, Surface.METAL, (90, 90, 92), sides=5)
    b.box([rear, 0, deck - 0.02], [0.03, 0.4, 0.12], Surface.LICENCE_PLATE, (240, 240, 236))
    if form == "cargo":
        high = float(rng.uniform(1.3, 2.1))
        profile = [[rear, deck], [front, deck], [front + 0.25, deck + 0.5], [front, deck + high], [rear, deck + high]]
        b.prism(profile, -half, half, Surface.CAR_PAINT, paint)
        top = deck + high
    elif form == "utility":
        high = float(rng.uniform(0.35, 0.9))
        for side in (1, -1):
            b.box([mid, side * (half - 0.03), deck + high / 2], [bed, 0.05, high], Surface.METAL, paint)
        for x in (front, rear):
            b.box([x, 0, deck + high / 2], [0.05, 2 * half, high], Surface.METAL, paint)
        b.box([mid, 0, deck + 0.07], [bed, 1.9 * half, 0.04], Surface.WOOD, (110, 92, 70))
        if rng.random() < 0.6:
            b.ellipsoid([mid, 0, deck + high * 0.7], [bed * 0.4, half * 0.7, 0.4], Surface.SOIL, (104, 92, 66), sides=8)
            high += 0.3
        top = deck + high
    else:
        b.box([mid, 0, deck + 0.08], [bed, 2 * half, 0.06], Surface.WOOD, (120, 98, 72))
        high = float(rng.uniform(0.5, 1.1))
        for x in np.arange(rear + 0.6, front - 0.4, 1.1):
            if rng.random() < 0.7:
                b.box([float(x), 0, deck + 0.1 + high / 2], [0.9, 1.5 * half, high], Surface.PLASTIC, paint)
        top = deck + 0.1 + high
    return b.mesh(), (length, 2 * half, top)
