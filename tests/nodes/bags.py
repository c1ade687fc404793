"""Small bags for the node tests, written with the real writer."""

from pathlib import Path

import numpy as np

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values

LINK = Transform("base_link", "lidar", np.eye(4))
START_NS = 1_700_000_000_000_000_000


def points(seed: int, n: int = 500) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform((-20, -20, -2), (20, 20, 3), (n, 3)).astype(np.float32)
    return {"xyz": xyz, "intensity": rng.uniform(0, 1, n).astype(np.float32)}


def write_bag(path: Path, frames: int = 6, hz: float = 10.0, n: int = 500, extra: bool = False) -> Path:
    """Clouds at `hz`; `extra` adds a latched table, a TF message, and a type that pip does not install."""
    with BagWriter(path) as bag:
        if extra:
            bag.write("/lidar/points/classes", make("std_msgs/msg/String", data="table"), START_NS)
            bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf_values([LINK])), START_NS)
            bag.write("/objects", make("vision_msgs/msg/Detection3DArray"), START_NS)
        for i in range(frames):
            stamp = START_NS + round(i * 1e9 / hz)
            message = make_point_cloud2(point_cloud2_layout(points(i, n)), "lidar", stamp)
            bag.write("/lidar/points", message, stamp)
    return path
