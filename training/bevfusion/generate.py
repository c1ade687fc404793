"""Draws moments of the driving world for bevfusion-lite's LiDAR branch, a file a world (format: `frames`).

    nice -n 15 python -m training.bevfusion.generate --split train --worlds 2000 --out runs/bevfusion   (also val, test)

A world, its traffic, light and weather follow from its seed (training.common.seeds). Even seeds carry nuScenes' LiDAR,
odd ones KITTI's, each mounted a little differently. Interrupted work goes on where it stopped; worker w of W makes
worlds w, w + W, …
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.sweeps import Sweep as PastSweep
from models.bevfusion.sweeps import accumulate
from perception_nodes.simulator.lidar import LidarSensor, Sweep
from perception_nodes.simulator.map_masks import MapMasks, rasterise
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.simulator.scene import Snapshot
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.truth import boxes as true_boxes
from perception_nodes.simulator.world import build_world
from training.bevfusion.frames import (
    BOX_NAMES,
    MAP_CELL,
    MAP_CELLS,
    MAP_HALF,
    MAP_NAMES,
    Moment,
    world_path,
    write_world,
)
from training.common.seeds import SPLITS

RIGS = ("nuscenes", "kitti")
SETTLE, APART, MOMENTS = 3.0, 3.0, 6  # s before the first moment, s between two, moments a world
REACH = 60.0  # m, of boxes


def drawn(seed: int, moments: int = MOMENTS, reach: float = REACH) -> Iterator[Moment]:
    """Moments of one world."""
    scenario = random_scenario(seed)
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, scenario.conditions)
    rig = rig_by_name(RIGS[seed % 2], seed)
    lidar = LidarSensor(world, rig.lidar, scenario.conditions, seed, hull=rig.hull, threads=1)
    period, masks = rig.lidar.beams.period, rasterise(world)
    for i in range(moments):
        traffic.step((SETTLE if i == 0 else APART) - 2 * period)
        first = traffic.snapshot()
        traffic.step(period)
        middle = traffic.snapshot()
        traffic.step(period)
        last = traffic.snapshot()
        yield moment_of(lidar.sweep(first, middle), lidar.sweep(middle, last), period, last, masks, reach)


def moment_of(
    before: Sweep, now: Sweep, period: float, snapshot: Snapshot, masks: MapMasks, reach: float = REACH
) -> Moment:
    """Two sweeps and the truth, in the level frame at the LiDAR."""
    base = snapshot.ego.map_from_base
    map_from_level = base.copy()
    map_from_level[:3, 3] = now.map_from_sensor[:3, 3]
    level_from_map = np.linalg.inv(map_from_level)

    def points(sweep: Sweep) -> NDArray[np.float32]:
        turn = level_from_map @ sweep.map_from_sensor
        xyz = sweep.xyz @ turn[:3, :3].T + turn[:3, 3]
        return np.column_stack([xyz, sweep.intensity * 255]).astype(np.float32)

    both = accumulate(points(now), period, [PastSweep(points(before), 0.0, np.eye(4))], 1)
    rows, label, count = [], [], []
    heading = math.atan2(base[1, 0], base[0, 0])
    c, s = math.cos(heading), math.sin(heading)
    for box in true_boxes(snapshot, now, reach):
        if box.category in BOX_NAMES:
            centre = level_from_map[:3, :3] @ box.centre + level_from_map[:3, 3]
            vx, vy = box.velocity
            yaw = math.remainder(box.yaw - heading, 2 * math.pi)
            rows.append([*centre, *box.size, yaw, c * vx + s * vy, c * vy - s * vx])
            label.append(BOX_NAMES.index(box.category))
            count.append(box.points)
    return Moment(
        both, np.array(rows, np.float32).reshape(-1, 9), np.array(label, np.int64), np.array(count, np.int64),
        map_around(masks, map_from_level),
    )  # fmt: skip


def map_around(masks: MapMasks, map_from_level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Masks uint8 [6, 200, 200] around the vehicle; outside the world 0."""
    steps = (np.arange(MAP_CELLS) + 0.5) * MAP_CELL - MAP_HALF
    x, y = np.meshgrid(steps, steps, indexing="ij")
    heading = math.atan2(map_from_level[1, 0], map_from_level[0, 0])
    c, s = math.cos(heading), math.sin(heading)
    east = map_from_level[0, 3] + c * x - s * y
    north = map_from_level[1, 3] + s * x + c * y
    column = np.floor((east - masks.origin[0]) / masks.resolution).astype(int)
    row = np.floor((north - masks.origin[1]) / masks.resolution).astype(int)
    out = np.zeros((len(MAP_NAMES), MAP_CELLS, MAP_CELLS), np.uint8)
    for i, name in enumerate(MAP_NAMES):
        mask = masks.masks[name]
        inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
        out[i][inside] = mask[row[inside], column[inside]]
    return out


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.bevfusion.generate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--out", type=Path, default=Path("runs/bevfusion"))
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--moments", type=int, default=MOMENTS, help="of each world")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    seeds = SPLITS[options.split][: options.worlds][options.worker :: options.workers]
    begun, made, failed = time.monotonic(), 0, 0
    for i, seed in enumerate(seeds):
        path = world_path(options.out, options.split, seed)
        if path.is_file():
            continue
        try:
            moments = list(drawn(seed, options.moments))
            write_world(path, moments, {"seed": seed, "rig": RIGS[seed % 2]})
            made += len(moments)
        except KeyboardInterrupt:
            return 130
        except Exception:
            failed += 1
            print(f"world {seed} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        bar = "#" * (24 * (i + 1) // len(seeds))
        rate = made / (time.monotonic() - begun)
        told = f"{i + 1}/{len(seeds)} worlds, {made} moments, {rate:.2f} a second"
        print(f"{options.split} [{bar:24}] {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
