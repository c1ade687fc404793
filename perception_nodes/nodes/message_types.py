"""Message classes by name, as a bag gives them: only from packages that really hold message definitions."""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

NAME = re.compile(r"([A-Za-z]\w*)/(?:msg/)?([A-Za-z]\w*)")


def find_message_type(type_name: str) -> Any | None:
    """The class of "sensor_msgs/msg/PointCloud2", or None where it is not installed.

    A bag is foreign: nothing is imported but `<package>.msg` of a package with generated messages (it has type
    support beside them).
    """
    match = NAME.fullmatch(type_name)
    if match is None:
        return None
    package, name = match.groups()
    spec = importlib.util.find_spec(package)
    folders = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    if not any((f / "msg" / "__init__.py").is_file() and any(f.glob("*typesupport*")) for f in folders):
        return None
    return getattr(importlib.import_module(f"{package}.msg"), name, None)
