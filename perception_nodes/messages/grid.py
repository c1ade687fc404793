"""nav_msgs/OccupancyGrid <-> masks of map classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, from_euler, yaw_of
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int, header_fields, ns_to_stamp, read_header
from perception_nodes.messages.transforms import pose_values, read_pose


class Grid(NamedTuple):
    """`mask` bool [rows, columns]: cell (r, c) begins at x = origin_x + c * resolution, y = origin_y + r * resolution
    (m) of a frame that is turned by `yaw` in `frame_id`."""

    mask: NDArray[np.bool_]
    resolution: float
    origin: tuple[float, float]
    yaw: float
    frame_id: str
    stamp_ns: int


def grid_values(grid: Grid) -> dict:
    """OccupancyGrid as plain values: 100 where the mask holds, 0 elsewhere."""
    return _values(grid, grid.mask.astype(np.int8) * np.int8(100))


def probability_grid_values(grid: Grid, probability: NDArray[np.float32]) -> dict:
    """OccupancyGrid as plain values, in per cent. probability float32 [rows, columns] 0..1, of the same cells as
    `grid.mask`; a cell of the mask has 50 per cent or more, any other one less, so that readers see the mask."""
    percent = np.clip(np.rint(probability * 100), np.where(grid.mask, 50, 0), np.where(grid.mask, 100, 49))
    return _values(grid, percent.astype(np.int8))


def _values(grid: Grid, data: NDArray[np.int8]) -> dict:
    sec, nanosec = ns_to_stamp(grid.stamp_ns)
    rows, columns = grid.mask.shape
    pose = from_euler(0.0, 0.0, grid.yaw, (*grid.origin, 0.0))
    return {
        "header": header_fields(grid.frame_id, grid.stamp_ns),
        "info": {
            "map_load_time": {"sec": sec, "nanosec": nanosec},
            "resolution": float(grid.resolution),
            "width": columns,
            "height": rows,
            "origin": pose_values(pose),
        },
        "data": data.reshape(-1),
    }


class Cells(NamedTuple):
    """A grid as it comes: `percent` int8 [rows, columns] 0..100, -1 unknown; the rest as in Grid."""

    percent: NDArray[np.int8]
    resolution: float
    origin: tuple[float, float]
    yaw: float
    frame_id: str
    stamp_ns: int

    @property
    def frame_from_grid(self) -> Matrix:
        """float64 [4, 4]: from the grid's corner and axes to `frame_id`."""
        return from_euler(0.0, 0.0, self.yaw, (*self.origin, 0.0))


def read_grid(msg: Any, threshold: int = 50) -> Grid:
    """Cells of at least `threshold` per cent hold, unknown ones (-1) do not. Raises MessageError."""
    cells = read_cells(msg)
    return Grid(cells.percent >= threshold, *cells[1:])


def read_cells(msg: Any) -> Cells:
    """OccupancyGrid -> Cells. Raises MessageError."""
    frame_id, stamp_ns = read_header(msg)
    try:
        info, data = msg.info, np.asarray(msg.data)
    except AttributeError as err:
        raise MessageError(f"{type(msg).__name__} is not an OccupancyGrid") from err
    rows, columns = as_int(info.height, "grid height"), as_int(info.width, "grid width")
    if data.shape != (rows * columns,) or data.dtype.kind not in "iu":
        raise MessageError(f"a grid of {rows} x {columns} cells with data of shape {data.shape}, {data.dtype}")
    resolution = float(info.resolution)
    if not (np.isfinite(resolution) and resolution > 0):
        raise MessageError(f"a grid resolution of {resolution} m; a positive number was expected")
    pose = read_pose(info.origin, "grid origin")
    origin = (float(pose[0, 3]), float(pose[1, 3]))
    percent = data.reshape(rows, columns).astype(np.int8)
    return Cells(percent, resolution, origin, yaw_of(pose), frame_id, stamp_ns)
