"""Class names and colours that travel with an output: JSON in a latched std_msgs/String, vision_msgs/LabelInfo where
it is installed. A reader takes either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perception_nodes.classes import ClassInfo
from perception_nodes.messages.clock import json_values, read_json
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int, header_fields

NO_COLOUR = (128, 128, 128)  # LabelInfo carries none


def class_table_values(classes: Sequence[ClassInfo]) -> dict:
    """std_msgs/String: {"classes": [{"id", "name", "rgb"}]}, as plain values."""
    rows = [{"id": i, "name": c.name, "rgb": list(c.rgb)} for i, c in enumerate(classes)]
    return json_values({"classes": rows})


def label_info_values(classes: Sequence[ClassInfo], frame_id: str = "", stamp_ns: int = 0) -> dict:
    """vision_msgs/LabelInfo as plain values."""
    rows = [{"class_id": i, "class_name": c.name} for i, c in enumerate(classes)]
    return {"header": header_fields(frame_id, stamp_ns), "class_map": rows, "threshold": 0.0}


def read_class_table(msg: Any) -> dict[int, ClassInfo]:
    """Id -> class of a String or a LabelInfo; raises MessageError."""
    if hasattr(msg, "class_map"):
        return _table([(row.class_id, row.class_name, NO_COLOUR) for row in msg.class_map])
    content = read_json(msg)
    rows = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(r, dict) and {"id", "name"} <= set(r) for r in rows):
        raise MessageError('a class table should hold {"classes": [{"id", "name", "rgb"}]}')
    return _table([(r["id"], r["name"], r.get("rgb", NO_COLOUR)) for r in rows])


def _table(rows: Sequence[tuple[Any, Any, Any]]) -> dict[int, ClassInfo]:
    table: dict[int, ClassInfo] = {}
    for number, name, rgb in rows:
        i = as_int(number, "class id", 0, 2**16 - 1)
        if not isinstance(name, str) or not name:
            raise MessageError(f"class {i} has the name {name!r}; a text was expected")
        if i in table:
            raise MessageError(f"class id {i} is listed twice")
        if not isinstance(rgb, (list, tuple)) or len(rgb) != 3:
            raise MessageError(f"class {name!r} has the colour {rgb!r}; three numbers 0 to 255 were expected")
        r, g, b = (as_int(v, f"class {name!r}: colour", 0, 255) for v in rgb)
        table[i] = ClassInfo(name, (r, g, b))
    return table
