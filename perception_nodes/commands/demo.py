"""`perception demo`: a held-out simulated drive with a LiDAR and six cameras through every node over DDS, scored and
drawn."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception_nodes.simulator.rigs import Rig

# A world of the TEST seeds (training/common/seeds.py): no network here has seen this street.
SEED = 950_007
SCENARIO = "suburb_day"
RIG = "nuscenes"
SWEEPS_PER_S, PICTURES_PER_S = 10.0, 5.0  # two cores draw and answer these in about a minute
IMAGE_WIDTH = 768  # px, what the largest network takes
LEAST_SECONDS = 1.0


class DemoError(RuntimeError):
    """The demo cannot run; the message says what to do."""


def demo_rig() -> Rig:
    """One vehicle of the nuscenes kind with half the sweeps, and fewer pictures, a second."""
    from perception_nodes.simulator.rigs import rig

    made = rig(RIG, SEED)
    slow = replace(made.lidar, beams=replace(made.lidar.beams, period=1 / SWEEPS_PER_S))
    return replace(made, name="demo", lidars=(slow,), camera_rate=PICTURES_PER_S, key_rate=PICTURES_PER_S)


def run(seconds: float = 8.0, root: Path = Path("results"), model: str | None = None) -> Path:
    """Simulate (once: the drive is kept in root/demo_drive), replay, evaluate; returns the results folder."""
    from models.facts import load_facts
    from perception_nodes.commands.replay import run as replay
    from perception_nodes.evaluation.results import check_root

    if seconds < LEAST_SECONDS:
        raise DemoError(f"found --seconds {seconds:g}, expected at least {LEAST_SECONDS:g}")
    check_root(root)
    if model is not None:
        load_facts(model)
    drive = demo_drive(seconds, Path(root))
    print("2/3 replay through every node over DDS, at real time or as fast as this machine answers", flush=True)
    folder = replay(drive, rate=1.0, patient=True, untrained=True, model=model, root=Path(root))
    if folder is None:
        raise DemoError("the replay wrote no results")
    print(f"3/3 done. Look at {Path(root) / 'latest' / 'report.html'}", flush=True)
    return folder


def demo_drive(seconds: float, root: Path) -> Path:
    """The demo's bag, simulated if it is not there yet; a drive of another length is made anew."""
    from perception_nodes.bags.reader import BagReader
    from perception_nodes.simulator.record import simulate

    path, rig = root / "demo_drive", demo_rig()
    sensors = f"LiDAR at {SWEEPS_PER_S:g} Hz and six cameras at {PICTURES_PER_S:g} Hz"
    print(f"1/3 held-out drive: {SCENARIO}, seed {SEED}, {seconds:g} s, {sensors}", flush=True)
    if path.exists():
        with BagReader(path) as reader:
            held = reader.note_table("simulated_by")
        wanted = {"scenario": SCENARIO, "rig": rig.name, "seed": SEED, "seconds": seconds}
        if all(held.get(key) == value for key, value in wanted.items()):
            print(f"    already at {path}", flush=True)
            return path
        shutil.rmtree(path)
    return simulate(SCENARIO, rig, SEED, seconds, path, image_width=IMAGE_WIDTH)
