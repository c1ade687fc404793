"""Serialised sensor_msgs/Image and CompressedImage (CDR) -> `CameraImage`. No ROS; pixels stay in the bytes.

Live nodes and offline runs read pictures here, so that both decode the same bytes with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cdr import CdrHeader, CdrReader
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import CameraImage, decode_image

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True, eq=False)
class CdrImage:
    """sensor_msgs/Image; `data` uint8 [B] is a view of the bytes that it was read from."""

    header: CdrHeader
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CdrCompressedImage:
    """sensor_msgs/CompressedImage; `data` uint8 [B] is a view of the bytes that it was read from."""

    header: CdrHeader
    format: str
    data: NDArray[np.uint8]


def read_image(raw: bytes, type_name: str) -> CdrImage | CdrCompressedImage:
    """The values of a serialised picture of type RAW or COMPRESSED, for `decode_image`; raises MessageError."""
    if type_name not in (RAW, COMPRESSED):
        raise MessageError(f"found a message of type {type_name}; expected {RAW} or {COMPRESSED}")
    read = CdrReader(raw)
    header = read.header()
    if type_name == COMPRESSED:
        return CdrCompressedImage(header, read.string("format"), read.bytes_view("data"))
    height, width = read.uint32("height"), read.uint32("width")
    encoding, is_bigendian = read.string("encoding"), read.uint8("is_bigendian")
    return CdrImage(header, height, width, encoding, is_bigendian, read.uint32("step"), read.bytes_view("data"))


def decode_serialized_image(raw: bytes, type_name: str, least_width: int = 0) -> CameraImage:
    """RGB picture of a serialised Image or CompressedImage; least_width: see `decode_picture`. Raises MessageError."""
    return decode_image(read_image(raw, type_name), least_width)
