"""Small PointCloud2 messages whose content is known."""

from types import SimpleNamespace

import numpy as np

CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


def field(name, offset, datatype, count=1):
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def header(frame_id="lidar", sec=12, nanosec=345):
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def cloud(columns, step=None, big=False, height=1, row_pad=0, order=None, pad_first=0):
    """columns: name -> (datatype, values [N]); packed in `order`, `pad_first` bytes before the first."""
    names = order or list(columns)
    count = len(next(iter(columns.values()))[1]) if columns else 0
    fields, offset = [], pad_first
    for name in names:
        datatype = columns[name][0]
        fields.append(field(name, offset, datatype))
        offset += np.dtype(CODES[datatype]).itemsize
    step = step or offset
    width = count // height
    rows = np.zeros((height, width * step + row_pad), np.uint8)
    for f in fields:
        values = np.asarray(columns[f.name][1]).reshape(height, width)
        dtype = np.dtype((">" if big else "<") + CODES[f.datatype])
        raw = values.astype(dtype)[..., None].view(np.uint8)  # [H, W, itemsize]
        for r in range(height):
            rows[r, : width * step].reshape(width, step)[:, f.offset : f.offset + dtype.itemsize] = raw[r]
    return SimpleNamespace(
        header=header(),
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big,
        point_step=step,
        row_step=rows.shape[1],
        data=rows.tobytes(),
        is_dense=True,
    )


def xyzi(n=6, intensity=(7, None)):
    """x = 0, 1, ...; y = -x; z = x / 2; intensity as given or x / 10."""
    x = np.arange(n, dtype=np.float64)
    values = x / 10 if intensity[1] is None else np.asarray(intensity[1])
    return {"x": (7, x), "y": (7, -x), "z": (7, x / 2), "intensity": (intensity[0], values)}
