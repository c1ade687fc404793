"""Small bags whose content is known."""

import numpy as np

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout

START = 1_700_000_000_000_000_000
STEP = 100_000_000


def sweep(i, points=50):
    rng = np.random.default_rng(i)
    columns = {"xyz": rng.normal(size=(points, 3)).astype(np.float32), "intensity": rng.random(points, np.float32)}
    return make_point_cloud2(point_cloud2_layout(columns), "lidar", START + i * STEP)


def fill(bag, sweeps=10, points=50):
    bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", transforms=[{"child_frame_id": "lidar"}]), START)
    for i in range(sweeps):
        bag.write("/lidar/points", sweep(i, points), START + i * STEP)


def make_bag(path, sweeps=10, points=50, **kwargs):
    with BagWriter(path, **kwargs) as bag:
        fill(bag, sweeps, points)
    return path
