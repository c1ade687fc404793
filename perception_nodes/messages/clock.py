"""Small messages: rosgraph_msgs/Clock, JSON in std_msgs/String, builtin stamps."""

from __future__ import annotations

import json
from typing import Any

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import ns_to_stamp, stamp_to_ns


def clock_values(stamp_ns: int) -> dict:
    """rosgraph_msgs/Clock as plain values."""
    sec, nanosec = ns_to_stamp(stamp_ns)
    return {"clock": {"sec": sec, "nanosec": nanosec}}


def read_clock(msg: Any) -> int:
    """Clock -> ns; raises MessageError."""
    return stamp_to_ns(getattr(msg, "clock", None))


def json_values(content: Any) -> dict:
    """std_msgs/String that holds JSON, as plain values (keys sorted: the same content, the same bytes)."""
    return {"data": json.dumps(content, sort_keys=True, separators=(",", ":"))}


def read_json(msg: Any) -> Any:
    """Content of a std_msgs/String that holds JSON; raises MessageError."""
    text = getattr(msg, "data", None)
    if not isinstance(text, str):
        raise MessageError(f"{type(msg).__name__} holds no text")
    try:
        return parse_json(text)
    except ValueError as err:
        raise MessageError(f"a String that should hold JSON does not: {err}") from err


def parse_json(text: str | bytes) -> Any:
    """Content of a JSON text. Raises ValueError also for deep nesting and for texts with half a surrogate pair: file
    names, messages and drawing functions cannot hold one (OpenCV's putText ends the process)."""
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return content


def events_values(names: tuple[str, ...] | list[str]) -> dict:
    """/ground_truth/events and event outputs: {"events": [names]} as a String's plain values."""
    return json_values({"events": list(names)})


def read_events(msg: Any) -> tuple[str, ...]:
    """Names of the events under way; raises MessageError."""
    content = read_json(msg)
    names = content.get("events") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise MessageError('an events message should hold {"events": [names]}')
    return tuple(names)
