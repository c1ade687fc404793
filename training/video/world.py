"""Renders labelled video of the driving world into a cache on disk (format and reader: training.video.cache).

    python -m training.video.world --split train --drives 300 --workers 2 --worker 0 &
    python -m training.video.world --split train --drives 300 --workers 2 --worker 1 &
    python -m training.video.world --first 400000 --drives 600 --only cut_in --seconds 240 \
        --events cut_in_from_left cut_in_from_right cut_out          # more of what is rare, and nothing else

Traffic is cheap to simulate and pictures are expensive: a drive's traffic is simulated first, then only windows around
its events are rendered (rarer events first), and one window without an event. A drive follows from its seed: world,
light, weather and densities are `random_scenario`'s, the scripts that provoke events are dealt in turn, the camera is
one of three rigs' front cameras. Sides of the mirrored events are the scripts' own coins. Interrupted work goes on
where it stopped; worker w of W makes drives w, w + W, …
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.common.seeds import SPLITS, split_of
from training.video.cache import HEIGHT, PRIORITY, RATE, WIDTH, ClipFacts, write_clip

SIMULATED = 70.0  # s of traffic per drive
SETTLE = 2.0  # s before the first frame that may be drawn
BEFORE, AFTER = 9, 3  # frames drawn before and after an event
LONGEST = 22  # frames of one event that are drawn
BUDGET = 100  # frames drawn per drive, about
QUIET = 18  # frames of a stretch without events
EACH = 3  # windows per kind of event and drive
SHORTEST = 9  # frames; shorter windows are not drawn

# what provokes: (scripts, preferred turn, style or "" for the random scenario's own), dealt in turn
SITUATIONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("cut_in",), "", "arterial"),
    (("crossing",), "", "city"),
    (("overtake",), "", "arterial"),
    (("lead_brakes",), "", ""),
    (("cut_in",), "", "arterial"),
    ((), "left", ""),
    (("crossing",), "", "suburb"),
    (("cut_out",), "", "arterial"),
    ((), "right", ""),
    (("crossing", "lead_brakes"), "", "suburb"),
    (("cut_in",), "", "arterial"),
    (("overtake",), "", "arterial"),
    ((), "", ""),
    (("cut_out",), "", "arterial"),
    (("crossing",), "", "city"),
    (("lead_brakes",), "", "suburb"),
)
# share of the speed limit at which training's ego vehicle lets others pass and cut in; held-out drives keep their own
EGO_SPEED = {"cut_in": 0.85, "overtake": 0.7}
CAMERAS = (("nuscenes", "front"), ("kitti", "left"), ("nuscenes", "front"), ("vlp16", "front"))
WEIGHT = {"oncoming_vehicle_passing": 1.0, "ego_braking": 1.0, "lead_vehicle_braking": 2.0, "cut_out": 2.5,
          "ego_turning_left": 2.0, "ego_turning_right": 2.0, "being_overtaken": 2.0}  # fmt: skip


@dataclass(frozen=True)
class Window:
    """Frames first to last (exclusive) of the simulated traffic that are drawn."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


def runs_of(events: list[tuple[str, ...]], name: str) -> list[Window]:
    """Stretches of consecutive frames in which `name` is under way."""
    flags = np.array([False, *(name in row for row in events), False])
    edges = np.flatnonzero(flags[1:] != flags[:-1])
    return [Window(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def windows(events: list[tuple[str, ...]], rng: np.random.Generator, wanted: Collection[str] = ()) -> list[Window]:
    """Windows worth drawing, in order of time and disjoint: rare events first, within BUDGET, and a quiet stretch.
    wanted: around these events alone, and no quiet stretch."""
    found = []
    for name in sorted({n for row in events for n in row if not wanted or n in wanted}):
        runs = [r for r in runs_of(events, name) if r.first > BEFORE // 2]
        for i, pick in enumerate(rng.permutation(len(runs))[:EACH]):
            found.append((WEIGHT.get(name, 3.0) - 0.6 * i, runs[pick]))
    found.sort(key=lambda f: -f[0])
    drawn = np.zeros(len(events), bool)
    for _, run in found:
        a, b = max(run.first - BEFORE, 0), min(min(run.last, run.first + LONGEST) + AFTER, len(events))
        added = int((~drawn[a:b]).sum())
        if int(drawn.sum()) + added <= BUDGET:
            drawn[a:b] = True
    quiet = [i for i in range(len(events) - QUIET) if not any(events[i : i + QUIET]) and not drawn[i : i + QUIET].any()]
    if quiet and not wanted:
        first = quiet[int(rng.integers(len(quiet)))]
        drawn[first : first + QUIET] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], drawn.astype(np.int8), [0]])))
    return [Window(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= SHORTEST]


def scenario_of(seed: int, number: int):
    """(scenario, rig name, camera name) of the `number`-th drive of the split that `seed` belongs to."""
    from perception_nodes.simulator.scenarios import random_scenario

    scripts, turns, style = SITUATIONS[number % len(SITUATIONS)]
    base = random_scenario(seed)
    vehicles = int(np.clip(base.vehicles, 10, 28)) if style == "arterial" else base.vehicles
    name = "+".join(scripts) or (f"turn_{turns}" if turns else "free")
    rig, camera = CAMERAS[(number // len(SITUATIONS) + number) % len(CAMERAS)]
    scenario = replace(
        base, name=name, style=style or base.style, vehicles=vehicles, provoke=scripts, turns=turns,
        people=max(base.people, 16) if "crossing" in scripts else base.people,
        speed=min([base.speed, *(EGO_SPEED.get(s, 1.0) for s in scripts if split_of(seed) == "train")]),
    )  # fmt: skip
    return scenario, rig, camera


def render_drive(seed: int, number: int, folder: Path, seconds: float = SIMULATED, wanted: Collection[str] = ()) -> int:
    """Draws the windows of one drive of `seconds` into `folder` (wanted: see `windows`); how many frames."""
    from perception_nodes.simulator.camera import CameraRenderer
    from perception_nodes.simulator.rigs import rig as rig_by_name
    from perception_nodes.simulator.traffic import Traffic
    from perception_nodes.simulator.world import build_world
    from training.video.boxes import BoxTracker

    scenario, rig, name = scenario_of(seed, number)
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, scenario.conditions)
    for _ in range(round(SETTLE * RATE)):
        traffic.step(1.0 / RATE)
    snapshots = []
    for _ in range(round((seconds - SETTLE) * RATE)):
        traffic.step(1.0 / RATE)
        snapshots.append(traffic.snapshot())
    camera = rig_by_name(rig).camera(name).resized(WIDTH, HEIGHT)
    renderer = CameraRenderer(world, scenario.conditions, seed, threads=1)
    frames = 0
    for k, window in enumerate(windows([s.events for s in snapshots], np.random.default_rng((seed, 0x71D)), wanted)):
        tracker, images = BoxTracker(camera), []
        chosen = snapshots[window.first : window.last]
        for snapshot in chosen:
            image = renderer.render(snapshot, camera)
            tracker.add(snapshot, image, 1.0 / RATE)
            images.append(image.rgb)
        facts = ClipFacts(
            seed, scenario.name, rig, name, scenario.conditions.daytime, scenario.conditions.weather,
            round(chosen[0].time, 3), (HEIGHT, WIDTH), RATE, tuple(s.events for s in chosen),
        )  # fmt: skip
        write_clip(folder / f"{seed:06d}_{k}", facts, images, tracker.boxes())
        frames += len(images)
    return frames


def drives(
    split: str, count: int, worker: int, workers: int, only: str = "", first: int = 0
) -> Iterator[tuple[int, int]]:
    """(seed, number) of this worker's drives among number `first` and the `count` - 1 after it; only: of those dealt
    this script."""
    for number in range(first + worker, first + count, workers):
        if not only or only in SITUATIONS[number % len(SITUATIONS)][0]:
            yield SPLITS[split][number], number


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video.world", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--out", type=Path, default=Path("runs/video"))
    parser.add_argument("--drives", type=int, default=300)
    parser.add_argument("--only", default="", help="drives dealt this script alone: cut_in, crossing, overtake, …")
    parser.add_argument("--first", type=int, default=0, help="number of the first drive")
    parser.add_argument("--seconds", type=float, default=SIMULATED, help="of traffic per drive")
    parser.add_argument("--events", nargs="*", default=[], choices=PRIORITY, help="draw windows of these alone")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    folder = options.out / options.split
    folder.mkdir(parents=True, exist_ok=True)
    todo = list(drives(options.split, options.drives, options.worker, options.workers, options.only, options.first))
    begun, frames, failed = time.monotonic(), 0, 0
    for i, (seed, number) in enumerate(todo):
        done = folder / f"{split_of(seed)}_{seed:06d}.done"
        if done.is_file():
            continue
        try:
            drawn = render_drive(seed, number, folder, options.seconds, options.events)
            done.write_text(json.dumps({"frames": drawn, "number": number}))
            frames += drawn
        except KeyboardInterrupt:
            return 130
        except Exception:
            failed += 1
            print(f"drive {seed} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        spent = time.monotonic() - begun
        print(f"{options.split} drive {i + 1}/{len(todo)}: {frames} frames, {frames / spent:.1f} a second", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
