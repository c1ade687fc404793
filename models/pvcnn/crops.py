"""What the street networks are fed: squares cut from a sweep, and the features of their points.

Networks on dense grids see a few metres at a time. A crop is a square of SIDE metres across the ground, any height,
turned about its centre; SCALE metres are one unit of its coordinates, so that a grid of R voxels has an edge of
2 SCALE / R metres and is the same in every crop. Features of a point, in this order:
    local_x, local_y, local_z   place from the crop's centre, turned with it; z in the sensor's frame; SCALE units
    above                       height over the crop's lowest points (their 2nd percentile), 2 m units
    range                       log(1 + horizontal distance from the sensor) / 2
    intensity, known            0..1, 0 where unknown; 1 where the sensor gives intensities, else 0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 8.0
SCALE = 4.8
FEATURES = ("local_x", "local_y", "local_z", "above", "range", "intensity", "known")
EXTRA = len(FEATURES) - 3
NORMALISATION = (
    "squares of 8 m; local x, y, z / 4.8 m from the square's centre (z from the sensor), height over the lowest "
    "points / 2 m, log(1+range)/2, intensity 0..1 (0 where unknown, then known is 0); see models/pvcnn/crops.py"
)


def crop_features(
    xyz: NDArray[np.float32],
    intensity: NDArray[np.float32],
    centre: NDArray[np.float32],
    turn: float = 0.0,
    known: bool = True,
) -> NDArray[np.float32]:
    """Features float32 [7, N] of points xyz float32 [N, 3] m (sensor frame) of one crop; intensity float32 [N].

    centre: x, y of the crop, m · turn: rad about z through the centre. ValueError for no points or wrong shapes."""
    if xyz.ndim != 2 or xyz.shape[1] != 3 or not len(xyz) or intensity.shape != (len(xyz),):
        raise ValueError(
            f"xyz has shape {xyz.shape}, intensity {intensity.shape}: expected [N, 3] and [N], N at least 1"
        )
    out = np.empty((len(FEATURES), len(xyz)), np.float32)
    x, y = xyz[:, 0] - centre[0], xyz[:, 1] - centre[1]
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    out[0] = (c * x - s * y) / np.float32(SCALE)
    out[1] = (s * x + c * y) / np.float32(SCALE)
    out[2] = xyz[:, 2] / np.float32(SCALE)
    low = np.partition(xyz[:, 2], len(xyz) // 50)[len(xyz) // 50]
    out[3] = (xyz[:, 2] - low) / np.float32(2.0)
    out[4] = np.log1p(np.hypot(xyz[:, 0], xyz[:, 1])) / np.float32(2.0)
    out[5] = intensity if known else 0.0
    out[6] = float(known)
    return out
