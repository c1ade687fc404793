"""Where a LiDAR stands in the frame of its cloud: at the origin, or where TF or a rig says. No ROS.

Most drivers publish clouds in the sensor's own frame. Some data sets, and nodes that merge clouds, publish them in the
vehicle's frame (base_link): a network that was trained with the sensor at the origin then needs its position.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.source import CalibrationSource

AUTO = "auto"
BASE_FRAMES = ("base_link", "base_footprint", "base", "ego", "ego_vehicle", "vehicle", "chassis", "rear_axle")
LIDAR_WORDS = (
    "lidar", "laser", "velodyne", "ouster", "os_sensor", "hesai", "pandar", "livox", "rslidar", "robosense",
)  # fmt: skip


class SensorPlace(NamedTuple):
    """The sensor of a cloud.

    Attributes:
        position: float32 [3] m, in the cloud's frame; None: the cloud's frame is the sensor's own.
        state: which frame, how high and above what, in a few words.
        height_m: above the vehicle's frame; None: not known.
        warning: what is missing and how to give it; "" where nothing is.
    """

    position: NDArray[np.float32] | None
    state: str
    height_m: float | None = None
    warning: str = ""


def place_sensor(source: CalibrationSource, cloud_frame: str, wanted: str = AUTO) -> SensorPlace:
    """Where the sensor of a cloud stands.

    Args:
        source: what TF and the rig said so far.
        cloud_frame: frame_id of the cloud.
        wanted: the sensor's frame; AUTO: the cloud's own, except where it is not a LiDAR's and a LiDAR's frame hangs
            below it in TF or the rig.
    """
    frame = cloud_frame.lstrip("/")
    if wanted != AUTO:
        return _of(source, frame, wanted.lstrip("/"), f"input.sensor_frame {wanted!r}: ")
    known = source.lidar_frames
    below = [] if is_lidar(frame, known) else [f for f in source.frames_below(frame) if is_lidar(f, known)]
    tops = [f for f in below if not any(f in source.frames_below(other) for other in below)]
    if not tops:
        return _own(source, frame, frame in BASE_FRAMES)
    places = [_of(source, frame, each) for each in tops]
    place = max(places, key=lambda each: -np.inf if each.height_m is None else each.height_m)
    if len(tops) == 1:
        return place
    text = (
        f"the cloud is in {frame!r} and there are several LiDARs below it ({', '.join(tops)}); the network gets the "
        "points as seen from the highest one: set input.sensor_frame to one of them"
    )
    return place._replace(warning=place.warning or text)


def is_lidar(frame: str, known: frozenset[str] = frozenset()) -> bool:
    """True where a frame is a LiDAR's by the rig, or by its name."""
    return frame in known or any(word in frame.lower() for word in LIDAR_WORDS)


def _of(source: CalibrationSource, frame: str, sensor: str, whose: str = "") -> SensorPlace:
    if sensor == frame:
        return _own(source, frame, False)
    try:
        position = source.lookup(frame, sensor)[:3, 3]
    except CalibrationError as error:
        return SensorPlace(None, f"the cloud's frame {frame}", None, f"{whose}{error}")
    height = float(position[2])
    return SensorPlace(position.astype(np.float32), f"{sensor}, {height:.2f} m above {frame}", height)


def _own(source: CalibrationSource, frame: str, is_base: bool) -> SensorPlace:
    """The cloud's frame is taken for the sensor's."""
    if is_base:
        text = (
            f"the cloud is in the vehicle's frame {frame!r} and no LiDAR's frame is known below it; the network takes "
            "the frame's origin for the sensor: publish the LiDAR's place on /tf_static, give a rig YAML as "
            "calibration.rig, or set input.sensor_frame"
        )
        return SensorPlace(None, f"the cloud's frame {frame}, which is the vehicle's", None, text)
    for base in BASE_FRAMES:
        if frame in source.frames_below(base):
            try:
                height = float(source.lookup(base, frame)[2, 3])
            except CalibrationError:
                continue
            return SensorPlace(None, f"the cloud's frame {frame}, {height:.2f} m above {base}", height)
    return SensorPlace(None, f"the cloud's frame {frame}; its height is not known")
