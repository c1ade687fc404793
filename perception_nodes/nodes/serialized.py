"""Messages as bytes: decoded with one kind of error.

rclpy drops bytes that it cannot decode without a report. Nodes take the raw bytes and decode them: a malformed
message is counted and reported, and a message that is dropped for a newer one is never decoded.
"""

from typing import Any

from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from perception_nodes.bags.typestore import from_bytes
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import read_event


def event_key(raw: bytes) -> tuple[str, int]:
    """(camera, stamp in ns) of a serialised event (std_msgs/String with JSON); raises MessageError."""
    event = read_event(decode(raw, String))
    return event.camera, event.stamp_ns


def decode(raw: bytes, kind: Any) -> Any:
    """The rclpy message of serialised bytes; raises MessageError where they are none."""
    try:
        return deserialize_message(raw, kind)
    except Exception as error:
        raise MessageError(
            f"{len(raw)} bytes are no {kind.__module__.split('.')[0]}/{kind.__name__}: {error}"
        ) from None


def decode_foreign(raw: bytes, type_name: str) -> Any:
    """The rosbags message of serialised bytes, for types that are not installed here; raises MessageError."""
    try:
        return from_bytes(raw, type_name)
    except Exception as error:  # rosbags lets struct, numpy and index errors out on foreign bytes
        raise MessageError(f"{len(raw)} bytes are no {type_name}: {error}") from None
