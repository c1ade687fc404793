"""A street of a few thousand labelled points, made by hand: enough to see a network learn."""

import numpy as np

from perception_nodes.classes import IGNORE, point_class
from training.segmentation.sweep_wire import CompactSweep


def street(seed: int = 0, points: int = 3000) -> CompactSweep:
    """Road, two walls, some poles and a car around a sensor 1.7 m above the road."""
    rng = np.random.default_rng(seed)
    n = points // 4
    road = np.c_[rng.uniform(-15, 15, n), rng.uniform(-4, 4, n), np.full(n, -1.7)]
    side = rng.choice([-6.0, 6.0], n)
    wall = np.c_[rng.uniform(-15, 15, n), side + rng.normal(0, 0.02, n), rng.uniform(-1.7, 3, n)]
    pole_x = rng.uniform(-12, 12, 5)
    pole = np.c_[rng.choice(pole_x, n), np.full(n, 4.5), rng.uniform(-1.7, 3, n)]
    car = rng.uniform((4, -1, -1.5), (8, 1, 0), (n, 3))
    names = ("road", "building", "pole", "car")
    xyz = np.concatenate((road, wall, pole, car)).astype(np.float32)
    label = np.repeat([point_class(name) for name in names], n)
    label[rng.random(len(label)) < 0.02] = IGNORE
    intensity = rng.uniform(0, 1, len(xyz)).astype(np.float32)
    return CompactSweep.pack(xyz, intensity, label, rng.integers(0, 16, len(xyz)), seed, "hand")
