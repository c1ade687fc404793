"""What benchmarks share: timing on a machine that others use too, and real sweeps with a synthetic stand-in."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DEFAULT_SWEEPS = Path(__file__).resolve().parents[2] / "shared" / "data"


def median_ms(times: list[float]) -> float:
    """Median of seconds, in milliseconds with two decimals."""
    return round(statistics.median(times) * 1e3, 2)


def progress(text: str) -> None:
    """One line on stderr, at once: a benchmark that says nothing looks hung."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Seconds:
    """wall: elapsed. cpu: spent by all threads of this process, the steadier figure on a machine that others use
    too.
    """

    wall: float
    cpu: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(max(self.wall - other.wall, 0.0), max(self.cpu - other.cpu, 0.0))


def timed(work: Callable[[], Any]) -> tuple[Seconds, Any]:
    """(time taken, result)."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu), result


def machine() -> dict[str, Any]:
    """The processor, as /proc/cpuinfo names it, and the cores this process may use."""
    import os

    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": name, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}


def write_json(path: Path, result: dict[str, Any] | list[Any]) -> None:
    """Writes beside the target first, so that a half-written file never bears its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(result, indent=1) + "\n")
    draft.replace(path)


def synthetic_sweep(beams: int, columns: int, seed: int = 0) -> np.ndarray:
    """float32 [P, 4] x, y, z, intensity: a spinning LiDAR 1.8 m above a street between walls; where no recording is
    at hand.
    """
    rng = np.random.default_rng(seed)
    azimuth = np.repeat(np.linspace(-np.pi, np.pi, columns, endpoint=False), beams)
    elevation = np.tile(np.radians(np.linspace(-24.8, 2.0, beams)), columns)
    across = 6 + 4 * np.sin(5 * azimuth) + 2 * np.sin(17 * azimuth)
    to_wall = np.minimum(abs(across / np.where(abs(np.sin(azimuth)) < 0.05, 0.05, np.sin(azimuth))), 70.0)
    to_ground = np.where(elevation < -0.01, 1.8 / np.maximum(np.tan(-elevation), 1e-3), 1e3)
    distance = np.minimum(to_wall, to_ground) / np.cos(elevation) + rng.normal(0, 0.015, len(azimuth))
    keep = (distance > 2) & (distance < 80) & (rng.random(len(distance)) < 0.9)
    direction = np.column_stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    xyz = (direction * distance[:, None])[keep]
    return np.column_stack([xyz, rng.random(len(xyz))]).astype(np.float32)


def real_sweeps(folder: Path) -> dict[str, tuple[np.ndarray, str]]:
    """{"64beam": (float32 [P, 4], where from), "32beam": ...}: first KITTI and nuScenes sweep of `folder`, else
    synthetic.
    """
    kitti = sorted(folder.glob("semantickitti/**/velodyne/*.bin"))
    kitti += sorted(folder.glob("kitti_raw/**/velodyne_points/data/*.bin"))
    nuscenes = sorted(folder.glob("nuscenes_keyframe/**/LIDAR_TOP.bin"))
    out: dict[str, tuple[np.ndarray, str]] = {}
    if kitti:
        out["64beam"] = np.fromfile(kitti[0], np.float32).reshape(-1, 4), f"real: {kitti[0].relative_to(folder)}"
    else:
        out["64beam"] = synthetic_sweep(64, 1900), f"synthetic: no KITTI sweep under {folder}"
    if nuscenes:
        sweep = np.fromfile(nuscenes[0], np.float32).reshape(-1, 5)[:, :4]
        out["32beam"] = sweep / np.array([1, 1, 1, 255], np.float32), "real: nuScenes keyframe LIDAR_TOP"
    else:
        out["32beam"] = synthetic_sweep(32, 1084), f"synthetic: no nuScenes sweep under {folder}"
    return out
