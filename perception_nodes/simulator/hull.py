"""The recording vehicle's own body as a mesh in base frame: what its LiDAR sees of it, and what shades its cameras."""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import IGNORE
from perception_nodes.simulator.scene import Mesh, Surface


def car_hull(
    size: tuple[float, float, float], rear_overhang: float, estate: bool = False, hatchback: bool = False
) -> Mesh:
    """Body of length, width and height `size` (m) that reaches `rear_overhang` behind base's origin. Points that hit it
    carry no class (IGNORE). The side profile is extruded, narrower at the roof (tumblehome). A `hatchback` has a
    short roof with a spoiler, whose edge a camera on the roof that looks back sees."""
    length, width, height = size
    u = (0.0, 0.02, 0.10, 0.30, 0.62, 0.78, 0.97, 1.0, 0.97, 0.03)  # along the length, from the tail
    v = (0.35, 0.60, 0.96, 1.0, 0.985, 0.62, 0.50, 0.30, 0.14, 0.14)  # of the height
    if estate:
        u = (0.0, 0.02, 0.06, 0.25, 0.60, 0.74, 0.97, 1.0, 0.97, 0.03)
        v = (0.35, 0.62, 0.94, 1.0, 0.985, 0.62, 0.48, 0.30, 0.14, 0.14)
    if hatchback:
        u = (0.0, 0.02, 0.03, 0.25, 0.50, 0.74, 0.97, 1.0, 0.97, 0.03)
        v = (0.35, 0.60, 0.915, 1.0, 0.985, 0.62, 0.50, 0.30, 0.14, 0.14)
    x = np.asarray(u) * length - rear_overhang
    z = np.asarray(v) * height
    half = np.interp(np.asarray(v), [0.0, 0.55, 1.0], [0.48, 0.5, 0.37]) * width
    n = len(x)
    left = np.stack((x, half, z), 1)
    right = np.stack((x, -half, z), 1)
    centre = np.array([[x.mean(), half.max(), 0.5 * height], [x.mean(), -half.max(), 0.5 * height]])
    centre[:, 1] = (np.interp(0.5, [0.0, 0.55, 1.0], [0.48, 0.5, 0.37]) * width) * np.array([1.0, -1.0])
    vertices = np.concatenate((left, right, centre))
    triangles: list[tuple[int, int, int]] = []
    for i in range(n):
        j = (i + 1) % n
        triangles += [(i, n + i, n + j), (i, n + j, j)]  # skin between the two sides
        triangles += [(2 * n, i, j), (2 * n + 1, n + j, n + i)]  # the sides themselves
    glass = {3 + 1}  # the windscreen stands between profile points 4 and 5
    mesh = Mesh.build(vertices, triangles, Surface.CAR_PAINT, IGNORE, (60, 64, 72))
    for i in glass:
        mesh.surface[4 * i : 4 * i + 2] = Surface.CAR_GLASS
    return mesh
