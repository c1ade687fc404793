"""The frame in which the network sees: origin at the LiDAR, axes of the vehicle (x forward, z up).

A LiDAR may be mounted turned or tilted; the network was trained with level axes. Boxes are answered in the vehicle's
frame, where they stand upright.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import Matrix
from perception_nodes.calibration.source import CalibrationSource


@dataclass(frozen=True, eq=False)
class Place:
    """level_from_cloud float64 [4, 4], a rotation · shift float64 [3] m: out_from_level is this translation · frame_id:
    of the outputs.
    """

    level_from_cloud: Matrix
    shift: NDArray[np.float64]
    frame_id: str


def place_of(calibration: CalibrationSource, cloud_frame: str, base: str, stamp_ns: int) -> Place:
    """Where the network's frame is.

    Args:
        base: frame of the outputs; "": the cloud's own, whose axes are those of the vehicle.
        stamp_ns: of the cloud, for a LiDAR on a moving link.

    Raises:
        CalibrationError: the transform is missing.
    """
    if not base:
        return Place(np.eye(4), np.zeros(3), cloud_frame)
    try:
        base_from_cloud = calibration.lookup(base, cloud_frame, stamp_ns)
    except CalibrationError as error:
        raise CalibrationError(
            f"the LiDAR's place on the vehicle is unknown: {error}. Give it by TF ({base} to {cloud_frame}) or by a rig"
            " YAML (calibration.rig); frames.base:='' where the cloud's own x points forward and its z up"
        ) from None
    level = np.eye(4)
    level[:3, :3] = base_from_cloud[:3, :3]
    return Place(level, base_from_cloud[:3, 3].copy(), base)


def fixed_from_cloud(
    calibration: CalibrationSource, cloud_frame: str, fixed: list[str], stamp_ns: int
) -> tuple[Matrix | None, str]:
    """(fixed_from_cloud float64 [4, 4] at a stamp, the frame that was used); (None, why) where no frame of `fixed` is
    known then."""
    reason = "no fixed frame is asked for (frames.fixed)"
    for name in fixed:
        if not name:
            continue
        try:
            return calibration.lookup(name, cloud_frame, stamp_ns), name
        except CalibrationError as error:
            reason = str(error)
    return None, reason
