"""Writes drives into bags: every topic of a drive, with a progress bar.

simulate("suburb_day", "kitti", seed=3, seconds=10, out="drive")
"""

from __future__ import annotations

import json
from pathlib import Path

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.datasets.progress import progress
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.rigs import Rig
from perception_nodes.simulator.topics import frame_messages, opening

START_NS = 1_700_000_000 * 10**9  # stamp of a drive's first frame: the same drive is the same bag


def simulate(
    scenario: str = "random",
    rig: Rig | str = "kitti",
    seed: int = 0,
    seconds: float = 10.0,
    out: str | Path = "drive",
    *,
    cameras: bool | tuple[str, ...] = True,
    lidar: bool = True,
    image_width: int | None = 704,
    compensate: bool | None = None,
    storage: str = "mcap",
    compress: bool = False,
    jpeg_quality: int = 90,
    threads: int | None = None,
    quiet: bool = False,
) -> Path:
    """Drives for `seconds` and writes a bag folder `out`; gives its path.

    `image_width` px scales every camera to that width (None: the rig's own). `compensate`: sweeps are corrected for the
    vehicle's motion (None: as the rig's data set has them). Raises KeyError for unknown names,
    ValueError for a drive that would be empty, BagError where the bag cannot be written; then nothing is left behind.
    """
    if not seconds >= 0.1:
        raise ValueError(f"a drive of {seconds} s has no frame; expected at least 0.1 s")
    path = Path(out)
    with (
        BagWriter(path, storage=storage, compression="zstd" if compress else None) as bag,
        Drive(
            scenario, rig, seed, seconds=seconds, cameras=cameras, lidar=lidar, image_width=image_width,
            compensate=compensate, threads=threads,
        ) as drive,
    ):  # fmt: skip
        content = {"scenario": drive.scenario.name, "rig": drive.rig.name, "seed": seed, "seconds": seconds}
        bag.note("simulated_by", json.dumps({"program": "perception simulate", **content}, sort_keys=True))
        for message in opening(drive, START_NS):
            bag.write(message.topic, make(message.type_name, **message.values), message.stamp_ns)
        what = f"{drive.scenario.name} / {drive.rig.name}"
        for frame in drive if quiet else progress(drive, drive.frames or 0, what):
            for message in frame_messages(drive, frame, START_NS, jpeg_quality):
                bag.write(message.topic, make(message.type_name, **message.values), message.stamp_ns)
    return path
