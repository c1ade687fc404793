"""A made-up sweep of a 64-beam sensor's size, for the step that a node makes before the first cloud arrives."""

import numpy as np
from numpy.typing import NDArray

RINGS, COLUMNS = 64, 2000
MOUNTED_M = 1.73  # above the road
FARTHEST_M = 80.0


def warm_cloud() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(xyz float32 [128000, 3] m, intensity float32 [128000]): a road between uneven walls.

    About as many voxels at every stride as a street's, so that all memory which a step needs has been fetched from the
    system once: for a real sweep that is half of the first step's time.
    """
    azimuth = np.linspace(-np.pi, np.pi, COLUMNS, endpoint=False)
    slope = np.tan(np.radians(np.linspace(-24.8, 2.0, RINGS)))[:, None]
    wall = (8.0 + 6.0 * np.abs(np.sin(7 * azimuth))) / np.maximum(np.abs(np.sin(azimuth)), 0.15)
    road = np.where(slope < 0, MOUNTED_M / np.maximum(-slope, 1e-3), FARTHEST_M)
    reach = np.minimum(road, wall)
    xyz = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), reach * slope], -1).reshape(-1, 3)
    return xyz.astype(np.float32), np.full(len(xyz), 0.3, np.float32)
