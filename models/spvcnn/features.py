"""Input features of a voxel, by name: one definition for training (torch) and for the session (numpy).

From the voxel's cell and the means over its points (x, y, z in metres in the sensor frame, intensity 0..1):
    height     z / 2                     range      log(1 + sqrt(x^2 + y^2)) / 2
    intensity  0..1, 0 where unknown     known      1 where the sensor gives intensities, else 0
    offset_*   (mean - voxel centre) / voxel size, in [-0.5, 0.5]
    count      log2(1 + points) / 4
    x, y, z    metres (the released networks)
None but x and y depends on the heading, and none on where a LiDAR's beams lie; intensity may be missing altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAMES = ("height", "range", "intensity", "known", "offset_x", "offset_y", "offset_z", "count", "x", "y", "z")


def voxel_features(names: Sequence[str], means: Any, cells: Any, counts: Any, known: Any, size: float, lib: Any) -> Any:
    """Features [N, len(names)] float32.

    means [N, 4] (x, y, z, intensity) · cells [N, 3] voxel indices · counts [N] points per voxel · known [N] or a scalar ·
    size of a voxel, m · lib: `torch` or `numpy`, whichever the arrays are of. ValueError for an unknown name.
    """
    columns = []
    for name in names:
        if name == "height":
            columns.append(means[:, 2] * 0.5)
        elif name == "range":
            columns.append(lib.log1p(lib.sqrt(means[:, 0] ** 2 + means[:, 1] ** 2)) * 0.5)
        elif name == "intensity":
            columns.append(means[:, 3])
        elif name == "known":
            columns.append(means[:, 3] * 0.0 + known)
        elif name in ("offset_x", "offset_y", "offset_z"):
            axis = "xyz".index(name[-1])
            columns.append(means[:, axis] * (1.0 / size) - cells[:, axis] - 0.5)
        elif name == "count":
            columns.append(lib.log2(1.0 + counts) * 0.25)
        elif name in ("x", "y", "z"):
            columns.append(means[:, "xyz".index(name)])
        else:
            raise ValueError(f"unknown input feature {name!r}; known: {', '.join(NAMES)}")
    return lib.stack(columns, 1)
