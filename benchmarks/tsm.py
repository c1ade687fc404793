"""Video networks frame by frame: `python -m benchmarks.tsm --json OUT`.

For every backbone, at batch 1 and 224 x 224, with one thread and two: a frame through the 2D network, through the
online TSM, through a sliding window of 8 frames (the clip network for every new frame) and through the inflated 3D
network, in the runtime that `auto` takes; frames in the other runtimes beside it. The same for a picture through
`TsmSession` (`session_…`), which is what the node holds: preprocessing and answer included. Contestants alternate in
one process, medians are reported. Where the machine is busy with other work the CPU time over the threads is taken in
place of elapsed time (`clock`). Then `tsm_node` over DDS with 1 and 6 cameras.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.common import machine, progress, write_json
from benchmarks.tsm_latency import BACKBONES, compare, unchanging
from models.runtime import available

BESIDE = ("native", "openvino", "torch")
BUSY = 0.5  # load per core above which elapsed time says more about the others


def main() -> int:
    """Prints the rows and writes the JSON of figures.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tsm", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go (written after every backbone)")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--runtime", default="auto", help="auto, or a runtime by name; the others that are installed stand beside it"
    )
    parser.add_argument("--clock", default="auto", choices=("auto", "wall", "cpu"))
    parser.add_argument("--seconds", type=float, default=15.0, help="for each comparison")
    parser.add_argument("--quick", action="store_true", help="3 s for each comparison, no node")
    parser.add_argument("--no-node", action="store_true", help="without tsm_node over DDS")
    parser.add_argument("--no-clips", action="store_true", help="without the window and the inflated 3D network")
    parser.add_argument("--model", default="", help="for the node (default: tsm-events-online, else random)")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    clock = given.clock
    if clock == "auto":
        clock = "cpu" if load > BUSY * len(os.sched_getaffinity(0)) else "wall"
    result: dict[str, Any] = {"machine": machine(), "clock": clock, "load_at_start": round(load, 2), "backbones": {}}
    for backbone in given.backbones:
        result["backbones"][backbone] = measure_backbone(backbone, clock, given)
        print(json.dumps({backbone: result["backbones"][backbone]}))
        if given.json:
            write_json(given.json, result)
    if not (given.quick or given.no_node):
        result["node"] = measure_node(given.model)
    if given.json:
        write_json(given.json, result)
    return 0


def measure_backbone(backbone: str, clock: str, given: argparse.Namespace) -> dict[str, Any]:
    """One entry of `backbones`."""
    seconds = 3.0 if given.quick else given.seconds
    found: dict[str, Any] = {"runtime": "", "threads": {}, **unchanging(backbone)}
    for threads in given.threads:
        progress(f"{backbone}, {threads} thread(s), {given.runtime}")
        row = compare(backbone, given.runtime, threads, clock, seconds, clips=not given.no_clips)
        taken, found["runtime"] = row.pop("name"), row.pop("runtime").rsplit(",", 1)[0]
        for other in BESIDE:
            if available()[other] and other != taken:
                progress(f"{backbone}, {threads} thread(s), {other}")
                row[other] = compare(backbone, other, threads, clock, seconds, clips=False)
                del row[other]["name"]
        found["threads"][str(threads)] = row
    return found


def measure_node(model: str) -> list[dict[str, Any]]:
    """tsm_node over DDS with 1 and 6 cameras."""
    from benchmarks.tsm_node import rows
    from models.facts import list_models

    trained = "tsm-events-online"
    name = model or (trained if trained in list_models() else f"random:{trained}")
    progress(f"tsm_node with {name}")
    return rows(name)


if __name__ == "__main__":
    raise SystemExit(main())
