"""What stands on a road works site: tapers of cones, rows of barriers, machines.

Sites come in three forms: a taper of cones along the lane, a wall of barriers along it, and a closure with barriers on
three sides. In nuScenes most frames have no barrier and some have dozens; a wall or closure has 6 to 16.
"""

from __future__ import annotations

import math

import numpy as np

from perception_nodes.simulator.shapes import Body, Catalogue

Placed = tuple[Body, float, float, float]  # body, metres along the site, metres left, turn (rad)
FORMS, SHARES = ("taper", "wall", "closure"), (0.3, 0.4, 0.3)
LANE_SIDE = 1.2  # m left of a site's middle: the row between site and lane
WIDEST = 2.65  # m; a wider machine would stand in the traffic


def site_bodies(catalogue: Catalogue, rng: np.random.Generator) -> list[Placed]:
    """Bodies of a site of up to 23 x 2.4 m along the road; traffic passes on its left."""
    form = str(rng.choice(FORMS, p=SHARES))
    half = float(rng.uniform(5.5, 8.0) if form == "taper" else rng.uniform(7.0, 10.0))
    found: list[Placed] = []

    def row(left: float) -> None:
        body = catalogue.draw("barrier", rng)
        gap = float(rng.choice([0.03, 0.03, 0.6]))
        for along in np.arange(-half, half - body.size[1] / 2, body.size[1] + gap):
            slip = float(rng.normal(0, 0.03))
            found.append((body, float(along) + body.size[1] / 2, left + slip, math.pi / 2 + float(rng.normal(0, 0.03))))

    if form == "taper":
        for along in np.arange(-half, half + 0.1, float(rng.uniform(1.8, 3.0))):
            found.append((catalogue.draw("cone", rng), float(along), LANE_SIDE + float(rng.normal(0, 0.06)), 0.0))
    else:
        row(LANE_SIDE)
    if form == "closure":
        row(-LANE_SIDE)
    for end in (-half - 1.0, half + 1.0):
        found.append((catalogue.draw("barrier", rng), end, 0.0, float(rng.normal(0, 0.05))))
    cone = catalogue.draw("cone", rng)
    for i in range(4):
        found.append((cone, -half - 1.6 - 1.3 * i, 1.0 - 0.45 * i, 0.0))
    for i in range(2):
        found.append((cone, half + 1.8 + 1.3 * i, 0.9 - 0.9 * i, 0.0))
    places = [0.0] if half < 8.0 else [-0.45 * half, 0.45 * half]
    for place in places:
        if rng.random() < 0.8:
            body = catalogue.draw("construction_vehicle", rng)
            if body.size[1] <= WIDEST:
                turn = math.pi * int(rng.integers(2))
                along = place + float(rng.uniform(-0.8, 0.8))
                found.append((body, along, LANE_SIDE - 0.35 - body.size[1] / 2, turn))
    return found
