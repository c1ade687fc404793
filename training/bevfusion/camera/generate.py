"""Draws pictures of the driving world with truth for the camera branch, a file a world (format: `pictures`).

    nice -n 15 python -m training.bevfusion.camera.generate --split train --worlds 2000 --out runs/camera
    python -m training.bevfusion.camera.generate --split val --worlds 10 --out runs/camera
    python -m training.bevfusion.camera.generate --split test --worlds 40 --out runs/camera

A world, its traffic, light and weather follow from its seed (training.common.seeds). Training sees nuScenes' cameras
with other focal lengths, heights and directions in each world; val and test see them as they are. Interrupted work goes
on where it stopped; worker w of W makes worlds w, w + W, …
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE as NO_CLASS
from perception_nodes.simulator.camera import CameraImage, CameraRenderer
from perception_nodes.simulator.rigs import CameraSpec, Rig, rotation
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.simulator.scene import Snapshot
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.truth import box_of
from perception_nodes.simulator.world import build_world
from training.bevfusion.camera.pictures import (
    BOX_CLASS,
    HEIGHT,
    IGNORE,
    SKY,
    WIDTH,
    BoxRows,
    Picture,
    world_path,
    write_world,
)  # fmt: skip
from training.common.generation import generate, generation_parser, seeds_of
from training.common.outlines import outline_of

RIG = "nuscenes"
RATE = 5.0  # steps of traffic a second
SETTLE = 3.0  # s before the first picture
APART = 3.0  # s between two moments of a world
MOMENTS = 4
LEAST_PIXELS = 6  # visible ones, below which an object is left out
FOCAL = (0.6, 1.3)  # range of the focal lengths, as multiples of the rig's
# about how much of the outline of its projected 3-D box an object's own picture fills
FILL = dict(car=0.72, truck=0.82, construction_vehicle=0.6, bus=0.88, trailer=0.85, barrier=0.75, motorcycle=0.45,
            bicycle=0.45, pedestrian=0.5, traffic_cone=0.5)  # fmt: skip


def cameras(rig: Rig, rng: np.random.Generator | None) -> list[CameraSpec]:
    """The rig's cameras at the stored size: the lower part of the picture. With `rng` each at another pose and focal
    length, as other vehicles might carry them."""
    out = []
    lift = 0.0 if rng is None else rng.uniform(-0.3, 0.5)  # m, the same for all cameras of a vehicle
    for spec in rig.cameras:
        if rng is not None:
            factor = float(np.exp(rng.uniform(*np.log(FOCAL))))
            pose = np.array(spec.base_from_camera)
            pose[:3, :3] = rotation(*np.radians(rng.normal(0.0, (1.0, 1.5, 6.0)))) @ pose[:3, :3]
            pose[:3, 3] += [*rng.normal(0.0, 0.15, 2), lift + rng.normal(0.0, 0.05)]
            spec = replace(spec, fx=spec.fx * factor, fy=spec.fy * factor, base_from_camera=pose)
        small = spec.scaled(WIDTH / spec.width)
        out.append(small.cropped(0, small.height - HEIGHT, WIDTH, HEIGHT))
    return out


def cameras_of(seed: int, fixed: bool) -> list[CameraSpec]:
    """Cameras of one world; fixed: the rig as it is."""
    return cameras(rig_by_name(RIG), None if fixed else np.random.default_rng((seed, 0xCA3)))


def steps_to_pictures(traffic: Traffic, moments: int) -> Iterator[tuple[Snapshot, Snapshot]]:
    """(one step before, now) of each moment at which pictures are taken."""
    for moment in range(moments):
        for _ in range(round((APART if moment else SETTLE) * RATE) - 1):
            traffic.step(1.0 / RATE)
        before = traffic.snapshot()
        traffic.step(1.0 / RATE)
        yield before, traffic.snapshot()


def drawn(seed: int, fixed: bool, moments: int = MOMENTS) -> Iterator[Picture]:
    """Pictures of one world: `moments` times all cameras. fixed: the rig as it is."""
    scenario = random_scenario(seed)
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, scenario.conditions)
    specs = cameras_of(seed, fixed)
    renderer = CameraRenderer(world, scenario.conditions, seed, threads=1)
    for moment, (_, snapshot) in enumerate(steps_to_pictures(traffic, moments)):
        for spec in specs:
            image = renderer.render(snapshot, spec)
            name = f"{seed:06d}/{moment}_{spec.name}"
            yield Picture(
                image.rgb,
                np.ascontiguousarray(image.depth[::2, ::2]),
                pixel_classes(image)[::2, ::2],
                rows_of(snapshot, image, spec),
                (spec.fx + spec.fy) / 2,
                name,
            )


def pixel_classes(image: CameraImage) -> NDArray[np.uint8]:
    """SemanticKITTI's class of each pixel, SKY where nothing is, IGNORE for what has no class, uint8 [H, W]."""
    classes = np.where(image.semantic == NO_CLASS, IGNORE, image.semantic).astype(np.uint8)
    classes[np.isinf(image.depth)] = SKY
    return classes


def rows_of(snapshot: Snapshot, image: CameraImage, camera: CameraSpec) -> BoxRows:
    """2-D boxes of the objects of which something is seen."""
    pose = snapshot.ego.map_from_base @ camera.base_from_camera
    counts = np.bincount(image.instance.ravel(), minlength=1 << 16)
    rows = []
    for actor in snapshot.actors:
        pixels = int(counts[actor.track_id & 0xFFFF])  # ids in the picture have 16 bits
        if actor.box and actor.category in BOX_CLASS and pixels >= LEAST_PIXELS:
            outline = outline_of(box_of(actor), pose, camera)
            if outline is not None:
                share = outline.visible(pixels, FILL[actor.category])
                rows.append((outline.box, BOX_CLASS[actor.category], outline.distance, share))
    return BoxRows.build(*(zip(*rows) if rows else [[]] * 4))


def make_world(folder: Path, split: str, seed: int, moments: int = MOMENTS) -> int:
    """Draws one world into its file; how many pictures. Nothing is written where it fails."""
    scenario = random_scenario(seed)
    pictures = list(drawn(seed, split != "train", moments))
    facts = {
        "seed": seed, "style": scenario.style, "daytime": scenario.conditions.daytime,
        "weather": scenario.conditions.weather, "rig": RIG,
    }  # fmt: skip
    write_world(world_path(folder, split, seed), pictures, facts)
    return len(pictures)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = generation_parser("training.bevfusion.camera.generate", __doc__, Path("runs/camera"), MOMENTS)
    options = parser.parse_args(arguments)
    return generate(
        seeds_of(options),
        lambda seed: world_path(options.out, options.split, seed),
        lambda seed: make_world(options.out, options.split, seed, options.moments),
        f"pictures, {options.split}",
    )


if __name__ == "__main__":
    sys.exit(main())
