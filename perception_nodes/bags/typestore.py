"""ROS message types without a ROS install: rosbags' definitions of Jazzy plus the vision_msgs that bags carry.

`make("std_msgs/msg/String", data="x")` builds a message; fields left out are zero or empty, nested messages are given
as dicts, unknown fields are refused by name. `to_bytes` and `from_bytes` are CDR (reproducible: padding is zero).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

# The interface of vision_msgs 4 (Humble and later).
VISION_MSGS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": ("std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"),
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
    ),
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id\n"
    ),
    "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y\n",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id\n"
    ),
    "vision_msgs/msg/Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
}


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The shared store (do not register further types in it: `new_typestore` gives a private one)."""
    return new_typestore()


def new_typestore() -> Typestore:
    """A store of its own, to which a bag's embedded definitions may be added."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict = {}
    for name, text in VISION_MSGS.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store


def message_type(type_name: str) -> Any:
    """The rosbags class of a message type such as "sensor_msgs/msg/Image"; raises KeyError."""
    return typestore().types[type_name]


def to_bytes(msg: Any) -> bytes:
    """CDR of a rosbags message."""
    return bytes(typestore().serialize_cdr(msg, msg.__msgtype__))


def from_bytes(raw: bytes, type_name: str) -> Any:
    """rosbags message of CDR bytes. Raises whatever rosbags raises on foreign bytes; `BagReader.decode` wraps it."""
    return typestore().deserialize_cdr(raw, type_name)


def make(type_name: str, **fields: Any) -> Any:
    """A message of a known type from plain values: numbers, strings, arrays, dicts for nested messages."""
    store = typestore()
    if type_name not in store.fielddefs:
        raise KeyError(f"no message type {type_name!r}")
    definition = store.fielddefs[type_name][1]
    unknown = set(fields) - {name for name, _ in definition}
    if unknown:
        known = ", ".join(name for name, _ in definition)
        raise TypeError(f"{type_name} has no field {sorted(unknown)[0]!r}; its fields are {known}")
    values = {name: _value(desc, fields.get(name)) for name, desc in definition}
    return store.types[type_name](**values)


def _value(desc: Any, value: Any) -> Any:
    """A field's value (None: its default) in the form that rosbags serialises."""
    kind, detail = desc
    if kind == Nodetype.BASE:
        return _base(detail[0], value)
    if kind == Nodetype.NAME:
        return _named(detail, value)
    element, length = detail
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        dtype = np.dtype(_NUMPY.get(element[1][0], element[1][0]))
        if value is None:
            return np.zeros(length if kind == Nodetype.ARRAY else 0, dtype)
        return np.ascontiguousarray(value, dtype).reshape(-1)
    if value is None:
        value = [None] * length if kind == Nodetype.ARRAY else []
    return [_value(element, item) for item in value]


_NUMPY = {"bool": "bool", "byte": "uint8", "char": "uint8"}


def _base(name: str, value: Any) -> Any:
    if name in ("string", "wstring"):
        return "" if value is None else str(value)
    if name == "bool":
        return bool(value)
    if name.startswith("float"):
        return float(value or 0.0)
    return int(value or 0)


def _named(type_name: str, value: Any) -> Any:
    if value is None:
        return make(type_name)
    return make(type_name, **value) if isinstance(value, dict) else value
