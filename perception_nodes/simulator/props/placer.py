"""Put copies of templates on the ground, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.soup import Soup
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import Mesh

Array = NDArray[np.float64]


class Placer:
    """Collects (template, plan point, plan heading, scale, lift) and adds them to a soup, template by template."""

    def __init__(self, warp: Warp, ground: GroundHeight) -> None:
        self.warp, self.ground = warp, ground
        self.templates: dict[int, Mesh] = {}
        self.rows: dict[int, list[tuple[float, ...]]] = {}

    def put(self, template: Mesh, uv, heading=(1.0, 0.0), scale=1.0, lift: float = 0.0) -> None:
        """One copy at plan point [2]; heading is a plan direction [2], scale a number or [3]."""
        sx, sy, sz = (float(scale),) * 3 if np.ndim(scale) == 0 else (float(v) for v in scale)
        self.templates[id(template)] = template
        row = (float(uv[0]), float(uv[1]), float(heading[0]), float(heading[1]), sx, sy, sz, lift)
        self.rows.setdefault(id(template), []).append(row)

    def flush(self, soup: Soup) -> None:
        """Add everything collected, in the order of first use."""
        for key, rows in self.rows.items():
            table = np.array(rows)
            uv = table[:, :2]
            xyz = self.ground.on(self.warp.map_from_plan(uv))
            xyz[:, 2] += table[:, 7]
            soup.copies(self.templates[key], xyz, self.warp.yaw(uv, table[:, 2:4]), table[:, 4:7])
        self.rows.clear()

    def pose(self, uv) -> Array:
        """Map point [3] on the ground under a plan point [2]."""
        return self.ground.on(self.warp.map_from_plan(np.asarray(uv, float)))
