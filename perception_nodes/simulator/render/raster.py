"""What a camera may see, as triangles on its picture: culled by object, clipped at the near plane, projected.

Inverse depth is linear on the picture (perspective-correct). `fill.py` draws them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import maker

NEAR = 0.08  # m


class View(NamedTuple):
    """A pinhole camera. `turn` float64 [3, 3] takes optical axes (x right, y down, z forward) to map; `eye` float64 [3]
    is its position in map, m; focal lengths and centre in pixels of the image that is drawn (pixel 0 centred on 0)."""

    eye: NDArray[np.float64]
    turn: NDArray[np.float64]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class Objects(NamedTuple):
    """What is drawn: triangle ranges int32 [O, 2] with bounding spheres float64 [O, 4] (object frame), and the pose of
    each: float64 [O, 3, 4] map_from_object; `number` int32 [O] indexes the actors (0 = static world)."""

    ranges: NDArray[np.int32]
    spheres: NDArray[np.float64]
    poses: NDArray[np.float64]
    number: NDArray[np.int32]


class Drawn(NamedTuple):
    """Screen triangles: corners float64 [M, 6] (u v, pixels), inverse depth plane float64 [M, 3] (a u + b v + c),
    source int32 [M, 2] (object, triangle)."""

    corners: NDArray[np.float64]
    plane: NDArray[np.float64]
    source: NDArray[np.int32]


@maker
def visible(objects, view):
    """Objects inside the view frustum, nearest first, int64 [n], and the number of their triangles."""
    found = np.empty(len(objects.ranges), np.int64)
    near = np.empty(len(objects.ranges))
    total = 0
    count = 0
    # side planes through the eye, grown by each object's radius; one pixel wider than the picture
    left = (view.cx + 1.0) / view.fx
    right = (view.width - view.cx) / view.fx
    top = (view.cy + 1.0) / view.fy
    low = (view.height - view.cy) / view.fy
    t = view.turn
    for o in range(len(objects.ranges)):
        s = objects.spheres[o]
        m = objects.poses[o]
        px = m[0, 0] * s[0] + m[0, 1] * s[1] + m[0, 2] * s[2] + m[0, 3] - view.eye[0]
        py = m[1, 0] * s[0] + m[1, 1] * s[1] + m[1, 2] * s[2] + m[1, 3] - view.eye[1]
        pz = m[2, 0] * s[0] + m[2, 1] * s[1] + m[2, 2] * s[2] + m[2, 3] - view.eye[2]
        x = t[0, 0] * px + t[1, 0] * py + t[2, 0] * pz
        y = t[0, 1] * px + t[1, 1] * py + t[2, 1] * pz
        z = t[0, 2] * px + t[1, 2] * py + t[2, 2] * pz
        r = s[3]
        if z + r < NEAR:
            continue
        if x + left * z < -r * np.sqrt(1 + left * left) or right * z - x < -r * np.sqrt(1 + right * right):
            continue
        if y + top * z < -r * np.sqrt(1 + top * top) or low * z - y < -r * np.sqrt(1 + low * low):
            continue
        found[count] = o
        near[count] = z
        count += 1
        total += objects.ranges[o, 1] - objects.ranges[o, 0]
    return found[:count][np.argsort(near[:count], kind="mergesort")], total


@maker
def project(objects, order, corners, view, out):
    """Clips and projects the triangles of objects `order` into `out` (Drawn, with room for two each); their count."""
    count = 0
    m = np.empty((3, 4))
    cam = np.empty((3, 3))
    poly = np.empty((4, 3))
    for o in order:
        for i in range(3):
            for j in range(4):
                acc = 0.0
                for k in range(3):
                    shift = view.eye[k] if j == 3 else 0.0
                    acc += view.turn[k, i] * (objects.poses[o, k, j] - shift)
                m[i, j] = acc
        for t in range(objects.ranges[o, 0], objects.ranges[o, 1]):
            behind = 0
            for k in range(3):
                x = corners[t, k, 0]
                y = corners[t, k, 1]
                z = corners[t, k, 2]
                cam[k, 2] = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
                cam[k, 0] = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
                cam[k, 1] = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
                if cam[k, 2] < NEAR:
                    behind += 1
            if behind == 3:
                continue
            ax = cam[1, 0] - cam[0, 0]
            ay = cam[1, 1] - cam[0, 1]
            az = cam[1, 2] - cam[0, 2]
            bx = cam[2, 0] - cam[0, 0]
            by = cam[2, 1] - cam[0, 1]
            bz = cam[2, 2] - cam[0, 2]
            nx = ay * bz - az * by
            ny = az * bx - ax * bz
            nz = ax * by - ay * bx
            d = nx * cam[0, 0] + ny * cam[0, 1] + nz * cam[0, 2]
            if abs(d) <= 1e-12:  # seen edge-on
                continue
            pa = nx / d / view.fx
            pb = ny / d / view.fy
            pc = nz / d - pa * view.cx - pb * view.cy
            n = 0
            if behind == 0:
                for k in range(3):
                    poly[k, 0] = cam[k, 0] / cam[k, 2] * view.fx + view.cx
                    poly[k, 1] = cam[k, 1] / cam[k, 2] * view.fy + view.cy
                n = 3
            else:
                for k in range(3):
                    j = (k + 1) % 3
                    zk = cam[k, 2]
                    zj = cam[j, 2]
                    if zk >= NEAR:
                        poly[n, 0] = cam[k, 0] / zk * view.fx + view.cx
                        poly[n, 1] = cam[k, 1] / zk * view.fy + view.cy
                        n += 1
                    if (zk >= NEAR) != (zj >= NEAR):
                        s = (NEAR - zk) / (zj - zk)
                        poly[n, 0] = (cam[k, 0] + s * (cam[j, 0] - cam[k, 0])) / NEAR * view.fx + view.cx
                        poly[n, 1] = (cam[k, 1] + s * (cam[j, 1] - cam[k, 1])) / NEAR * view.fy + view.cy
                        n += 1
            for k in range(1, n - 1):
                u0 = poly[0, 0]
                v0 = poly[0, 1]
                u1 = poly[k, 0]
                v1 = poly[k, 1]
                u2 = poly[k + 1, 0]
                v2 = poly[k + 1, 1]
                if max(v0, v1, v2) < -1.0 or min(v0, v1, v2) > view.height:
                    continue
                if max(u0, u1, u2) < -1.0 or min(u0, u1, u2) > view.width:
                    continue
                out.corners[count, 0] = u0
                out.corners[count, 1] = v0
                out.corners[count, 2] = u1
                out.corners[count, 3] = v1
                out.corners[count, 4] = u2
                out.corners[count, 5] = v2
                out.plane[count, 0] = pa
                out.plane[count, 1] = pb
                out.plane[count, 2] = pc
                out.source[count, 0] = o
                out.source[count, 1] = t
                count += 1
    return count
