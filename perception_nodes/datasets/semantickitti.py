"""SemanticKITTI (Behley et al., ICCV 2019): labelled sweeps of KITTI odometry, and its ids as our 19 classes.

    sequences/00/velodyne/000000.bin   labels/000000.label   calib.txt  poses.txt  times.txt

The map of ids is the one of the SPVNAS checkpoints: moving objects count as their class; lane marking (60), bus (13),
on-rails (16) and other objects count as unlabelled. The official evaluation differs in those (60 is road there, 13 and
16 are other-vehicle).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, compose, invert, is_rigid
from perception_nodes.classes import IGNORE
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.kitti_calibration import BASE_FROM_LIDAR, entry, read_table
from perception_nodes.datasets.sweep_file import numbered_files, read_kitti_sweep

EXPECTED = "a SemanticKITTI folder holds sequences/NN/velodyne/NNNNNN.bin; give it, or one sequence"
CLASS_IDS = (10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)  # classes 0 to 18
MOVING = {252: 10, 253: 31, 254: 30, 255: 32, 258: 18, 259: 20}  # moving -> the same thing standing
UNLABELLED = (0, 1, 13, 16, 52, 60, 99, 256, 257)
UNKNOWN = 254  # in the table below: an id that the data set does not have


def _class_table() -> NDArray[np.uint8]:
    table = np.full(2**16, UNKNOWN, np.uint8)
    table[list(UNLABELLED)] = IGNORE
    for i, number in enumerate(CLASS_IDS):
        table[number] = i
    for moving, standing in MOVING.items():
        table[moving] = table[standing]
    return table


CLASS_OF_ID = _class_table()  # uint8 [65536]: original id -> class, IGNORE or UNKNOWN


@dataclass(frozen=True, eq=False)
class SemanticKittiSequence:
    """One sequence. `labels` may lack frames (test sequences have none); `times_s` s from the sequence's start, None
    where times.txt is absent; `map_from_base` by frame, empty without poses.txt and calib.txt."""

    folder: Path
    sweeps: dict[int, Path]
    labels: dict[int, Path]
    times_s: dict[int, float] | None
    map_from_base: dict[int, Matrix]

    @property
    def name(self) -> str:
        return self.folder.name

    def sweep(self, number: int) -> NDArray[np.float32]:
        """float32 [N, 4] x y z remission in the velodyne's frame."""
        return read_kitti_sweep(self.sweeps[number])

    def label(self, number: int, points: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """(class uint8 [N], IGNORE where unlabelled; instance uint16 [N]) of a frame; raises DatasetError."""
        return read_label(self.labels[number], points)


def read_label(path: Path, points: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A .label file for a sweep of `points` points; raises DatasetError for another length or unknown ids."""
    try:
        raw = np.fromfile(path, "<u4")
    except OSError as err:
        raise DatasetError(f"cannot read the labels {path}: {err.strerror or err}") from err
    if path.stat().st_size != 4 * points:
        raise DatasetError(f"the labels {path} have {path.stat().st_size} bytes; {points} points need {4 * points}")
    classes = CLASS_OF_ID[raw & 0xFFFF]
    if (classes == UNKNOWN).any():
        strange = np.unique(raw[classes == UNKNOWN] & 0xFFFF)
        raise DatasetError(f"the labels {path} hold the id {strange[0]}, which SemanticKITTI does not have")
    return classes, (raw >> 16).astype(np.uint16)


def find_sequences(src: str | Path) -> list[Path]:
    """The sequences at or below a path, sorted; raises DatasetError saying what lies there instead."""
    src = Path(src)
    if not src.is_dir():
        raise DatasetError(f"there is no folder {src}; {EXPECTED}")
    candidates = [src, *src.glob("*"), *src.glob("sequences/*"), *src.glob("dataset/sequences/*")]
    found = sorted({d for d in candidates if (d / "velodyne").is_dir()})
    if not found:
        raise DatasetError(f"{src} holds {listing(src)}; {EXPECTED}")
    return found


def open_sequence(src: str | Path, sequence: str | int | None = None) -> SemanticKittiSequence:
    """The one sequence there is, or the named one ("08" or 8); raises DatasetError."""
    found = find_sequences(src)
    names = ", ".join(f.name for f in found)
    if sequence is not None:
        wanted = f"{sequence:02d}" if isinstance(sequence, int) else sequence
        found = [f for f in found if f.name == wanted]
    if len(found) != 1:
        what = f"no sequence {sequence!r}" if sequence is not None else f"{len(found)} sequences"
        raise DatasetError(f"{src} holds {what}; choose one of {names}")
    folder = found[0]
    sweeps = numbered_files(folder / "velodyne", ".bin")
    if not sweeps:
        raise DatasetError(f"{folder / 'velodyne'} holds {listing(folder / 'velodyne')}; NNNNNN.bin were expected")
    labels = numbered_files(folder / "labels", ".label")
    return SemanticKittiSequence(folder, sweeps, labels, _times(folder, sweeps), _poses(folder, sweeps))


def _times(folder: Path, sweeps: dict[int, Path]) -> dict[int, float] | None:
    path = folder / "times.txt"
    if not path.is_file():
        return None
    rows = _numbers(path, 1)
    if max(sweeps) >= len(rows):
        raise DatasetError(
            f"{path} has {len(rows)} lines, but frame {max(sweeps)} exists; one line a frame is expected"
        )
    return {number: float(rows[number, 0]) for number in sweeps}


def _poses(folder: Path, sweeps: dict[int, Path]) -> dict[int, Matrix]:
    """poses.txt: first camera 0 <- camera 0 of each frame; calib.txt's Tr takes the velodyne there."""
    path, calibration = folder / "poses.txt", folder / "calib.txt"
    if not path.is_file() or not calibration.is_file():
        return {}
    rows = _numbers(path, 12)
    if max(sweeps) >= len(rows):
        raise DatasetError(
            f"{path} has {len(rows)} lines, but frame {max(sweeps)} exists; one line a frame is expected"
        )
    tr = entry(read_table(calibration), "Tr", (3, 4), calibration)
    camera_from_lidar = compose(tr[:, :3], tr[:, 3])
    camera_from_base = camera_from_lidar @ invert(BASE_FROM_LIDAR)
    poses = {}
    for number in sweeps:
        pose = rows[number].reshape(3, 4)
        map_from_base = invert(camera_from_base) @ compose(pose[:, :3], pose[:, 3]) @ camera_from_base
        if not is_rigid(map_from_base, tolerance=1e-2):
            raise DatasetError(f"{path}: line {number + 1} is not a pose")
        poses[number] = map_from_base
    return poses


def _numbers(path: Path, columns: int) -> NDArray[np.float64]:
    try:
        rows = [[float(v) for v in line.split()] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as err:
        raise DatasetError(f"cannot read {path}: {err}") from err
    if any(len(row) != columns for row in rows):
        raise DatasetError(f"{path}: {columns} numbers a line were expected")
    return np.array(rows, np.float64).reshape(-1, columns)
