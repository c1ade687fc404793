"""Where the cameras of a sample sit, seen from its cloud: what a system with `Inputs(calibrated=True)` gets. No ROS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import read_rig
from perception_nodes.calibration.se3 import Matrix
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.systems.inputs import POINTS


class PlacedCamera(NamedTuple):
    """A camera of a sample.

    Attributes:
        model: K, size and distortion for the picture at hand; `model.undistort` is for the system to call.
        camera_from_cloud: float64 [4, 4], takes points of the cloud's frame to the camera's optical frame.
    """

    model: CameraModel
    camera_from_cloud: Matrix


def open_calibration(config: Any) -> CalibrationSource:
    """An empty source, or one with the rig of `calibration.rig`; raises CalibrationError."""
    path = config.calibration.rig
    return CalibrationSource(read_rig(path) if path else None)


def place_cameras(
    source: CalibrationSource, values: Mapping[str, Any], stamps: Mapping[str, int], cameras: Iterable[str]
) -> tuple[dict[str, PlacedCamera], dict[str, str]]:
    """(placed cameras, camera -> what its calibration lacks) of the cameras that are in a sample.

    Args:
        values: stream -> decoded message; the cloud has `frame_id`, a picture has `frame_id` and `size`.
        stamps: stream -> its own stamp, ns; a camera on a moving link is placed at its picture's stamp.
    """
    placed: dict[str, PlacedCamera] = {}
    lacks: dict[str, str] = {}
    frame = values[POINTS].frame_id if POINTS in values else ""
    for name in cameras:
        if name not in values:
            continue
        try:
            if not frame:
                raise CalibrationError("the cloud has no header.frame_id, so no camera can be placed beside it")
            model = source.camera(name, values[name].size, values[name].frame_id)
            placed[name] = PlacedCamera(model, source.lookup(model.frame_id, frame, stamps[name]))
        except CalibrationError as error:
            lacks[name] = str(error)
    return placed, lacks
