"""Ambient occlusion from the visibility buffer: corners, undersides and contact with the ground grow dark."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.jit import kernel

REACH = 0.7  # m
_SPINS, _TAPS = 4, 8
_turns = np.arange(_SPINS)[:, None] * (np.pi / 4 / _SPINS) + np.arange(_TAPS) * (2 * np.pi / _TAPS)
_far = 0.25 + 0.75 * ((np.arange(_TAPS) * 5 + 3) % _TAPS) / (_TAPS - 1)
OFFSETS = np.stack([np.cos(_turns) * _far, np.sin(_turns) * _far], -1)  # [spin, tap, 2], unit disc


@kernel
def ambient(drawn, ids, inverse, view, top, stop, out):
    """Rows [top, stop) of `out` float32 [h, w] at half size: 1 open .. 0.25 buried. A neighbour in the image counts
    when it rises above the tangent plane of the pixel's triangle by 2 cm to `REACH` (after M. Mittring, "Finding Next
    Gen", 2007, with the exact plane of inverse depth in place of a normal buffer)."""
    height, width = ids.shape
    for i in range(top, stop):
        y = min(2 * i + 1, height - 1)
        for j in range(out.shape[1]):
            x = min(2 * j + 1, width - 1)
            m = ids[y, x]
            w = float(inverse[y, x])
            if m < 0 or w < 1.0 / 60.0:
                out[i, j] = 1.0
                continue
            radius = min(max(0.55 * view.fx * w, 2.5), 42.0)
            pa = drawn.plane[m, 0]
            pb = drawn.plane[m, 1]
            spin = OFFSETS[(i * 2 + j) & 3]
            blocked = 0.0
            for k in range(8):
                px = np.int64(x + radius * spin[k, 0] + 0.5)
                py = np.int64(y + radius * spin[k, 1] + 0.5)
                if px < 0 or py < 0 or px >= width or py >= height:
                    continue
                q = float(inverse[py, px])
                plane = w + pa * (px - x) + pb * (py - y)
                if plane <= 1e-5 or q <= plane:
                    continue
                rise = 1.0 / plane - 1.0 / q
                if rise > 0.02:
                    blocked += 1.0 if rise < REACH else max(0.0, 1.0 + REACH - rise)
            out[i, j] = 1.0 - 0.75 * min(1.0, blocked / 6.0)
