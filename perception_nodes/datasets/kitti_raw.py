"""KITTI raw (Geiger et al., IJRR 2013) in its official layout.

    2011_09_26/calib_cam_to_cam.txt  calib_velo_to_cam.txt  calib_imu_to_velo.txt
    2011_09_26/2011_09_26_drive_0001_sync/velodyne_points/{data/0000000000.bin, timestamps.txt}
    2011_09_26/2011_09_26_drive_0001_sync/{image_02,image_03}/{data/0000000000.png, timestamps.txt}
    2011_09_26/2011_09_26_drive_0001_sync/oxts/{data/0000000000.txt, timestamps.txt}

Times are written without a zone and are read as UTC.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.kitti_calibration import KittiCamera, read_raw_camera
from perception_nodes.datasets.kitti_oxts import EgoPose, read_oxts
from perception_nodes.datasets.sweep_file import numbered_files, read_kitti_sweep

CAMERAS = {2: "left", 3: "right"}  # the colour cameras; 0 and 1 are grey
EXPECTED = (
    "a KITTI raw folder holds DATE/calib_cam_to_cam.txt and DATE/DATE_drive_NNNN_sync/velodyne_points; give that"
    " folder, a DATE folder or a drive"
)
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$")


@dataclass(frozen=True, eq=False)
class KittiRawDrive:
    """One drive: where it lies and the stamps (ns) of its sweeps and pictures by frame number."""

    folder: Path
    date_folder: Path
    sweeps: dict[int, Path]
    sweep_ns: dict[int, int]
    pictures: dict[str, dict[int, Path]]
    picture_ns: dict[str, dict[int, int]]
    cameras: dict[str, KittiCamera]
    poses: dict[int, EgoPose]
    pose_ns: dict[int, int]

    @property
    def name(self) -> str:
        return self.folder.name

    def sweep(self, number: int) -> NDArray[np.float32]:
        """float32 [N, 4] x y z reflectance in the velodyne's frame."""
        return read_kitti_sweep(self.sweeps[number])


def find_drives(src: str | Path) -> list[Path]:
    """The drives at or below a path, sorted; raises DatasetError saying what lies there instead."""
    src = Path(src)
    if not src.is_dir():
        raise DatasetError(f"there is no folder {src}; {EXPECTED}")
    candidates = [src, *src.glob("*_sync"), *src.glob("*/*_sync")]
    drives = sorted({d for d in candidates if (d / "velodyne_points" / "data").is_dir()})
    if drives:
        return drives
    if list(src.glob("**/*_extract"))[:1]:
        raise DatasetError(f"{src} holds unsynchronised drives (_extract); download the synced+rectified ones (_sync)")
    raise DatasetError(f"{src} holds {listing(src)}; {EXPECTED}")


def choose_drive(src: str | Path, drive: str | None = None) -> Path:
    """The one drive there is, or the one whose name contains `drive`; raises DatasetError listing the drives."""
    drives = find_drives(src)
    names = ", ".join(d.name for d in drives)
    if drive is not None:
        drives = [d for d in drives if drive in d.name]
    if len(drives) != 1:
        found = f"{len(drives)} drives match {drive!r}" if drive is not None else f"{src} holds {len(drives)} drives"
        raise DatasetError(f"{found}; choose one by its name: {names}")
    return drives[0]


def open_drive(src: str | Path, drive: str | None = None) -> KittiRawDrive:
    """Read calibration, stamps and poses of a drive (not its sweeps and pictures); raises DatasetError."""
    folder = choose_drive(src, drive)
    date_folder = Path(os.path.abspath(folder)).parent
    if not (date_folder / "calib_velo_to_cam.txt").is_file():
        raise DatasetError(
            f"{date_folder} has no calib_velo_to_cam.txt; unpack the date's calibration (calib.zip) beside the drive"
        )
    sweeps = numbered_files(folder / "velodyne_points" / "data", ".bin")
    if not sweeps:
        raise DatasetError(f"{folder / 'velodyne_points' / 'data'} holds {listing(folder)}; NNNNNNNNNN.bin expected")
    pictures, picture_ns, cameras = {}, {}, {}
    for number, name in CAMERAS.items():
        source = folder / f"image_0{number}"
        files = numbered_files(source / "data", ".png") or numbered_files(source / "data", ".jpg")
        if files:
            pictures[name] = files
            picture_ns[name] = read_stamps(source / "timestamps.txt", files)
            cameras[name] = read_raw_camera(date_folder, number)
    poses = read_oxts(folder, date_folder)
    pose_ns = read_stamps(folder / "oxts" / "timestamps.txt", poses) if poses else {}
    sweep_ns = read_stamps(folder / "velodyne_points" / "timestamps.txt", sweeps)
    return KittiRawDrive(folder, date_folder, sweeps, sweep_ns, pictures, picture_ns, cameras, poses, pose_ns)


def read_stamps(path: Path, frames: dict) -> dict[int, int]:
    """Frame number -> ns since 1970; line n is frame n. Raises DatasetError where a frame has no line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DatasetError(f"cannot read the stamps {path}: {err}") from err
    stamps = {}
    for number in frames:
        if number >= len(lines) or not lines[number].strip():
            raise DatasetError(
                f"{path} has {len(lines)} lines, but frame {number} exists; one line a frame is expected"
            )
        stamps[number] = parse_stamp(lines[number], path)
    return stamps


def parse_stamp(line: str, path: Path) -> int:
    """ "2011-09-26 13:02:25.594360375" -> ns since 1970, exact to the nanosecond; raises DatasetError."""
    match = _STAMP.match(line.strip())
    try:
        if match is None:
            raise ValueError("another form")
        whole = datetime(*(int(v) for v in match.groups()[:6]), tzinfo=timezone.utc)  # type: ignore[arg-type,misc]
    except ValueError as err:
        raise DatasetError(f"{path}: {line!r} is not a stamp YYYY-MM-DD hh:mm:ss.nnnnnnnnn") from err
    fraction = (match.group(7) or "").ljust(9, "0")
    return int(whole.timestamp()) * 10**9 + int(fraction)
