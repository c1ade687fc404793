"""Which points lie in which box: the check that tells one convention of frames and angles from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def points_in_boxes(
    xyz: NDArray, centre: NDArray[np.float64], size: NDArray[np.float64], yaw: NDArray[np.float64]
) -> NDArray[np.int64]:
    """int64 [B] points within each upright box, faces included. xyz [N, 3], centre, size [B, 3], yaw [B]."""
    points = np.asarray(xyz, np.float64)
    counts = np.zeros(len(centre), np.int64)
    for i in range(len(centre)):
        offset = points - centre[i]
        near = offset[np.abs(offset).max(axis=1) <= float(np.linalg.norm(size[i]))]
        c, s = np.cos(yaw[i]), np.sin(yaw[i])
        along = np.abs(near[:, 0] * c + near[:, 1] * s) <= size[i, 0] / 2
        across = np.abs(near[:, 1] * c - near[:, 0] * s) <= size[i, 1] / 2
        counts[i] = int((along & across & (np.abs(near[:, 2]) <= size[i, 2] / 2)).sum())
    return counts
