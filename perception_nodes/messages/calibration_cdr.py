"""Serialised tf2_msgs/TFMessage and sensor_msgs/CameraInfo (CDR) -> `Transform`s and `CameraModel`. No ROS.

tf2_msgs cannot be installed with pip, so its messages are read from their bytes; CameraInfo likewise, so that live
nodes and offline runs use the same code.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.camera_info import CameraModel, read_camera_info
from perception_nodes.messages.cdr import CdrReader
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.transforms import Transform, read_transform

MAX_TRANSFORMS = 1000  # of one message
MAX_COEFFICIENTS = 64  # of a distortion model


class _Reader(CdrReader):
    def float64s(self, count: int, what: str) -> NDArray[np.float64]:
        """`count` numbers, float64 [count]."""
        begin = self._take(8 * count, what, 8)
        order = "<" if self._raw[1] else ">"
        return np.array(struct.unpack_from(f"{order}{count}d", self._raw, begin), np.float64)

    def count(self, what: str, highest: int) -> int:
        """The length of a sequence."""
        count = self.uint32(what)
        if count > highest:
            raise MessageError(f"{what} is {count}; expected at most {highest}")
        return count


def read_serialized_transforms(raw: bytes) -> list[Transform]:
    """The transforms of a serialised tf2_msgs/TFMessage; raises MessageError for any other bytes."""
    read = _Reader(raw)
    found = []
    for _ in range(read.count("the number of transforms", MAX_TRANSFORMS)):
        header, child = read.header(), read.string("child_frame_id")
        x, y, z, *turn = (float(v) for v in read.float64s(7, "transform"))
        rotation = SimpleNamespace(**dict(zip("xyzw", turn, strict=True)))
        transform = SimpleNamespace(translation=SimpleNamespace(x=x, y=y, z=z), rotation=rotation)
        found.append(read_transform(SimpleNamespace(header=header, child_frame_id=child, transform=transform)))
    return found


def read_serialized_camera_info(raw: bytes, rectified: bool = False) -> CameraModel:
    """The camera of a serialised sensor_msgs/CameraInfo (see `read_camera_info`); raises MessageError."""
    read = _Reader(raw)
    header = read.header()
    height, width, model = read.uint32("height"), read.uint32("width"), read.string("distortion_model")
    d = read.float64s(read.count("the number of coefficients", MAX_COEFFICIENTS), "d")
    k, r, p = read.float64s(9, "k"), read.float64s(9, "r"), read.float64s(12, "p")
    binning_x, binning_y = read.uint32("binning_x"), read.uint32("binning_y")
    names = ("x_offset", "y_offset", "height", "width")
    roi = SimpleNamespace(**{name: read.uint32(f"roi.{name}") for name in names})
    roi.do_rectify = read.boolean("roi.do_rectify")
    message = SimpleNamespace(
        header=header,
        height=height,
        width=width,
        distortion_model=model,
        d=d,
        k=k,
        r=r,
        p=p,
        binning_x=binning_x,
        binning_y=binning_y,
        roi=roi,
    )
    return read_camera_info(message, rectified)
