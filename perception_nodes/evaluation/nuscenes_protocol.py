"""Numbers of the nuScenes detection benchmark: Caesar et al., CVPR 2020, section 3.3; its detection_cvpr_2019.

Pure facts; `detection3d` computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from perception_nodes.messages.detections import Detections3D

# Class -> boxes farther away from the ego vehicle (m, in the ground plane) do not count.
CLASS_RANGE_M = {
    "car": 50.0, "truck": 50.0, "bus": 50.0, "trailer": 50.0, "construction_vehicle": 50.0,
    "pedestrian": 40.0, "motorcycle": 40.0, "bicycle": 40.0, "traffic_cone": 30.0, "barrier": 30.0,
}  # fmt: skip
VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
TWO_WHEELERS = ("bicycle", "motorcycle")
# The five true-positive errors: translation m, scale 1 - IoU, orientation rad, velocity m/s, attribute 1 - accuracy.
ERRORS = ("ate", "ase", "aoe", "ave", "aae")
# A cone has no heading, and cones and barriers do not move: these errors are not defined.
UNDEFINED = {"traffic_cone": ("aoe", "ave", "aae"), "barrier": ("ave", "aae")}
HALF_TURN = ("barrier",)  # the heading is known only up to 180 degrees
ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "pedestrian.moving", "pedestrian.standing",
    "pedestrian.sitting_lying_down", "cycle.with_rider", "cycle.without_rider",
)  # fmt: skip
MOVING_M_S = 0.2  # the speed above which `attributes_by_speed` calls an object moving


@dataclass(frozen=True)
class Protocol:
    """Settings of the benchmark.

    Attributes:
        class_range: class -> m. distances: match thresholds on the distance of the centres in the ground plane, m.
        error_distance: the match threshold of the true-positive errors, m. min_recall, min_precision: what lies below
            does not count. max_boxes: most boxes of one frame. map_weight: weight of mAP in NDS; each of the five
            errors has weight 1.
    """

    class_range: Mapping[str, float] = field(default_factory=lambda: dict(CLASS_RANGE_M))
    distances: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    error_distance: float = 2.0
    min_recall: float = 0.1
    min_precision: float = 0.1
    max_boxes: int = 500
    map_weight: float = 5.0


NUSCENES = Protocol()


def attributes_by_speed(boxes: Detections3D) -> tuple[str, ...]:
    """An attribute for each box from its class and speed, for data and networks that have no attributes.

    Vehicles: moving or parked. Pedestrians: moving or standing. Two-wheelers: with or without a rider. Cones and
    barriers have none ("").  An unknown speed counts as standing still.
    """
    speed = np.nan_to_num(np.linalg.norm(boxes.velocity, axis=1), nan=0.0)
    return tuple(_attribute(name, bool(moving)) for name, moving in zip(boxes.category, speed > MOVING_M_S))


def _attribute(category: str, moving: bool) -> str:
    if category in VEHICLES:
        return "vehicle.moving" if moving else "vehicle.parked"
    if category in TWO_WHEELERS:
        return "cycle.with_rider" if moving else "cycle.without_rider"
    if category == "pedestrian":
        return "pedestrian.moving" if moving else "pedestrian.standing"
    return ""
