"""`perception demo`: a held-out simulated drive, replayed at real time over DDS: labels, events, scores, pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

# A world of the TEST seeds (training/common/seeds.py): no network here has seen this street.
SEED = 950_007
SCENARIO = "suburb_day"
RIG = "vlp16"
CAMERAS = ("front",)
LEAST_SECONDS = 1.0


class DemoError(RuntimeError):
    """The demo cannot run; the message says what to do."""


def run(seconds: float = 12.0, root: Path = Path("results"), model: str | None = None) -> Path:
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
    print("2/3 replay at real time through every node that the drive has input for, over DDS", flush=True)
    folder = replay(drive, rate=1.0, model=model, root=Path(root))
    if folder is None:
        raise DemoError("the replay wrote no results")
    print(f"3/3 done. Look at {Path(root) / 'latest' / 'report.html'}", flush=True)
    return folder


def demo_drive(seconds: float, root: Path) -> Path:
    """The demo's bag, simulated if it is not there yet; a drive of another length is made anew."""
    from perception_nodes.bags.reader import BagReader
    from perception_nodes.simulator.record import simulate

    path = root / "demo_drive"
    print(f"1/3 held-out drive: {SCENARIO}, {RIG} rig, seed {SEED}, {seconds:g} s", flush=True)
    if path.exists():
        with BagReader(path) as reader:
            same = abs(reader.duration_s + 0.1 - seconds) < 0.15
        if same:
            print(f"    already at {path}", flush=True)
            return path
        shutil.rmtree(path)
    return simulate(SCENARIO, RIG, SEED, seconds, path, cameras=CAMERAS)
