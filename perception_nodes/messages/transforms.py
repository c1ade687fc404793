"""tf2_msgs/TFMessage and geometry_msgs/TransformStamped <-> `Transform`; poses as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_nodes.calibration.se3 import Matrix, from_quaternion, to_quaternion
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_fields, read_header


@dataclass(frozen=True, eq=False)
class Transform:
    """One link of the TF tree: `parent_from_child` float64 [4, 4] takes points in child to points in parent."""

    parent: str
    child: str
    parent_from_child: Matrix
    stamp_ns: int = 0


def read_transforms(msg: Any) -> list[Transform]:
    """Every transform of a TFMessage; raises MessageError for names, quaternions or numbers that are none."""
    items = getattr(msg, "transforms", None)
    if not isinstance(items, (list, tuple)):
        raise MessageError(f"{type(msg).__name__} has no list of transforms")
    return [read_transform(item) for item in items]


def read_transform(item: Any) -> Transform:
    """A TransformStamped; leading slashes of frame names (tf 1) are dropped."""
    parent, stamp_ns = read_header(item)
    child = getattr(item, "child_frame_id", None)
    if not isinstance(child, str) or not child.strip("/") or not parent.strip("/"):
        raise MessageError(f"a transform from {child!r} to {parent!r}: both frames need a name")
    try:
        t, r = item.transform.translation, item.transform.rotation
        matrix = from_quaternion((r.x, r.y, r.z, r.w), (t.x, t.y, t.z))
    except (AttributeError, TypeError, ValueError) as err:
        raise MessageError(f"the transform {parent} <- {child}: {err}") from err
    return Transform(parent.lstrip("/"), child.lstrip("/"), matrix, stamp_ns)


def tf_values(transforms: Iterable[Transform]) -> dict:
    """tf2_msgs/TFMessage as plain values."""
    return {
        "transforms": [
            {
                "header": header_fields(t.parent, t.stamp_ns),
                "child_frame_id": t.child,
                "transform": transform_values(t.parent_from_child),
            }
            for t in transforms
        ]
    }


def transform_values(matrix: Matrix) -> dict:
    """geometry_msgs/Transform as plain values."""
    return {"translation": xyz_values(matrix[:3, 3]), "rotation": _quaternion_values(matrix)}


def pose_values(matrix: Matrix) -> dict:
    """geometry_msgs/Pose as plain values."""
    return {"position": xyz_values(matrix[:3, 3]), "orientation": _quaternion_values(matrix)}


def read_pose(pose: Any, what: str = "pose") -> Matrix:
    """geometry_msgs/Pose -> float64 [4, 4]; raises MessageError."""
    try:
        p, q = pose.position, pose.orientation
        return from_quaternion((q.x, q.y, q.z, q.w), (p.x, p.y, p.z))
    except (AttributeError, TypeError, ValueError) as err:
        raise MessageError(f"{what}: {err}") from err


def xyz_values(xyz: Any) -> dict:
    """geometry_msgs/Point or Vector3 as plain values."""
    x, y, z = (float(v) for v in np.asarray(xyz, np.float64))
    return {"x": x, "y": y, "z": z}


def _quaternion_values(matrix: Matrix) -> dict:
    x, y, z, w = (float(v) for v in to_quaternion(matrix))
    return {"x": x, "y": y, "z": z, "w": w}
