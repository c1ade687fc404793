"""Plain values (dicts, as the builders of this package return them) -> a message of either kind.

`fill(Marker(), values)` sets an rclpy message's fields by name; for bags, `bags.typestore.make(type, **values)`.
"""

from __future__ import annotations

import array
import importlib
from typing import Any

import numpy as np

from perception_nodes.messages.cloud_layout import is_rclpy_message, to_message_bytes

_SEQUENCE, _END = "sequence<", ">"


def fill(msg: Any, values: dict) -> Any:
    """Set the fields of an rclpy message (nested ones too) in place; returns it. Unknown fields: AttributeError."""
    if not is_rclpy_message(msg):
        raise TypeError(f"{type(msg).__name__} is not a rclpy message; build it with bags.typestore.make")
    types = msg.get_fields_and_field_types()
    for name, value in values.items():
        if name not in types:
            raise AttributeError(f"{type(msg).__name__} has no field {name!r}; its fields are {', '.join(types)}")
        setattr(msg, name, _value(getattr(msg, name), types[name], value, msg))
    return msg


def _value(current: Any, type_name: str, value: Any, msg: Any) -> Any:
    if isinstance(value, dict):
        return fill(current, value)
    if isinstance(value, np.ndarray) and isinstance(current, array.array):
        if current.typecode == "B":
            return to_message_bytes(msg, value)
        return array.array(current.typecode, value.reshape(-1).tolist())
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        element = _element_class(type_name)
        return [fill(element(), item) for item in value]
    if isinstance(value, (bytes, bytearray)) and isinstance(current, array.array):
        return to_message_bytes(msg, np.frombuffer(value, np.uint8))
    if isinstance(current, float):
        return float(value)
    return value


def _element_class(type_name: str) -> Any:
    """'sequence<visualization_msgs/Marker>' or 'visualization_msgs/Marker[3]' -> the message class."""
    inner = type_name[len(_SEQUENCE) : -len(_END)] if type_name.startswith(_SEQUENCE) else type_name.split("[")[0]
    package, name = inner.split(",")[0].split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)
