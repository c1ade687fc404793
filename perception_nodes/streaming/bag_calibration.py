"""The calibration that a bag holds: /tf_static, and the CameraInfo beside each camera's images. No ROS."""

from __future__ import annotations

from collections.abc import Mapping

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import RigFile
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.errors import MessageError

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF_STATIC = "/tf_static"


def camera_info_topic(reader: BagReader, image_topic: str) -> str:
    """The CameraInfo topic beside an image topic ("" where the bag has none).

    /camera/front/image/compressed and /camera/front/image_raw have /camera/front/camera_info.
    """
    held = reader.topics_of(CAMERA_INFO)
    parts = image_topic.split("/")
    near = ("/".join([*parts[:i], "camera_info"]) for i in range(len(parts), 1, -1))
    return next((topic for topic in near if topic in held), "")


def bag_calibration(reader: BagReader, cameras: Mapping[str, str], rig: RigFile | None = None) -> CalibrationSource:
    """What a bag says about its sensors: every /tf_static, and the first CameraInfo of each camera that can be used.

    Messages that cannot be used are left out; the source then says what is missing when it is asked for it.

    Args:
        cameras: camera -> topic of its images.
        rig: a rig YAML, which is not replaced by what the bag says.
    """
    source = CalibrationSource(rig)
    for message in reader.messages([TF_STATIC]) if TF_STATIC in reader.topics() else ():
        try:
            source.add_tf_static(message.raw)
        except (MessageError, CalibrationError):
            continue
    for camera, image_topic in cameras.items():
        topic = camera_info_topic(reader, image_topic)
        for message in reader.messages([topic]) if topic else ():
            try:
                source.add_camera_info(camera, message.raw)
            except MessageError:
                continue
            break
    return source
