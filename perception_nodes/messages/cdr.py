"""Reads values from serialised messages (CDR, as DDS and rosbag2 carry them). No ROS.

Every length is untrusted input: it is compared with the size of the message before it is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.errors import MessageError

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


class CdrReader:
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
            raise MessageError(f"{what} is not UTF-8: {error.reason}") from None

    def header(self) -> CdrHeader:
        stamp = CdrStamp(self.int32("stamp.sec"), self.uint32("stamp.nanosec"))
        return CdrHeader(stamp, self.string("header.frame_id"))

    def bytes_view(self, what: str) -> NDArray[np.uint8]:
        length = self.uint32(what)
        begin = self._take(length, what)
        return np.frombuffer(self._raw, np.uint8, length, begin) if length else np.zeros(0, np.uint8)
