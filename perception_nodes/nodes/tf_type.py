"""The message class of tf2_msgs/TFMessage for raw subscriptions, also where tf2_msgs is not installed.

tf2_msgs is not on PyPI. A subscription needs the type's name and, since it takes bytes (`raw=True`), nothing else: no
field is ever converted. So the type support of geometry_msgs/TransformStamped is copied with the name exchanged. This
is done for Fast DDS, the middleware of the pip installation; other middleware needs an installed tf2_msgs.
"""

from __future__ import annotations

import contextlib
import ctypes
from functools import lru_cache
from typing import Any

from rclpy.type_support import check_for_type_support
from rclpy.utilities import get_rmw_implementation_identifier

from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.message_types import find_message_type

TF_MESSAGE = "tf2_msgs/msg/TFMessage"
FAST_DDS = b"rosidl_typesupport_fastrtps_c"


class _TypeSupport(ctypes.Structure):
    """rosidl_message_type_support_t (rosidl_runtime_c/message_type_support_struct.h)"""


_TypeSupport._fields_ = [
    ("identifier", ctypes.c_char_p),
    ("data", ctypes.c_void_p),
    ("func", ctypes.c_void_p),
    ("get_type_hash", ctypes.c_void_p),
    ("get_type_description", ctypes.c_void_p),
    ("get_type_description_sources", ctypes.c_void_p),
]


class _Callbacks(ctypes.Structure):
    """message_type_support_callbacks_t (rosidl_typesupport_fastrtps_cpp/message_type_support.h)"""

    _fields_ = (
        ("namespace", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("serialize", ctypes.c_void_p),
        ("deserialize", ctypes.c_void_p),
        ("get_serialized_size", ctypes.c_void_p),
        ("max_serialized_size", ctypes.c_void_p),
        ("key_callbacks", ctypes.c_void_p),
    )


def raw_message_type(type_name: str) -> tuple[Any, bool] | None:
    """(class, whether it is for bytes only) to publish serialised messages with; None where there is none."""
    installed = find_message_type(type_name)
    if installed is not None:
        return installed, False
    if type_name != TF_MESSAGE:
        return None
    try:
        return tf_message_type(), True
    except NodeError:
        return None


@lru_cache(maxsize=1)
def tf_message_type() -> Any:
    """The class to subscribe (or publish) serialised TFMessages with: `create_subscription(…, raw=True)` only.

    Raises:
        NodeError: tf2_msgs is not installed, and the middleware is not Fast DDS.
    """
    installed = find_message_type(TF_MESSAGE)
    if installed is not None:
        return installed
    middleware = get_rmw_implementation_identifier()
    if "fastrtps" not in middleware:
        raise NodeError(
            f"/tf needs tf2_msgs, which is not installed, and the middleware is {middleware}: install"
            " ros-<distro>-tf2-msgs, set RMW_IMPLEMENTATION=rmw_fastrtps_cpp, or give a rig YAML"
        )
    return _renamed("tf2_msgs::msg", "TFMessage")


def forget_error_state(kind: Any) -> None:
    """Call it after a publisher or subscription of `kind` was made.

    For a class of this file Fast DDS finds no introspection data. It goes on without, but leaves ROS's error state set.
    The next error that ROS handles itself would print it ("Type support not from this implementation").
    """
    if hasattr(kind, "_kept"):
        with contextlib.suppress(OSError, AttributeError):  # a build without that library: the text is printed, no more
            ctypes.CDLL("librcutils.so").rcutils_reset_error()


def _renamed(namespace: str, name: str) -> Any:
    """A message class whose type support says another name than that of TransformStamped, which it is copied from."""
    from geometry_msgs.msg import TransformStamped

    check_for_type_support(TransformStamped)
    meta = type(TransformStamped)
    python = ctypes.pythonapi
    python.PyCapsule_GetName.restype, python.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule = meta._TYPE_SUPPORT  # type: ignore[attr-defined]
    capsule_name = python.PyCapsule_GetName(capsule)
    generic = ctypes.cast(python.PyCapsule_GetPointer(capsule, capsule_name), ctypes.POINTER(_TypeSupport))
    find = ctypes.CFUNCTYPE(ctypes.POINTER(_TypeSupport), ctypes.POINTER(_TypeSupport), ctypes.c_char_p)
    found = find(generic.contents.func)(generic, FAST_DDS)
    if not found:
        raise NodeError("geometry_msgs has no type support for Fast DDS; install tf2_msgs, or give a rig YAML")
    callbacks = _Callbacks.from_buffer_copy(ctypes.cast(found.contents.data, ctypes.POINTER(_Callbacks)).contents)
    callbacks.namespace, callbacks.name = namespace.encode(), name.encode()
    support = _TypeSupport.from_buffer_copy(found.contents)
    support.data = ctypes.addressof(callbacks)
    members = {
        "_TYPE_SUPPORT": python.PyCapsule_New(ctypes.addressof(support), capsule_name, None),
        "_CREATE_ROS_MESSAGE": meta._CREATE_ROS_MESSAGE,  # type: ignore[attr-defined]
        "_CONVERT_FROM_PY": meta._CONVERT_FROM_PY,  # type: ignore[attr-defined]
        "_CONVERT_TO_PY": meta._CONVERT_TO_PY,  # type: ignore[attr-defined]
        "_DESTROY_ROS_MESSAGE": meta._DESTROY_ROS_MESSAGE,  # type: ignore[attr-defined]
        "_kept": (callbacks, support, capsule_name),  # as long as the class: the middleware holds pointers to them
    }
    return type(f"Metaclass_{name}", (type,), members)(name, (), {"__module__": namespace.replace("::", ".")})
