"""How fast the driving world makes data: `python -m benchmarks.simulator --json OUT`.

Figures over new seeds: LiDAR-only sweeps (worlds built anew every few sweeps, as training does) and six 704 x 256
cameras with a 32-beam sweep in new worlds, both by one generator process for each core, as training runs them, and by
one process alone; a kitti drive with one 704 x 256 camera in one world (10 Hz is wanted), and what a sweep's parts
cost. Wall time and processor time of this process are given apart: on a machine that others use,
processor time is the steadier figure (two idle cores do up to two seconds of it in one).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.common import Seconds, machine, median_ms, progress, timed, write_json

SIX = (704, 256)
CORES = 2  # that the figures are wanted on


def rates(what: str, taken: list[Seconds], frames: int) -> dict[str, Any]:
    """Frames a second by wall time, and what the processor time allows on two cores."""
    total = sum(taken, Seconds(0.0, 0.0))
    row = {
        "what": what,
        "frames": frames,
        "wall_per_s": round(frames / total.wall, 2),
        "two_cores_per_s": round(2 * frames / total.cpu, 2),
        "cpu_ms": round(total.cpu / frames * 1e3, 1),
    }
    progress(f"{what}: {row['wall_per_s']}/s by the clock, {row['cpu_ms']} ms of processor time each")
    return row


def generate(rig: str, frames: int, cameras: bool, threads: int | None, seed: int) -> float:
    """`frames` frames of a new random world (with cameras: those that have pictures); processor seconds of this process
    for them."""
    from perception_nodes.simulator.drive import Drive
    from perception_nodes.simulator.rigs import rig as rig_by_name

    kind, size = rig_by_name(rig), SIX if cameras else None
    seconds = frames / (kind.camera_rate if cameras and kind.camera_rate else kind.rate)

    def one() -> None:
        with Drive("random", rig, seed, cameras=cameras, image_size=size, threads=threads, seconds=seconds) as drive:
            for _ in drive:
                pass

    return timed(one)[0].cpu


def new_worlds(rig: str, worlds: int, frames: int, cameras: bool, seed: int) -> tuple[list[Seconds], int]:
    """`frames` frames in each of `worlds` new random worlds, world building included, one after the other."""
    return [timed(partial(generate, rig, frames, cameras, None, seed + i))[0] for i in range(worlds)], worlds * frames


def side_by_side(
    pool: ProcessPoolExecutor, rig: str, worlds: int, frames: int, cameras: bool, seed: int
) -> tuple[list[Seconds], int]:
    """The same by the pool's processes, each on one thread in worlds of its own."""
    start = time.perf_counter()
    cpu = sum(pool.map(partial(generate, rig, frames, cameras, 1), range(seed, seed + worlds)))
    return [Seconds(time.perf_counter() - start, cpu)], worlds * frames


def live(seconds: float, seed: int) -> tuple[list[Seconds], list[float]]:
    """A kitti drive with one camera in one world: time of every frame."""
    from perception_nodes.simulator.drive import Drive

    with Drive("city_rush", "kitti", seed, cameras=("left",), image_size=SIX) as drive:
        for _ in range(3):
            next(drive)
        taken = [timed(lambda: next(drive))[0] for _ in range(round(seconds * 10))]
    return taken, [t.wall for t in taken]


def parts(seed: int) -> dict[str, float]:
    """Processor milliseconds of building the ray caster's tree (per 100 k triangles) and of a sweep of each rig."""
    from perception_nodes.simulator.bvh import build_bvh
    from perception_nodes.simulator.drive import Drive
    from perception_nodes.simulator.rigs import RIGS

    out: dict[str, float] = {}
    for name in RIGS:
        with Drive("city_rush", name, seed, cameras=False, boxes=False, threads=1) as drive:
            next(drive)
            best = min(timed(lambda: next(drive))[0].cpu for _ in range(8))
            mesh = drive.world.mesh
        out[f"frame_{name}_cpu_ms"] = round(best * 1e3, 1)
    tree = min(timed(lambda: build_bvh(mesh))[0].cpu for _ in range(3))
    out["bvh_cpu_ms_per_100k_triangles"] = round(tree * 1e3 * 1e5 / len(mesh.triangles), 1)
    out["triangles"] = len(mesh.triangles)
    return out


def main() -> int:
    """Prints the figures and writes them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--worlds", type=int, default=4, help="new worlds per figure")
    parser.add_argument("--seed", type=int, default=700_000)
    given = parser.parse_args()

    progress("compiling the kernels")
    generate("kitti", 1, True, None, given.seed)
    report: dict[str, Any] = {"machine": machine()}
    works = {
        "lidar_only": ("kitti", 10, False, "kitti sweeps, ten from each new world"),
        "lidar_only_nuscenes": ("nuscenes", 10, False, "nuscenes sweeps, ten from each new world"),
        "six_cameras": ("nuscenes", 5, True, "six 704x256 cameras and a sweep, five from each new world"),
    }
    with ProcessPoolExecutor(CORES, get_context("spawn")) as pool:
        list(pool.map(partial(generate, "kitti", 1, True, 1), range(given.seed, given.seed + CORES)))
        for number, (key, (rig, frames, cameras, what)) in enumerate(works.items(), 1):
            seed = given.seed + 100 * number
            taken, made = side_by_side(pool, rig, given.worlds, frames, cameras, seed)
            report[key] = rates(f"{what}, {CORES} processes", taken, made)
            report[f"{key}_one_process"] = rates(what, *new_worlds(rig, given.worlds, frames, cameras, seed))
    taken, walls = live(3.0, given.seed + 400)
    report["live_kitti"] = rates("kitti sweep and one 704x256 camera, one world", taken, len(taken))
    report["live_kitti"]["frame_ms_p50"] = median_ms(walls)
    report["live_kitti"]["frames_over_100_ms"] = sum(w > 0.1 for w in walls)
    report["parts"] = parts(given.seed + 500)
    print(json.dumps(report, indent=2))
    if given.json:
        write_json(given.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
