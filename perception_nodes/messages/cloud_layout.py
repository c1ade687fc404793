"""Arrays -> sensor_msgs/PointCloud2: named columns packed into one byte buffer, filled into either kind of message."""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cloud_fields import DATATYPE_OF, DATATYPES, MAX_POINT_STEP, RawCloud
from perception_nodes.messages.header import fill_header, header_fields


@dataclass(frozen=True, eq=False)
class CloudLayout:
    """What a PointCloud2 says about its points. fields: (name, offset, datatype, count) · data uint8
    [height * width * point_step], rows not padded."""

    height: int
    width: int
    point_step: int
    fields: tuple[tuple[str, int, int, int], ...]
    data: NDArray[np.uint8]
    big_endian: bool = False
    is_dense: bool = False

    @property
    def row_step(self) -> int:
        return self.width * self.point_step


def point_cloud2_layout(columns: dict[str, NDArray]) -> CloudLayout:
    """Pack columns, in the order given, without padding: [N] each, or "xyz": [N, 3] for the three axes.

    The arrays' dtypes become the fields' datatypes (8 to 32 bit integers, float32, float64); raises ValueError.
    """
    spans: list[tuple[int, np.dtype, NDArray]] = []
    fields: list[tuple[str, int, int, int]] = []
    offset, count = 0, None
    for key, column in columns.items():
        values = np.asarray(column)
        names = ("x", "y", "z") if key == "xyz" else (key,)
        if values.shape[1:] != ((3,) if key == "xyz" else ()):
            raise ValueError(f"column {key!r} has shape {values.shape}; expected [N{', 3' if key == 'xyz' else ''}]")
        if count not in (None, len(values)):
            raise ValueError(f"column {key!r} has {len(values)} rows; the columns before it have {count}")
        count = len(values)
        dtype = values.dtype.newbyteorder("<")
        spans.append((offset, dtype, values))
        for name in names:
            fields.append((name, offset, _datatype(key, values.dtype), 1))
            offset += dtype.itemsize
    n = count or 0
    data = np.empty(n * offset, np.uint8)
    for start, dtype, values in spans:
        shape, strides = ((n, 3), (offset, dtype.itemsize)) if values.ndim == 2 else ((n,), (offset,))
        if n:
            np.ndarray(shape, dtype, data, start, strides)[...] = values
    return CloudLayout(1, n, offset, tuple(fields), data)


def append_layout(raw: RawCloud, **columns: NDArray) -> CloudLayout:
    """The message's own bytes, points and order, with further columns [N] behind them (`label=`, `score=`).

    If a field of the message has the name of a new column, its name is removed; its bytes stay. Row padding is removed.
    """
    n = len(raw)
    fields = [
        (f.name, f.offset, DATATYPE_OF[f.dtype.str[1:]], f.count) for f in raw.fields.values() if f.name not in columns
    ]
    # An empty cloud's point_step is not checked: it may be anything up to 2^32 - 1.
    names, formats, offsets = ["old"], [np.dtype(f"V{raw.point_step if n else 1}")], [0]
    step = raw.point_step if n else min(raw.point_step, MAX_POINT_STEP)
    for name, column in columns.items():
        if np.shape(column) != (n,):
            raise ValueError(f"column {name!r} has shape {np.shape(column)}; the message has {n} points")
        dtype = np.dtype((">" if raw.big_endian else "<") + column.dtype.str[1:])
        fields.append((name, step, _datatype(name, column.dtype), 1))
        names.append(name)
        formats.append(dtype)
        offsets.append(step)
        step += dtype.itemsize
    data = np.empty(n * step, np.uint8)
    if n:
        packed = data.view(np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": step}))
        packed["old"] = raw.view(0, formats[0])
        for name, column in columns.items():
            packed[name] = column
    return CloudLayout(raw.height, raw.width, step, tuple(fields), data, raw.big_endian)


def fill_point_cloud2(msg: Any, layout: CloudLayout, frame_id: str, stamp_ns: int) -> Any:
    """Fill a PointCloud2 message (rclpy or rosbags) in place and return it."""
    fill_header(msg, frame_id, stamp_ns)
    msg.height, msg.width = layout.height, layout.width
    msg.point_step, msg.row_step = layout.point_step, layout.row_step
    msg.is_bigendian, msg.is_dense = layout.big_endian, layout.is_dense
    field_type = _point_field_type(msg)
    msg.fields = [field_type(name=n, offset=o, datatype=d, count=c) for n, o, d, c in layout.fields]
    msg.data = to_message_bytes(msg, layout.data)
    return msg


def point_cloud2_values(layout: CloudLayout, frame_id: str, stamp_ns: int) -> dict:
    """sensor_msgs/PointCloud2 as plain values."""
    keys = ("name", "offset", "datatype", "count")
    return {
        "header": header_fields(frame_id, stamp_ns),
        "height": layout.height,
        "width": layout.width,
        "fields": [dict(zip(keys, f)) for f in layout.fields],
        "is_bigendian": layout.big_endian,
        "point_step": layout.point_step,
        "row_step": layout.row_step,
        "data": layout.data,
        "is_dense": layout.is_dense,
    }


def make_point_cloud2(layout: CloudLayout, frame_id: str, stamp_ns: int) -> Any:
    """A new rosbags PointCloud2, for bags."""
    from perception_nodes.bags.typestore import make

    return make("sensor_msgs/msg/PointCloud2", **point_cloud2_values(layout, frame_id, stamp_ns))


def to_message_bytes(msg: Any, data: NDArray) -> Any:
    """A C-contiguous array's bytes in the type that the message's setter takes fastest (rclpy: array.array)."""
    flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    if not is_rclpy_message(msg):
        return flat
    out = array.array("B")
    out.frombytes(flat.data)  # 0.8 ms for 4 MB; assigning bytes or numpy takes up to 500 times that
    return out


def is_rclpy_message(msg: Any) -> bool:
    """rclpy's generated classes carry this method; rosbags' dataclasses do not."""
    return hasattr(msg, "get_fields_and_field_types")


def _point_field_type(msg: Any) -> Any:
    if is_rclpy_message(msg):
        from sensor_msgs.msg import PointField

        return PointField
    from perception_nodes.bags.typestore import message_type

    return message_type("sensor_msgs/msg/PointField")


def _datatype(name: str, dtype: np.dtype) -> int:
    code = dtype.str[1:]
    if code not in DATATYPE_OF:
        raise ValueError(f"column {name!r} is {dtype}; PointCloud2 knows {', '.join(DATATYPES.values())}")
    return DATATYPE_OF[code]
