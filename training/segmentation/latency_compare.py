"""Latency of whole sessions beside each other, on real sweeps: the same sweep to every model in turn, many times over.

    python -m training.segmentation.latency_compare spvcnn-lite spvnas-lite --json runs/latency.json

Wall times of one model mean little on a machine that others use; taken in turns they can still be compared. CPU time of
one thread is the least of all repetitions.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from models.spvcnn.session import SegmentationSession
from training.segmentation.latency_table import real_sweeps


def compare(
    models: list[str], sweeps: dict[str, NDArray[np.float32]], repeats: int = 15, threads: int = 2
) -> dict[str, dict[str, dict[str, float]]]:
    """{model: {sweep: {points, cpu_ms, wall_ms, wall_ms_least, network_wall_ms}}}.

    sweeps: x y z intensity float32 [N, 4] by name · cpu_ms: least CPU time of a step with one thread · wall_ms: median
    with `threads`.
    """
    alone = {name: SegmentationSession.from_weights(name, threads=1) for name in models}
    several = {name: SegmentationSession.from_weights(name, threads=threads) for name in models}
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in models}
    for sweep, points in sweeps.items():
        xyz, intensity = np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3])
        cpu: dict[str, list[float]] = {name: [] for name in models}
        wall: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
        for i in range(repeats + 1):
            for name in models:
                start = time.thread_time()
                alone[name].step(xyz, intensity)
                spent = time.thread_time() - start
                begun = time.perf_counter()
                several[name].step(xyz, intensity)
                if i:  # the first warms up
                    cpu[name].append(spent)
                    wall[name].append((time.perf_counter() - begun, several[name].seconds["network"]))
        for name in models:
            steps = np.array(wall[name]) * 1e3
            found[name][sweep] = {
                "points": len(points),
                "cpu_ms": round(min(cpu[name]) * 1e3, 2),
                "wall_ms": round(float(np.median(steps[:, 0])), 2),
                "wall_ms_least": round(float(steps[:, 0].min()), 2),
                "network_wall_ms": round(float(np.median(steps[:, 1])), 2),
            }
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    prog = "python -m training.segmentation.latency_compare"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real sweeps")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    try:
        found: Any = compare(options.models, real_sweeps(options.real), options.repeats, options.threads)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    for name, sweeps in found.items():
        for sweep, row in sweeps.items():
            print(f"{name:20} {sweep:14} {row}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
