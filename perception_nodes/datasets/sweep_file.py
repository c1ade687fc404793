"""Velodyne sweeps as KITTI and SemanticKITTI store them: float32 x y z reflectance, little-endian, no header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.datasets.errors import DatasetError


def read_kitti_sweep(path: Path) -> NDArray[np.float32]:
    """float32 [N, 4]: x y z (m, x forward, y left, z up) and reflectance 0..1; raises DatasetError."""
    try:
        values = np.fromfile(path, "<f4")
    except OSError as err:
        raise DatasetError(f"cannot read the sweep {path}: {err.strerror or err}") from err
    size = path.stat().st_size
    if size % 16:
        raise DatasetError(f"the sweep {path} has {size} bytes; x y z reflectance take 16 a point, so it is cut short")
    return values.astype(np.float32, copy=False).reshape(-1, 4)


def numbered_files(folder: Path, suffix: str) -> dict[int, Path]:
    """Frame number -> file, ascending; other names are passed over."""
    if not folder.is_dir():
        return {}
    files = {int(p.stem): p for p in folder.iterdir() if p.suffix == suffix and p.stem.isdigit()}
    return dict(sorted(files.items()))
