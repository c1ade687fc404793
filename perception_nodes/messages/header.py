"""std_msgs/Header: stamp and frame, validated."""

from __future__ import annotations

import struct
from typing import Any

from perception_nodes.messages.errors import MessageError

NS_PER_S = 1_000_000_000
HEADER_BYTES = 12  # of a serialised message: CDR preamble and stamp


def as_int(value: object, name: str, low: int = 0, high: int = 2**32 - 1) -> int:
    """`value` as a plain int in [low, high]; raises MessageError. Floats and bools are refused."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise MessageError(f"{name} is {value!r} ({type(value).__name__}); an integer was expected")
    number = value.__index__()  # type: ignore[attr-defined]
    if not low <= number <= high:
        raise MessageError(f"{name} is {number}; expected {low} to {high}")
    return number


def stamp_to_ns(stamp: Any) -> int:
    """builtin_interfaces/Time -> nanoseconds."""
    sec = as_int(getattr(stamp, "sec", None), "stamp.sec", -(2**31), 2**31 - 1)
    nanosec = as_int(getattr(stamp, "nanosec", None), "stamp.nanosec", 0, NS_PER_S - 1)
    return sec * NS_PER_S + nanosec


def ns_to_stamp(stamp_ns: int) -> tuple[int, int]:
    """Nanoseconds -> (sec, nanosec), with 0 <= nanosec < 1e9."""
    return divmod(int(stamp_ns), NS_PER_S)


def read_header(msg: Any) -> tuple[str, int]:
    """(frame_id, stamp in ns) of a message with a header; raises MessageError."""
    header = getattr(msg, "header", None)
    if header is None:
        raise MessageError(f"{type(msg).__name__} has no header")
    frame_id = getattr(header, "frame_id", None)
    if not isinstance(frame_id, str):
        raise MessageError(f"header.frame_id is {frame_id!r}; a string was expected")
    return frame_id, stamp_to_ns(getattr(header, "stamp", None))


def header_stamp_ns(raw: bytes) -> int:
    """Stamp (ns) of a serialised message (CDR) that begins with a std_msgs/Header, read from its first 12 bytes.

    Raises:
        MessageError: the message is too short, or its nanoseconds are not below 1e9.
    """
    if len(raw) < HEADER_BYTES:
        raise MessageError(f"{len(raw)} bytes hold no header (at least {HEADER_BYTES} were expected)")
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    if nanoseconds >= NS_PER_S:
        raise MessageError(f"the stamp's nanosec is {nanoseconds}; it must be below {NS_PER_S}")
    return int(seconds * NS_PER_S + nanoseconds)


def fill_header(msg: Any, frame_id: str, stamp_ns: int) -> None:
    """Set stamp and frame of a message in place."""
    msg.header.stamp.sec, msg.header.stamp.nanosec = ns_to_stamp(stamp_ns)
    msg.header.frame_id = frame_id


def header_fields(frame_id: str, stamp_ns: int) -> dict:
    """Header as plain values, for `bags.typestore.make`."""
    sec, nanosec = ns_to_stamp(stamp_ns)
    return {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": frame_id}
