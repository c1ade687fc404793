"""nav_msgs/Odometry: where base_link is in map, and how fast it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_nodes.calibration.se3 import Matrix
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_fields, read_header
from perception_nodes.messages.transforms import pose_values, read_pose, xyz_values


@dataclass(frozen=True, eq=False)
class Odometry:
    """`parent_from_child` float64 [4, 4]; linear m/s and angular rad/s in the child's frame (REP 105)."""

    parent: str
    child: str
    parent_from_child: Matrix
    linear: tuple[float, float, float]
    angular: tuple[float, float, float]
    stamp_ns: int


def odometry_values(odometry: Odometry) -> dict:
    """nav_msgs/Odometry as plain values."""
    return {
        "header": header_fields(odometry.parent, odometry.stamp_ns),
        "child_frame_id": odometry.child,
        "pose": {"pose": pose_values(odometry.parent_from_child)},
        "twist": {"twist": {"linear": xyz_values(odometry.linear), "angular": xyz_values(odometry.angular)}},
    }


def read_odometry(msg: Any) -> Odometry:
    """Raises MessageError for a pose or a speed that is not finite or not valid."""
    parent, stamp_ns = read_header(msg)
    child = getattr(msg, "child_frame_id", None)
    if not isinstance(child, str):
        raise MessageError(f"child_frame_id is {child!r}; a string was expected")
    try:
        matrix = read_pose(msg.pose.pose)
        linear, angular = (_xyz(v) for v in (msg.twist.twist.linear, msg.twist.twist.angular))
    except AttributeError as err:
        raise MessageError(f"{type(msg).__name__} is not an Odometry: {err}") from err
    return Odometry(parent, child, matrix, linear, angular, stamp_ns)


def _xyz(vector: Any) -> tuple[float, float, float]:
    try:
        values = (float(vector.x), float(vector.y), float(vector.z))
    except (TypeError, ValueError) as err:
        raise MessageError(f"a velocity that is not a number: {err}") from err
    if not np.isfinite(values).all():
        raise MessageError(f"a velocity of {values}; finite numbers were expected")
    return values
