"""Old names of commands: `python -m training.spvcnn` prints the new command in one sentence and exits with code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence

MOVED = {
    "spvcnn": "segmentation",
    "spvnas": "segmentation.supernet",
    "spvnas_search": "segmentation.supernet_search",
    "evaluate_spvcnn": "segmentation.evaluate",
    "world_sweeps": "segmentation.world_sweeps",
    "latency_table": "segmentation.latency_table",
    "latency_compare": "segmentation.latency_compare",
    "pvcnn": "points",
    "street_crops": "points.street_crops",
    "evaluate_pvcnn": "points.evaluate",
    "tsm": "video",
    "tsm_processes": "video.processes",
    "evaluate_tsm": "video.evaluate",
    "evaluate_motion": "video.evaluate_motion",
    "video_world": "video.world",
    "frame_lists": "video.frame_lists",
    "detector2d": "detection2d",
    "evaluate_detector2d": "detection2d.evaluate",
}


def refuse_old_command(command: Sequence[str]) -> None:
    """Ends the program where it was started by an old name.

    command: the interpreter's own arguments (`sys.orig_argv`), e.g. ["python", "-m", "training.spvcnn", …].
    """
    for flag, name in zip(command, command[1:]):
        if flag == "-m":
            _, _, old = name.partition("training.")
            if name.startswith("training.") and old in MOVED:
                print(f"training.{old} has moved: type `python -m training.{MOVED[old]}` instead.", file=sys.stderr)
                raise SystemExit(2)
            return
