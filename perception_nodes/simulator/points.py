"""Gathers the firings of a turn that came back (numba)."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.jit import lean


@lean
def gather_points(
    distance, blind, rays, heights, intensity, times, label, actor, tracks, xyz, light, ring, time, point_label,
    instance, column,
):  # fmt: skip
    """Writes the firings with `distance` float32 [C, B] above 0 that are not `blind` (bool [C, B]) to the front of the
    last seven arrays, in firing order; gives how many.

    rays float32 [C, B, 3] · heights float32 [B] m · intensity float32, times float32 (s), label uint8, actor int16
    [C, B] (whom the return lies on, negative: no actor) · tracks uint16 [A]: instance of a point on an actor, also
    where its surface has no point class (cones, barriers) · column int32 of the firing.
    """
    count = 0
    for c in range(distance.shape[0]):
        for b in range(distance.shape[1]):
            r = distance[c, b]
            if not r > np.float32(0.0) or blind[c, b]:
                continue
            xyz[count, 0] = rays[c, b, 0] * r
            xyz[count, 1] = rays[c, b, 1] * r
            xyz[count, 2] = rays[c, b, 2] * r + heights[b]
            light[count], time[count] = intensity[c, b], times[c, b]
            ring[count], column[count] = b, c
            point_label[count] = label[c, b]
            who = actor[c, b]
            instance[count] = tracks[who] if who >= 0 else 0
            count += 1
    return count


@lean
def move_points(xyz, column, turns, shifts):
    """Turns and shifts points float32 [N, 3] in place by those of their column: x becomes turns[c] x + shifts[c].

    column int32 [N] · turns float32 [C, 3, 3] · shifts float32 [C, 3] m.
    """
    for i in range(len(xyz)):
        c = column[i]
        x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        for k in range(3):
            xyz[i, k] = turns[c, k, 0] * x + turns[c, k, 1] * y + turns[c, k, 2] * z + shifts[c, k]
