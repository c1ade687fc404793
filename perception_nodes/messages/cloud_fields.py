"""The layout of a sensor_msgs/PointCloud2, validated once, and strided views of its columns.

Every number in the message is untrusted input: sizes are checked against each other and against the number of bytes
before a view is made, so nothing here allocates more memory than the message has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int

# sensor_msgs/PointField: datatype number -> numpy type (without byte order)
DATATYPES: dict[int, str] = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
DATATYPE_OF: dict[str, int] = {code: number for number, code in DATATYPES.items()}

MAX_POINT_STEP = 4096  # bytes; the widest real layouts have about 100
MAX_FIELDS = 128


@dataclass(frozen=True)
class Field:
    """One column: its place in the point and its numpy type, byte order included."""

    name: str
    offset: int
    dtype: np.dtype
    count: int

    @property
    def end(self) -> int:
        return self.offset + self.dtype.itemsize * self.count


@dataclass(frozen=True, eq=False)
class RawCloud:
    """A PointCloud2 whose numbers agree with each other and with its bytes. `data` uint8 [height * row_step]."""

    height: int
    width: int
    point_step: int
    row_step: int
    big_endian: bool
    fields: dict[str, Field]
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.height * self.width

    def column(self, name: str) -> NDArray:
        """Values of a field, [N] of its own type; a view without a copy where rows are not padded."""
        return self.view(self.fields[name].offset, self.fields[name].dtype)

    def view(self, offset: int, dtype: np.dtype, tail: int = 0) -> NDArray:
        """[N] (or [N, tail]: `tail` neighbouring values) of `dtype` at a byte offset of every point."""
        shape: tuple[int, ...] = (self.height, self.width)
        strides: tuple[int, ...] = (self.row_step, self.point_step)
        if self.row_step == self.width * self.point_step:
            shape, strides = (len(self),), (self.point_step,)
        if tail:
            shape, strides = (*shape, tail), (*strides, dtype.itemsize)
        view: NDArray = np.ndarray(shape, dtype, self.data, offset, strides)
        return view.reshape(len(self), tail) if tail else view.reshape(len(self))


def read_layout(msg: Any) -> RawCloud:
    """Validate a PointCloud2 message; raises MessageError with what was found and expected."""
    height = as_int(getattr(msg, "height", None), "height")
    width = as_int(getattr(msg, "width", None), "width")
    point_step = as_int(getattr(msg, "point_step", None), "point_step")
    row_step = as_int(getattr(msg, "row_step", None), "row_step")
    big_endian = getattr(msg, "is_bigendian", None)
    if not isinstance(big_endian, (bool, np.bool_)):
        raise MessageError(f"is_bigendian is {big_endian!r}; a bool was expected")
    data = as_bytes(getattr(msg, "data", None), "data")
    if height * row_step != len(data):
        raise MessageError(f"data holds {len(data)} bytes; height {height} x row_step {row_step} = {height * row_step}")
    if height == 0 or width == 0:
        return RawCloud(0, 0, point_step, 0, bool(big_endian), {}, data[:0])
    if not 1 <= point_step <= MAX_POINT_STEP:
        raise MessageError(f"point_step is {point_step} bytes; expected 1 to {MAX_POINT_STEP}")
    if row_step < width * point_step:
        raise MessageError(f"row_step is {row_step}; {width} points of {point_step} bytes need {width * point_step}")
    fields = _read_fields(getattr(msg, "fields", None), point_step, ">" if big_endian else "<")
    return RawCloud(height, width, point_step, row_step, bool(big_endian), fields, data)


def _read_fields(fields: Any, point_step: int, order: str) -> dict[str, Field]:
    if not isinstance(fields, (list, tuple)):
        raise MessageError(f"fields is a {type(fields).__name__}; a list of PointField was expected")
    if len(fields) > MAX_FIELDS:
        raise MessageError(f"{len(fields)} fields; at most {MAX_FIELDS} are accepted")
    found: dict[str, Field] = {}
    for i, item in enumerate(fields):
        name = getattr(item, "name", None)
        if not isinstance(name, str):
            raise MessageError(f"fields[{i}].name is {name!r}; a string was expected")
        datatype = as_int(getattr(item, "datatype", None), f"field {name!r}: datatype")
        if datatype not in DATATYPES:
            raise MessageError(f"field {name!r} has datatype {datatype}; known are 1 (int8) to 8 (float64)")
        offset = as_int(getattr(item, "offset", None), f"field {name!r}: offset")
        # Some drivers write count 0 for a single value; PCL reads it as 1, and so does this.
        count = as_int(getattr(item, "count", None), f"field {name!r}: count") or 1
        field = Field(name, offset, np.dtype(order + DATATYPES[datatype]), count)
        if field.end > point_step:
            raise MessageError(f"field {name!r} ends at byte {field.end} of a point of {point_step} bytes")
        if name in found:
            raise MessageError(f"field {name!r} is listed twice")
        found[name] = field
    return found


def refuse_overlaps(fields: list[Field]) -> None:
    """Raises MessageError if two of the fields that are read share bytes."""
    ordered = sorted(fields, key=lambda f: f.offset)
    for before, after in zip(ordered, ordered[1:]):
        if after.offset < before.end:
            raise MessageError(
                f"fields {before.name!r} (bytes {before.offset} to {before.end - 1}) and {after.name!r} (from byte"
                f" {after.offset}) overlap"
            )


def as_bytes(data: Any, name: str) -> NDArray[np.uint8]:
    """uint8 [B] over a message's byte array (array.array('B'), bytes, numpy): no copy; raises MessageError."""
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise MessageError(f"{name} is a {data.dtype} array of shape {data.shape}; uint8 [B] was expected")
        return data
    if isinstance(data, (bytes, bytearray, memoryview)) or getattr(data, "typecode", None) == "B":
        return np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
    raise MessageError(f"{name} is a {type(data).__name__}; bytes were expected")
