"""sensor_msgs/PointCloud2 -> `PointCloud`, validated once, and back (see cloud_layout.py, re-exported here).

Fields are found by name. x, y, z may be float32 or float64; intensity any number type or absent; ring and per-point
time are optional, under the names that the drivers use. `is_dense` is ignored, because some drivers set it wrongly:
`finite` says which points may be used. The rows of the result are in the message's order, so that results per point
can be published with the same points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cloud_fields import Field, RawCloud, read_layout, refuse_overlaps
from perception_nodes.messages.cloud_layout import (
    CloudLayout,
    append_layout,
    fill_point_cloud2,
    make_point_cloud2,
    point_cloud2_layout,
)
from perception_nodes.messages.cloud_time import TIME_NAMES, relative_seconds
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import read_header

__all__ = [
    "CloudLayout",
    "MessageError",
    "PointCloud",
    "append_layout",
    "decode_point_cloud2",
    "fill_point_cloud2",
    "make_point_cloud2",
    "point_cloud2_layout",
]

INTENSITY_NAMES = ("intensity", "intensities", "reflectivity", "reflectance", "remission", "i")
RING_NAMES = ("ring", "channel", "laser_id", "laser", "line")
INTENSITY_SCALE = {"u1": 1 / 255, "u2": 1 / 65535}  # integer types span their range; floats are taken as they are


@dataclass(frozen=True, eq=False)
class PointCloud:
    """One sweep as arrays.

    xyz float32 [N, 3] m in `frame_id`, often a strided view of the message · intensity float32 [N] (0..1 for integer
    sources; float sources unchanged) · intensity_kind: numpy type code of its field ("f4"; "": no field) · rows int64
    [N], the message's point numbers, or None: all of them, in order · total: points in the message · sensor: float32
    [3] m, where the sensor stands in `frame_id`; None: at its origin · warnings: what was missing or left out, for
    diagnostics.
    """

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    frame_id: str
    stamp_ns: int
    total: int
    rows: NDArray[np.int64] | None
    source: RawCloud = field(repr=False)
    has_intensity: bool = True
    intensity_kind: str = ""
    sensor: NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def capped(self) -> bool:
        """True where the message had more points than `max_points`."""
        return self.rows is not None

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """bool [N]: x, y and z are finite; whatever `is_dense` says."""
        keep: NDArray[np.bool_] = np.isfinite(self.xyz[:, 0])
        keep &= np.isfinite(self.xyz[:, 1])  # column by column: a fraction of the time of .all(axis=1)
        keep &= np.isfinite(self.xyz[:, 2])
        return keep

    @cached_property
    def ring(self) -> NDArray[np.uint16] | None:
        """uint16 [N] beam number, or None where the message has none (or none that fits)."""
        name = _first(RING_NAMES, self.source)
        if name is None:
            return None
        values = self._take(self.source.column(name))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return None
        if len(values) and not 0 <= values.min() <= values.max() < 2**16:
            return None
        return values.astype(np.uint16)

    @cached_property
    def time(self) -> NDArray[np.float32] | None:
        """float32 [N] s relative to the stamp, or None where the message has none that makes sense."""
        name = _first(TIME_NAMES, self.source)
        return None if name is None else relative_seconds(self._take(self.source.column(name)), self.stamp_ns)

    def expand(self, values: NDArray, fill: Any) -> NDArray:
        """[total] per-point values in the message's order: those of `rows` in place, `fill` where capped away."""
        if len(values) != len(self):
            raise ValueError(f"{len(values)} values for {len(self)} points")
        if self.rows is None:
            return values
        full = np.full((self.total, *values.shape[1:]), fill, values.dtype)
        full[self.rows] = values
        return full

    def _take(self, column: NDArray) -> NDArray:
        return column if self.rows is None else column[self.rows]


def decode_point_cloud2(msg: Any, max_points: int | None = None, intensity_scale: float | None = None) -> PointCloud:
    """Decode a PointCloud2 (rclpy or rosbags); raises MessageError on every malformed message.

    More than `max_points` points: an even, deterministic choice of them is kept (`rows` says which) with a warning.
    `intensity_scale` multiplies the raw intensity; None: integers are divided by their type's maximum.
    """
    frame_id, stamp_ns = read_header(msg)
    raw = read_layout(msg)
    total = len(raw)
    if total == 0:
        empty = np.zeros((0, 3), np.float32)
        return PointCloud(empty, empty[:, 0], frame_id, stamp_ns, 0, None, raw, warnings=("the cloud is empty",))
    axes = _axes(raw)
    name = _first(INTENSITY_NAMES, raw)
    refuse_overlaps([*axes, *([raw.fields[name]] if name else [])])
    warnings = [] if name else ["the cloud has no intensity field; zeros are used"]
    rows = None
    if max_points is not None and total > max_points:
        rows = even_rows(total, max_points)
        warnings.append(f"the cloud has {total} points; {max_points} evenly spaced ones are used")
    xyz = _xyz(raw, axes, rows)
    intensity = _intensity(raw, name, rows, len(xyz), intensity_scale)
    kind = raw.fields[name].dtype.str[1:] if name else ""
    said = tuple(warnings)
    return PointCloud(xyz, intensity, frame_id, stamp_ns, total, rows, raw, name is not None, kind, warnings=said)


def even_rows(total: int, keep: int) -> NDArray[np.int64]:
    """`keep` of `total` row numbers, evenly spaced and ascending; the same for the same two numbers."""
    return np.arange(keep, dtype=np.int64) * total // max(keep, 1)


def _first(names: tuple[str, ...], raw: RawCloud) -> str | None:
    return next((n for n in names if n in raw.fields and raw.fields[n].count == 1), None)


def _axes(raw: RawCloud) -> list[Field]:
    missing = [n for n in "xyz" if n not in raw.fields]
    if missing:
        raise MessageError(f"no field {missing[0]!r}; the cloud's fields are {', '.join(raw.fields) or '(none)'}")
    axes = [raw.fields[n] for n in "xyz"]
    for axis in axes:
        if axis.dtype.kind != "f" or axis.count != 1:
            raise MessageError(f"field {axis.name!r} is {axis.dtype.name} x {axis.count}; float32 or float64 expected")
    return axes


def _xyz(raw: RawCloud, axes: list[Field], rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
    x, y, z = axes
    step = x.dtype.itemsize
    together = x.dtype == y.dtype == z.dtype and y.offset == x.offset + step and z.offset == y.offset + step
    if together:
        xyz = raw.view(x.offset, x.dtype, tail=3)
        return _float32(xyz if rows is None else xyz[rows])
    out = np.empty((len(raw) if rows is None else len(rows), 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for i, axis in enumerate(axes):
            values = raw.column(axis.name)
            out[:, i] = values if rows is None else values[rows]
    return out


def _intensity(
    raw: RawCloud, name: str | None, rows: NDArray[np.int64] | None, count: int, scale: float | None
) -> NDArray[np.float32]:
    if name is None:
        return np.zeros(count, np.float32)
    values = raw.column(name)
    values = values if rows is None else values[rows]
    if scale is None:
        scale = INTENSITY_SCALE.get(values.dtype.str[1:], 1.0)
    values = _float32(values)
    return values if scale == 1.0 else values * np.float32(scale)


def _float32(values: NDArray) -> NDArray[np.float32]:
    """float32 of this machine's byte order; the array itself where it is that already."""
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes inf, which `finite` sees
        return values.astype(np.float32, copy=False)
