"""Draws moments of the driving world for bevfusion-lite's LiDAR branch, a file a world (format: `frames`).

    nice -n 15 python -m training.bevfusion.generate --split train --worlds 2000 --out runs/bevfusion   (also val, test)
    nice -n 15 python -m training.bevfusion.generate --pictures runs/camera --out runs/bevfusion_fused

A world, its traffic, light and weather follow from its seed (training.common.seeds). Even seeds carry nuScenes' LiDAR,
odd ones KITTI's, each mounted a little differently. With --pictures the moments are those of the pictures of
training.bevfusion.camera, for training on both sensors. Interrupted work goes on where it stopped; worker w of W makes
worlds w, w + W, …
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.sweeps import Sweep as PastSweep
from models.bevfusion.sweeps import accumulate
from perception_nodes.simulator.lidar import LidarSensor, Sweep
from perception_nodes.simulator.map_masks import MapMasks, rasterise
from perception_nodes.simulator.moments import between
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.simulator.scene import Snapshot
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.truth import boxes as true_boxes
from perception_nodes.simulator.world import build_world
from training.bevfusion.camera.generate import MOMENTS as PICTURED_MOMENTS
from training.bevfusion.camera.generate import cameras_of, steps_to_pictures
from training.bevfusion.camera.pictures import SUFFIX
from training.bevfusion.frames import (
    BOX_NAMES,
    MAP_CELL,
    MAP_CELLS,
    MAP_HALF,
    MAP_NAMES,
    Cameras,
    Moment,
    world_path,
    write_world,
)
from training.common.generation import generate, generation_parser, seeds_of

RIGS = ("nuscenes", "kitti")
SETTLE, APART, MOMENTS = 3.0, 3.0, 6  # s before the first moment, s between two, moments a world
REACH = 60.0  # m, of boxes


def scanned_world(seed: int) -> tuple[Traffic, LidarSensor, MapMasks]:
    """The world of a seed: its traffic at the start, its LiDAR, its map."""
    scenario = random_scenario(seed)
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, scenario.conditions)
    rig = rig_by_name(RIGS[seed % 2], seed)
    lidar = LidarSensor(world, rig.lidar, scenario.conditions, seed, hull=rig.hull, threads=1)
    return traffic, lidar, rasterise(world)


def drawn(seed: int, moments: int = MOMENTS, reach: float = REACH) -> Iterator[Moment]:
    """Moments of one world."""
    traffic, lidar, masks = scanned_world(seed)
    period = lidar.spec.beams.period
    for i in range(moments):
        traffic.step((SETTLE if i == 0 else APART) - 2 * period)
        first = traffic.snapshot()
        traffic.step(period)
        middle = traffic.snapshot()
        traffic.step(period)
        last = traffic.snapshot()
        yield moment_of(lidar.sweep(first, middle), lidar.sweep(middle, last), period, last, masks, reach)


def drawn_with_pictures(seed: int, fixed: bool, moments: int = PICTURED_MOMENTS) -> Iterator[Moment]:
    """Moments of the pictures that training.bevfusion.camera.generate draws of this world (`drawn` there): the traffic
    takes the same steps. fixed: as there."""
    traffic, lidar, masks = scanned_world(seed)
    period, specs = lidar.spec.beams.period, cameras_of(seed, fixed)
    intrinsics = np.stack([spec.intrinsics for spec in specs])
    for before, now in steps_to_pictures(traffic, moments):
        first, middle = (between(before, now, now.time - turns * period) for turns in (2, 1))
        one = moment_of(lidar.sweep(first, middle), newest := lidar.sweep(middle, now), period, now, masks)
        level_from_base = np.linalg.inv(level_frame(newest, now)) @ now.ego.map_from_base
        poses = np.stack([level_from_base @ spec.base_from_camera for spec in specs])
        yield replace(one, cameras=Cameras(intrinsics, poses))


def level_frame(sweep: Sweep, snapshot: Snapshot) -> NDArray[np.float64]:
    """map_from_level float64 [4, 4]: origin at the LiDAR, axes of the vehicle."""
    out = snapshot.ego.map_from_base.copy()
    out[:3, 3] = sweep.map_from_sensor[:3, 3]
    return out


def moment_of(
    before: Sweep, now: Sweep, period: float, snapshot: Snapshot, masks: MapMasks, reach: float = REACH
) -> Moment:
    """Two sweeps and the truth, in the level frame at the LiDAR."""
    base = snapshot.ego.map_from_base
    map_from_level = level_frame(now, snapshot)
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
    parser = generation_parser("training.bevfusion.generate", __doc__, Path("runs/bevfusion"), MOMENTS)
    parser.add_argument(
        "--pictures", type=Path, help="folder of pictures: draws their moments, with the cameras beside the points"
    )
    options = parser.parse_args(arguments)
    seeds, make = seeds_of(options), drawn
    if options.pictures is not None:
        have = {int(path.stem) for path in (options.pictures / options.split).glob(f"*{SUFFIX}")}
        seeds = [seed for seed in seeds if seed in have]
        if not seeds:
            cure = f"python -m training.bevfusion.camera.generate --split {options.split} --out {options.pictures}"
            print(f"no pictures of these worlds in {options.pictures / options.split}; type {cure}", file=sys.stderr)
            return 2
        options.moments = min(options.moments, PICTURED_MOMENTS)
        make = partial(drawn_with_pictures, fixed=options.split != "train")

    def path_of(seed: int) -> Path:
        return world_path(options.out, options.split, seed)

    def write(seed: int) -> int:
        moments = list(make(seed, moments=options.moments))
        write_world(path_of(seed), moments, {"seed": seed, "rig": RIGS[seed % 2]})
        return len(moments)

    return generate(seeds, path_of, write, f"moments, {options.split}")


if __name__ == "__main__":
    sys.exit(main())
