"""sensor_msgs/PointCloud2 as DDS carries it (CDR) -> the message's values over the same bytes, and back. No ROS.

rclpy copies a cloud three times between its bytes and numpy, in each direction. Here the points are views of the
message, and are copied once when they are encoded. Every length is untrusted input: it is checked before it is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cdr import PREAMBLE, CdrHeader, CdrReader
from perception_nodes.messages.cloud_fields import MAX_FIELDS
from perception_nodes.messages.cloud_layout import CloudLayout
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import ns_to_stamp


@dataclass(frozen=True)
class CdrField:
    """sensor_msgs/PointField"""

    name: str
    offset: int
    datatype: int
    count: int


@dataclass(frozen=True, eq=False)
class CdrCloud:
    """sensor_msgs/PointCloud2; `data` uint8 [B] is a view of the bytes that it was read from."""

    header: CdrHeader
    height: int
    width: int
    fields: list[CdrField]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: NDArray[np.uint8]
    is_dense: bool


def read_point_cloud2(raw: bytes) -> CdrCloud:
    """The values of a serialised PointCloud2, for `decode_point_cloud2`; raises MessageError for any other bytes.

    This function checks that the message holds every value; `decode_point_cloud2` checks that the values fit together.
    """
    read = CdrReader(raw)
    header = read.header()
    height, width = read.uint32("height"), read.uint32("width")
    count = read.uint32("the number of fields")
    if count > MAX_FIELDS:
        raise MessageError(f"the cloud has {count} fields; expected at most {MAX_FIELDS}")
    fields = []
    for i in range(count):
        name = read.string(f"fields[{i}].name")
        offset, datatype = read.uint32(f"field {name!r}: offset"), read.uint8(f"field {name!r}: datatype")
        fields.append(CdrField(name, offset, datatype, read.uint32(f"field {name!r}: count")))
    big_endian = read.boolean("is_bigendian")
    point_step, row_step = read.uint32("point_step"), read.uint32("row_step")
    data = read.bytes_view("data")
    return CdrCloud(header, height, width, fields, big_endian, point_step, row_step, data, read.boolean("is_dense"))


def write_point_cloud2(layout: CloudLayout, frame_id: str, stamp_ns: int) -> bytes:
    """A serialised PointCloud2 (little endian), as `fill_point_cloud2` and rclpy would make it."""
    out = bytearray(b"\0\1\0\0")

    def align() -> None:
        out.extend(bytes((PREAMBLE - len(out)) % 4))

    def numbers(*values: int) -> None:
        align()
        out.extend(struct.pack(f"<{len(values)}I", *values))

    def string(text: str) -> None:
        encoded = text.encode() + b"\0"
        numbers(len(encoded))
        out.extend(encoded)

    out.extend(struct.pack("<iI", *ns_to_stamp(stamp_ns)))
    string(frame_id)
    numbers(layout.height, layout.width, len(layout.fields))
    for name, offset, datatype, count in layout.fields:
        string(name)
        numbers(offset)
        out.append(datatype)
        numbers(count)
    out.append(layout.big_endian)
    numbers(layout.point_step, layout.row_step, len(layout.data))
    return b"".join((out, layout.data.data, bytes([layout.is_dense])))
