"""Generator of labelled sweeps: drives through new worlds and writes what random LiDARs see to standard output.

    python -m training.segmentation.world_sweeps --split train --worker 0 --workers 2 --count 4 > sweeps.bin

Started by `sweep_stream.SweepStream`; the format is `sweep_wire`'s. A world, its traffic, weather and scenario follow
from its seed alone, and so do the sensors and moments: worker w of W makes the split's seeds first + w,
first + w + W, …
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from training.common.seeds import SPLITS
from training.segmentation.sweep_wire import CompactSweep, write_sweep

STEP = 0.1  # s of traffic per simulation step
PATTERNS = (("nuscenes", 0.3), ("kitti", 0.32), ("random", 0.28), ("vlp16", 0.1))


def sensor_specs(rng: np.random.Generator, sensors: int, fixed: bool):
    """`sensors` LiDARs as (name, spec, hull): of the known rigs or a random pattern, mounted at a random height and a
    little askew. fixed: each known rig once, as it is built (for validation and test)."""
    from perception_nodes.simulator.beams import random_pattern
    from perception_nodes.simulator.rigs import rig

    names = ["nuscenes", "kitti", "vlp16"] if fixed else []
    shares = np.array([share for _, share in PATTERNS])
    while len(names) < sensors:
        names.append(PATTERNS[int(rng.choice(len(PATTERNS), p=shares / shares.sum()))][0])
    for name in names[:sensors]:
        base = rig(str(rng.choice(["nuscenes", "kitti"])) if name == "random" else name)
        spec = base.lidar
        if name == "random":
            power = float(np.exp(rng.uniform(np.log(50_000.0), np.log(400_000.0))))
            spec = replace(spec, beams=random_pattern(rng), power=power, intensity_gain=float(rng.uniform(0.25, 1.1)))
        if not fixed:
            tilt = np.radians(0.8)
            height = float(np.clip(spec.base_from_lidar[2, 3] + rng.normal(0.0, 0.1), 1.55, 2.2))
            spec = spec.mounted(height, rng.normal(0.0, tilt), rng.normal(0.0, tilt), 0.0)
        yield name, spec, base.hull


def sweeps_of(seed: int, sensors: int = 2, moments: int = 5, fixed: bool = False) -> Iterator[CompactSweep]:
    """Sweeps of one world: `sensors` LiDARs, each at `moments` moments a few seconds of driving apart."""
    from perception_nodes.simulator.lidar import LidarSensor
    from perception_nodes.simulator.scenarios import boosted, random_scenario
    from perception_nodes.simulator.traffic import Traffic
    from perception_nodes.simulator.world import build_world

    rng = np.random.default_rng((seed, 0x5EE9))
    scenario = random_scenario(seed)
    if not fixed and rng.random() < 0.7:
        scenario = boosted(scenario)  # rare classes at several times their natural share
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, scenario.conditions)
    lidars = []
    for i, (name, spec, hull) in enumerate(sensor_specs(rng, sensors, fixed)):
        either = bool(rng.random() < 0.5)
        compensate = None if fixed else either  # None: as the rig's data set has them
        lidar = LidarSensor(world, spec, scenario.conditions, seed + i, hull=hull, compensate=compensate, threads=1)
        lidars.append((name, lidar))
    for _ in range(moments):
        for _ in range(int(rng.integers(8, 31))):
            before = traffic.snapshot()
            traffic.step(STEP)
        after = traffic.snapshot()
        for name, lidar in lidars:
            sweep = lidar.sweep(before, after)
            if len(sweep) > 500:
                yield CompactSweep.pack(sweep.xyz, sweep.intensity, sweep.label, sweep.ring, seed, name)


def main(arguments: list[str] | None = None) -> int:
    """Command line; exits when its reader has gone."""
    parser = argparse.ArgumentParser(prog="python -m training.segmentation.world_sweeps", description=__doc__)
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="offset into the split's seeds")
    parser.add_argument("--count", type=int, default=0, help="stop after so many worlds (0: never)")
    parser.add_argument("--sensors", type=int, default=2)
    parser.add_argument("--moments", type=int, default=5)
    parser.add_argument("--fixed", action="store_true", help="every known rig, exactly as built, in every world")
    options = parser.parse_args(arguments)

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between two sweeps
    seeds = SPLITS[options.split]
    failures = 0
    number = 0
    while options.count == 0 or number < options.count:
        seed = seeds[(options.first + options.worker + number * options.workers) % len(seeds)]
        number += 1
        try:
            for sweep in sweeps_of(seed, options.sensors, options.moments, options.fixed):
                write_sweep(out, sweep)
            failures = 0
        except (BrokenPipeError, KeyboardInterrupt):
            return 0
        except Exception:
            failures += 1
            print(f"world {seed} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            if failures >= 5:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
