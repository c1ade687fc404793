"""Exact pairs from the driving world: one moment seen in clear daylight, at dusk, at night, in rain and in fog.

    nice -n 15 python -m training.gan.pairs --split train --worlds 100 --out runs/style     (also val, test)

Geometry, road users, cameras and the LiDAR's firings are the same in every condition; light, weather and what follows
from them (lamps, wet roads, lost echoes) differ. A world follows from its seed (training.common.seeds).

    runs/style/<split>/<seed>/0003_front_left_night.jpg     RGB, 320 x 180 px, JPEG quality 95
    runs/style/<split>/<seed>/sweeps.npz                    see `SweepPairs`; written last: the world is complete

Interrupted work continues at the first world that is not complete.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from perception_nodes.simulator.camera import CameraRenderer
from perception_nodes.simulator.lidar import LidarSensor
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.simulator.scene import Conditions
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world
from training.common.progress import Progress
from training.common.seeds import SPLITS

WIDTH, HEIGHT, QUALITY = 320, 180, 95
MOMENTS, CAMERAS, SWEEPS = 6, 2, 2  # moments a world, cameras a moment, moments with sweeps
SETTLE, APART = 3.0, 4.0  # s of traffic before the first moment, and between two
SOURCE = "day"
# style -> (daytime, weather); the first is the source of all the others
LIGHTS = {
    "day": ("day", "clear"),
    "dusk": ("dusk", "clear"),
    "night": ("night", "clear"),
    "rain": ("day", "rain"),
    "fog": ("day", "fog"),
}
STYLES = tuple(style for style in LIGHTS if style != SOURCE)
LIDAR_STYLES = ("rain", "fog")  # daylight changes nothing for a LiDAR
DONE = "sweeps.npz"


@dataclass(frozen=True, eq=False)
class SweepPairs:
    """LiDAR sweeps of one world: range float32 m and intensity float32 0..1, [moments, conditions, columns, rings] in
    the order `conditions`; 0 m: no return. The same column and ring is the same firing in every condition."""

    range: NDArray[np.float32]
    intensity: NDArray[np.float32]
    conditions: tuple[str, ...] = (SOURCE, *LIDAR_STYLES)


def conditions_of(style: str, source: Conditions, seed: int) -> Conditions:
    """Light and weather of a style in one world; the sun stands where the world's seed puts it. Raises ValueError."""
    if style not in LIGHTS:
        raise ValueError(f"style {style!r} is unknown: expected one of {', '.join(LIGHTS)}")
    daytime, weather = LIGHTS[style]
    rng = np.random.default_rng((0x57E, seed))
    elevation = {"day": rng.uniform(0.3, 1.2), "dusk": rng.uniform(0.03, 0.2), "night": -0.3}[daytime]
    return replace(source, daytime=daytime, weather=weather, sun_elevation=float(elevation))


def draw_world(seed: int, folder: Path, moments: int = MOMENTS) -> None:
    """Renders one world into `folder`; its sweeps.npz comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((0x9A1, seed))
    scenario = random_scenario(seed)
    world = build_world(seed, scenario.style)
    lights = {style: conditions_of(style, scenario.conditions, seed) for style in LIGHTS}
    traffic = Traffic(world, seed, scenario, lights[SOURCE])
    rig = rig_by_name("nuscenes", seed)
    body = rig.body_in_view()
    renderers = {s: CameraRenderer(world, c, seed, hull=body, threads=1) for s, c in lights.items()}
    scanner = rig_by_name(("nuscenes", "kitti")[seed % 2], seed)
    sensors = {
        s: LidarSensor(world, scanner.lidar, lights[s], seed, hull=scanner.hull, threads=1, compensate=False)
        for s in (SOURCE, *LIDAR_STYLES)
    }
    period = scanner.lidar.beams.period
    sweeps = []
    for i in range(moments):
        traffic.step((SETTLE if i == 0 else APART) - period)
        before = traffic.snapshot()
        traffic.step(period)
        now = traffic.snapshot()
        for k in rng.choice(len(rig.cameras), CAMERAS, replace=False):
            camera = rig.cameras[k].resized(WIDTH, HEIGHT)
            for style, renderer in renderers.items():
                write_picture(folder / f"{i:04d}_{camera.name}_{style}.jpg", renderer.render(now, camera).rgb)
        if i < SWEEPS:
            sweeps.append([_firings(sensor, before, now) for sensor in sensors.values()])
    part = folder / "sweeps.part.npz"
    images = np.array(sweeps, np.float32)  # [moments, conditions, 2, columns, rings]
    levels = np.rint(images[:, :, 1] * 255).astype(np.uint8)
    np.savez_compressed(part, range=images[:, :, 0].astype(np.float16), intensity=levels)
    part.replace(folder / DONE)


def _firings(sensor: LidarSensor, before, now) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    sensor.sweep(before, now)
    return sensor.firings()


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """A JPEG file of an RGB picture uint8 [H, W, 3]. Raises OSError."""
    if not cv2.imwrite(str(path), rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"{path} could not be written: is the disk full?")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """RGB picture uint8 [H, W, 3] of a file. Raises ModelError."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ModelError(f"{path} is not a readable picture: delete its folder and generate the pairs again")
    return np.ascontiguousarray(bgr[..., ::-1])


class Pairs:
    """The complete worlds of one split under a folder. Raises ModelError where there are none."""

    def __init__(self, root: str | Path, split: str, worlds: int | None = None) -> None:
        folder = Path(root) / split
        self.worlds = sorted(path.parent for path in folder.glob(f"*/{DONE}"))[:worlds]
        if not self.worlds:
            raise ModelError(
                f"no pairs in {folder}: make some with python -m training.gan.pairs --split {split} --worlds 100 "
                f"--out {root}"
            )
        self.sources = [path for world in self.worlds for path in sorted(world.glob(f"*_{SOURCE}.jpg"))]

    def __len__(self) -> int:
        return len(self.sources)

    def picture(self, index: int, style: str = SOURCE) -> NDArray[np.uint8]:
        """One picture in a style, uint8 [180, 320, 3] RGB."""
        path = self.sources[index]
        return read_picture(path.with_name(path.name.replace(f"_{SOURCE}.jpg", f"_{style}.jpg")))

    def sweeps(self) -> Iterator[SweepPairs]:
        """The sweeps of every world."""
        for world in self.worlds:
            with np.load(world / DONE, allow_pickle=False) as file:
                yield SweepPairs(file["range"].astype(np.float32), file["intensity"].astype(np.float32) / 255)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.pairs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--worlds", type=int, default=100, help="how many, from the split's first seed")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.worlds < 1:
        print(f"--worlds is {options.worlds}: expected 1 or more", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    bar = Progress(f"pairs, {options.split}", options.worlds)
    for seed in SPLITS[options.split][: options.worlds]:
        folder = options.out / options.split / f"{seed:06d}"
        if not (folder / DONE).is_file():
            draw_world(seed, folder)
        bar.step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
