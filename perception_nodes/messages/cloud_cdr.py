"""sensor_msgs/PointCloud2 as DDS carries it (CDR) -> the message's values over the same bytes, and back. No ROS.

rclpy copies a cloud three times between its bytes and numpy, in each direction. Here the points stay where they are,
and are copied once on their way out. Every length is foreign: none is believed before the bytes are seen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cloud_fields import MAX_FIELDS
from perception_nodes.messages.cloud_layout import CloudLayout
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import ns_to_stamp

PREAMBLE = 4  # encapsulation: 0, byte order, two bytes of options; everything is aligned from its end
LONGEST_NAME = 1 << 16


@dataclass(frozen=True)
class CdrStamp:
    """builtin_interfaces/Time"""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class CdrHeader:
    """std_msgs/Header"""

    stamp: CdrStamp
    frame_id: str


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


class _Reader:
    """Takes values one after the other; raises MessageError where the bytes end before they should."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) < PREAMBLE or raw[0] != 0 or raw[1] > 1:
            raise MessageError(f"{len(raw)} bytes do not begin as CDR does (0, then 0 or 1): {bytes(raw[:4]).hex()}")
        self._raw, self._at = raw, PREAMBLE
        order = "<" if raw[1] else ">"
        self._uint32, self._int32 = struct.Struct(order + "I"), struct.Struct(order + "i")

    def _take(self, size: int, what: str, alignment: int = 1) -> int:
        """Position of the next `size` bytes, which are there."""
        begin = self._at + (PREAMBLE - self._at) % alignment
        if begin + size > len(self._raw):
            raise MessageError(f"the message ends at byte {len(self._raw)}; {what} needs {begin + size}")
        self._at = begin + size
        return begin

    def uint32(self, what: str) -> int:
        return int(self._uint32.unpack_from(self._raw, self._take(4, what, 4))[0])

    def int32(self, what: str) -> int:
        return int(self._int32.unpack_from(self._raw, self._take(4, what, 4))[0])

    def uint8(self, what: str) -> int:
        return self._raw[self._take(1, what)]

    def boolean(self, what: str) -> bool:
        value = self.uint8(what)
        if value > 1:
            raise MessageError(f"{what} is {value}; 0 or 1 was expected")
        return bool(value)

    def string(self, what: str) -> str:
        length = self.uint32(what)
        if length > LONGEST_NAME:
            raise MessageError(f"{what} has {length} bytes; expected at most {LONGEST_NAME}")
        begin = self._take(length, what)
        try:
            return bytes(self._raw[begin : begin + length]).removesuffix(b"\0").decode()
        except UnicodeDecodeError as error:
            raise MessageError(f"{what} is no UTF-8: {error.reason}") from None

    def bytes_view(self, what: str) -> NDArray[np.uint8]:
        length = self.uint32(what)
        begin = self._take(length, what)
        return np.frombuffer(self._raw, np.uint8, length, begin) if length else np.zeros(0, np.uint8)


def read_point_cloud2(raw: bytes) -> CdrCloud:
    """The values of a serialised PointCloud2, for `decode_point_cloud2`; raises MessageError for any other bytes.

    What the numbers say of each other is checked there; here, that each of them is in the message.
    """
    read = _Reader(raw)
    stamp = CdrStamp(read.int32("stamp.sec"), read.uint32("stamp.nanosec"))
    header = CdrHeader(stamp, read.string("header.frame_id"))
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
