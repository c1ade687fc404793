"""Small clouds of voxels for the tests of this folder."""

import numpy as np


def cloud(seed: int, voxels: int = 120, extent: int = 6, batches: int = 2, low: int = -3) -> np.ndarray:
    """Unique coords int32 [N, 4] in random order, negative values among them."""
    rng = np.random.default_rng(seed)
    xyz = rng.integers(low, low + extent, (voxels, 3))
    coords = np.unique(np.column_stack([xyz, rng.integers(0, batches, voxels)]), axis=0)
    return rng.permutation(coords).astype(np.int32)


def sweep(seed: int, points: int = 20_000, metres: float = 40.0) -> np.ndarray:
    """float32 [P, 3]: rings of points on a ground plane and on walls, as sparse as a LiDAR sweep."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, points)
    ring = rng.integers(0, 32, points)
    distance = np.minimum(1.7 / np.tan(0.03 + 0.013 * ring), metres * (0.4 + 0.3 * np.cos(3 * angle)))
    height = np.where(distance > 0.39 * metres, rng.uniform(-1.7, 3, points), -1.7)
    xyz = np.column_stack([distance * np.cos(angle), distance * np.sin(angle), height])
    return (xyz + rng.normal(0, 0.01, xyz.shape)).astype(np.float32)
