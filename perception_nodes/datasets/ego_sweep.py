"""What both converters of Argoverse 2 write for a sweep: pose, points in the ego frame, boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.writer import BagWriter
from perception_nodes.datasets import bag_frames
from perception_nodes.datasets.argoverse2 import BOX_CLASS_OF, ArgoverseSweep


def write_ego_sweep(bag: BagWriter, sweep: ArgoverseSweep, origin: NDArray[np.float64]) -> None:
    """A sweep with its boxes and pose; origin [3] m: where the bag's map begins in the city."""
    bag_frames.write_pose(bag, bag_frames.from_origin(sweep.map_from_base, origin), sweep.stamp_ns)
    columns: dict[str, NDArray] = {
        "xyz": sweep.xyz,
        "intensity": sweep.intensity,
        "ring": sweep.ring,
        "time": sweep.time,
    }
    bag_frames.write_sweep(bag, columns, sweep.stamp_ns, bag_frames.BASE_FRAME)
    bag_frames.write_boxes(bag, bag_frames.known_boxes(sweep.boxes, BOX_CLASS_OF))
