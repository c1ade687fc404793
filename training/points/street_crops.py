"""Labelled street crops, cut out of simulated sweeps once and kept in files: what the point networks learn from.

    python -m training.points.street_crops --split train --worlds 40 --out runs/crops
    python -m training.points.street_crops --split test --worlds 5 --out runs/crops     (from the cached test sweeps)

A crop is every point within REACH of a place on the ground, in the sensor's frame, so that a square of SIDE metres can
be cut from it at any rotation. One file per world; a file is complete or absent, so the same command continues a
stopped call. Test crops come from the same sweeps that whole-sweep networks are scored on
(training/segmentation/held_out.py) and keep the numbers of their points in them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE
from training.common.seeds import SPLITS
from training.segmentation.augment import RARE
from training.segmentation.held_out import read_world, world_files
from training.segmentation.sweep_wire import UNITS_PER_METRE, CompactSweep

SIDE = 10.0  # m, edge of the square that a network sees
REACH = SIDE / 2 * 2**0.5 + 0.05  # m: holds the square at any turn
NEAREST, FURTHEST = 3.0, 32.0  # m from the sensor: where crops are centred
LEAST = 384  # points within REACH below which a place is passed over
MOST = 16384  # points kept; a random choice beyond


@dataclass(frozen=True, eq=False)
class Crop:
    """xyz float32 [M, 3] m, sensor frame · intensity float32 [M] 0..1 · label uint8 [M] · index int32 [M], which points
    of the sweep these are · centre float32 [2] m · sweep: number of the sweep in its world · pattern: beam table."""

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    label: NDArray[np.uint8]
    index: NDArray[np.int32]
    centre: NDArray[np.float32]
    sweep: int
    pattern: str

    def __len__(self) -> int:
        return len(self.xyz)


def centres(
    xyz: NDArray[np.float32], label: NDArray[np.uint8], count: int, rng: np.random.Generator, rare: float
) -> NDArray[np.float32]:
    """`count` places float32 [count, 2] on labelled points: uniform over the distance from the sensor, a share `rare`
    of them on points of a rare class where the sweep has any."""
    distance = np.hypot(xyz[:, 0], xyz[:, 1])
    good = np.flatnonzero((label != IGNORE) & (distance > NEAREST) & (distance < FURTHEST))
    if not len(good):
        return np.empty((0, 2), np.float32)
    uncommon = good[np.isin(label[good], RARE)]
    picked = []
    for _ in range(count):
        if len(uncommon) and rng.random() < rare:
            wanted = rng.choice(np.unique(label[uncommon]))
            picked.append(rng.choice(uncommon[label[uncommon] == wanted]))
            continue
        at = rng.uniform(NEAREST, FURTHEST)
        near = good[np.abs(distance[good] - at) < 1.5]
        picked.append(rng.choice(near if len(near) else good))
    return xyz[picked, :2]


def crops_of(
    xyz: NDArray[np.float32],
    intensity: NDArray[np.float32],
    label: NDArray[np.uint8],
    count: int,
    rng: np.random.Generator,
    rare: float = 0.0,
    sweep: int = 0,
    pattern: str = "",
) -> Iterator[Crop]:
    """Up to `count` crops of one sweep (xyz [N, 3] m, intensity [N] 0..1, label [N]); places with fewer than LEAST
    points or without a labelled one give none."""
    for centre in centres(xyz, label, count, rng, rare):
        near = np.flatnonzero(((xyz[:, :2] - centre) ** 2).sum(1) < REACH**2)
        if len(near) < LEAST or (label[near] == IGNORE).all():
            continue
        if len(near) > MOST:
            near = np.sort(rng.choice(near, MOST, replace=False))
        yield Crop(xyz[near], intensity[near], label[near], near.astype(np.int32), centre, sweep, pattern)


def write_crops(path: Path, crops: list[Crop]) -> None:
    """One file of plain arrays; coordinates in 1/256 m, as the sweeps have them."""
    part = path.with_name(path.stem + ".part.npz")
    stops = np.cumsum([0] + [len(c) for c in crops])
    np.savez(
        part,
        xyz=np.concatenate([np.rint(c.xyz * UNITS_PER_METRE).astype(np.int16) for c in crops]),
        intensity=np.concatenate([np.rint(c.intensity * 255).astype(np.uint8) for c in crops]),
        label=np.concatenate([c.label for c in crops]),
        index=np.concatenate([c.index for c in crops]),
        stops=stops,
        centre=np.stack([c.centre for c in crops]),
        sweep=np.array([c.sweep for c in crops], np.int32),
        pattern=np.array([c.pattern for c in crops]),
    )
    part.replace(path)


def read_crops(path: Path) -> list[Crop]:
    """The crops of a file. ValueError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            a = {k: file[k] for k in file.files}
        xyz = a["xyz"].astype(np.float32) / np.float32(UNITS_PER_METRE)
        intensity = a["intensity"].astype(np.float32) / np.float32(255)
        parts = [slice(i, j) for i, j in zip(a["stops"][:-1], a["stops"][1:])]
        return [
            Crop(xyz[s], intensity[s], a["label"][s], a["index"][s], a["centre"][k], int(a["sweep"][k]),
                 str(a["pattern"][k]))
            for k, s in enumerate(parts)
        ]  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} holds no crops ({error}): delete it and call `python -m training.points.street_crops`"
        ) from None


def cut(sweeps: Iterable[CompactSweep], per_sweep: int, seed: int, rare: float) -> list[Crop]:
    """Crops of all sweeps of a world."""
    rng = np.random.default_rng((seed, 0xC40B))
    found: list[Crop] = []
    for number, sweep in enumerate(sweeps):
        values = sweep.metres(), sweep.intensity.astype(np.float32) / np.float32(255), sweep.label
        found += crops_of(*values, per_sweep, rng, rare, number, sweep.pattern)
    return found


def make(split: str, worlds: int, per_sweep: int, out: Path, test_sweeps: Path, first: int = 0) -> Iterator[Path]:
    """Files of crops of a split's worlds, made where they are missing."""
    from training.segmentation.world_sweeps import sweeps_of

    out.mkdir(parents=True, exist_ok=True)
    if split == "test":
        for seed, source in zip(SPLITS["test"], world_files(test_sweeps, worlds, 2)):
            path = out / f"test_{seed}.npz"
            if not path.is_file():
                write_crops(path, cut(read_world(source), per_sweep, seed, 0.0))
            yield path
        return
    known = split != "train"
    for seed in SPLITS[split][first : first + worlds]:
        path = out / f"{split}_{seed}.npz"
        if not path.is_file():
            sweeps = sweeps_of(seed, sensors=3, moments=2 if known else 4, fixed=known)
            crops = cut(sweeps, per_sweep, seed, 0.0 if known else 0.5)
            if not crops:
                continue
            write_crops(path, crops)
        yield path


def load(folder: Path, split: str) -> list[Crop]:
    """All crops of a split below `folder`. ValueError where there are none."""
    paths = sorted(folder.glob(f"{split}_*[0-9].npz"))
    if not paths:
        raise ValueError(
            f"{folder} holds no {split} crops: make them with `python -m training.points.street_crops --split {split}`"
        )
    return [crop for path in paths for crop in read_crops(path)]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.points.street_crops", description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="offset into the split's seeds")
    parser.add_argument("--crops", type=int, default=12, help="crops of every sweep")
    parser.add_argument("--out", type=Path, default=Path("runs/crops"))
    parser.add_argument("--test-sweeps", type=Path, default=Path("runs/test_sweeps"))
    options = parser.parse_args(arguments)
    done, crops = 0, 0
    files = make(options.split, options.worlds, options.crops, options.out, options.test_sweeps, options.first)
    for path in files:
        done, crops = done + 1, crops + len(read_crops(path))
        bar = "#" * (24 * done // max(options.worlds, 1))
        seconds = time.process_time()
        print(
            f"{options.split} [{bar:24}] {done}/{options.worlds} worlds, {crops} crops, {seconds:.0f} CPU s", end="\r"
        )
    print(f"\n{options.out}: {crops} {options.split} crops of {done} worlds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
