"""Moments of the driving world on disk, a file a world: points of two sweeps, boxes, map masks.

    runs/bevfusion/<split>/<seed>.npz

Everything is in the network's frame: origin at the LiDAR, x forward, y left, z up. No pickled arrays.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.build import MAPS, OBJECTS
from models.facts import ModelError

BOX_NAMES = tuple(name for name, _ in OBJECTS)
MAP_NAMES = tuple(name for name, _ in MAPS)
MAP_HALF, MAP_CELL = 50.0, 0.5  # m: masks reach ±50 m
MAP_CELLS = round(2 * MAP_HALF / MAP_CELL)


@dataclass(frozen=True, eq=False)
class Cameras:
    """Of V pictures, in their order on disk: intrinsics float64 [V, 3, 3], px, at the stored size · points_from_camera
    float64 [V, 4, 4], optical frame to the network's frame; a mirrored moment has reflections here."""

    intrinsics: NDArray[np.float64]
    points_from_camera: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moment:
    """points float32 [N, 5]: x, y, z (m), intensity (0..255), age (s) of two sweeps · boxes float32 [M, 9]: x, y, z of
    the centre, length, width, height (m), yaw (rad, counter-clockwise from x), vx, vy (m/s) · label int64 [M] of
    BOX_NAMES · count int64 [M]: returns of the newest sweep on the box · masks uint8 [6, 200, 200] of MAP_NAMES: row i
    is x = -50 + (i + 0.5) / 2 m, column j is y likewise; 1: the class, 0: not, 255: unknown · cameras: of the
    pictures of this moment; None: it has no pictures."""

    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    label: NDArray[np.int64]
    count: NDArray[np.int64]
    masks: NDArray[np.uint8]
    cameras: Cameras | None = None


def world_path(folder: Path, split: str, seed: int) -> Path:
    """The file of a world."""
    return folder / split / f"{seed:06d}.npz"


def write_world(path: Path, moments: Sequence[Moment], facts: dict[str, Any]) -> None:
    """Writes a world's file in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    arrays: dict[str, NDArray] = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    for i, m in enumerate(moments):
        arrays |= {
            f"points{i}": np.round(m.points[:, :3] * 200).astype(np.int16),  # 5 mm
            f"extra{i}": np.column_stack([np.clip(m.points[:, 3], 0, 255), np.round(m.points[:, 4] * 1000)])
            .clip(0, 255).astype(np.uint8),  # intensity, age in ms
            f"boxes{i}": m.boxes.astype(np.float32),
            f"label{i}": np.column_stack([m.label, m.count]).astype(np.int32),
            f"masks{i}": np.packbits(m.masks.astype(bool)),
        }  # fmt: skip
        if m.cameras is not None:
            arrays |= {f"intrinsics{i}": m.cameras.intrinsics, f"poses{i}": m.cameras.points_from_camera}
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    part.replace(path)


def read_world(path: Path) -> list[Moment]:
    """The moments of a file; raises ModelError for one that is damaged."""
    return [read_moment(path, i) for i in range(moments_in(path))]


def moments_in(path: Path) -> int:
    """How many moments a file holds; raises ModelError for one that is damaged."""
    with _opened(path) as file:
        return sum(name.startswith("points") for name in file.files)


def read_moment(path: Path, i: int) -> Moment:
    """Moment i of a file, without unpacking the others; raises ModelError for a file that is damaged."""
    with _opened(path) as file:
        return _moment(file, i)


def read_labels(path: Path) -> list[NDArray[np.int64]]:
    """Labels of the boxes of each moment of a file, without unpacking the points; raises ModelError as the others."""
    with _opened(path) as file:
        count = sum(name.startswith("points") for name in file.files)
        return [file[f"label{i}"][:, 0].astype(np.int64) for i in range(count)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read ({error}); delete it and generate it again") from None


def _moment(file: Any, i: int) -> Moment:
    extra, rows = file[f"extra{i}"].astype(np.float32), file[f"label{i}"].astype(np.int64)
    points = np.column_stack([file[f"points{i}"].astype(np.float32) / 200, extra[:, 0], extra[:, 1] / 1000])
    size = len(MAP_NAMES) * MAP_CELLS**2
    masks = np.unpackbits(file[f"masks{i}"])[:size].reshape(len(MAP_NAMES), MAP_CELLS, MAP_CELLS)
    cameras = Cameras(file[f"intrinsics{i}"], file[f"poses{i}"]) if f"poses{i}" in file.files else None
    return Moment(points.astype(np.float32), file[f"boxes{i}"], rows[:, 0], rows[:, 1], masks, cameras)


def worlds_in(folder: Path, split: str) -> list[Path]:
    """The files of a split, by seed; raises ModelError where there are none."""
    found = sorted((folder / split).glob("*.npz"))
    if not found:
        raise ModelError(
            f"no worlds in {folder / split}: type python -m training.bevfusion.generate --split {split} --out {folder}"
        )
    return found
