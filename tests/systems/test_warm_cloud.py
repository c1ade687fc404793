"""The made-up cloud of a node's first step: a sensor's size, and a street's number of voxels."""

import numpy as np

from models.spvcnn.presets import LITE_RANGE
from perception_nodes.systems.spvcnn.warm_cloud import COLUMNS, RINGS, warm_cloud


def test_it_fills_as_many_voxels_as_a_64_beam_sensor_does_in_a_street():
    xyz, intensity = warm_cloud()
    assert xyz.shape == (RINGS * COLUMNS, 3) and xyz.dtype == intensity.dtype == np.float32
    low, high = np.array(LITE_RANGE[:3]), np.array(LITE_RANGE[3:])
    assert ((xyz >= low) & (xyz < high)).all()
    voxels = [len(np.unique(np.floor(xyz / size).astype(int), axis=0)) for size in (0.1, 0.2, 0.4, 0.8)]
    assert 50_000 < voxels[0] < 110_000 and 2_000 < voxels[3]
