"""Input features of a voxel, by name: for training (torch, `voxel_features`) and for the session (`fill_features`).

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

import numpy as np
from numba import njit
from numpy.typing import NDArray

NAMES = ("height", "range", "intensity", "known", "offset_x", "offset_y", "offset_z", "count", "x", "y", "z")


def voxel_features(names: Sequence[str], means: Any, cells: Any, counts: Any, known: Any, size: float, lib: Any) -> Any:
    """Features [N, len(names)] float32.

    means [N, 4] (x, y, z, intensity) · cells [N, 3] voxel indices · counts [N] points per voxel · known [N] or a scalar
    · size of a voxel, m · lib: `torch` or `numpy`, whichever the arrays are of. ValueError for an unknown name.
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


def feature_codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Positions in NAMES, for `fill_features`; ValueError for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"unknown input feature {unknown[0]!r}; known: {', '.join(NAMES)}")
    return np.array([NAMES.index(name) for name in names], np.int64)


@njit(cache=True, nogil=True)
def fill_features(codes, means, coords, counts, known, size, out):
    """`voxel_features` in one pass without temporaries: out float32 [N, at least len(codes)], further columns zeroed.

    codes of `feature_codes` · means float32 [N, 4] · coords int32 [N, 4] · counts int32 [N] · known float32 · size m.
    """
    inverse = np.float32(1.0 / size)
    half, quarter = np.float32(0.5), np.float32(0.25)
    for i in range(len(means)):
        for j in range(out.shape[1]):
            if j >= len(codes):
                out[i, j] = np.float32(0.0)
                continue
            code = codes[j]
            if code == 0:
                out[i, j] = means[i, 2] * half
            elif code == 1:
                out[i, j] = np.log1p(np.sqrt(means[i, 0] * means[i, 0] + means[i, 1] * means[i, 1])) * half
            elif code == 2:
                out[i, j] = means[i, 3]
            elif code == 3:
                out[i, j] = known
            elif code < 7:
                axis = code - 4
                out[i, j] = means[i, axis] * inverse - np.float32(coords[i, axis]) - half
            elif code == 7:
                out[i, j] = np.log2(np.float32(1.0) + np.float32(counts[i])) * quarter
            else:
                out[i, j] = means[i, code - 8]
