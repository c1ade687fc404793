"""Sweeps of held-out test worlds, made once and kept in files, so that every model is scored on the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.common.seeds import TEST
from training.segmentation.sweep_wire import CompactSweep, read_sweep, write_sweep

RIGS = 3  # nuscenes, kitti, vlp16: each exactly as built


def world_files(
    folder: Path, worlds: int, moments: int, fresh: bool = False, seeds: Sequence[int] = TEST
) -> Iterator[Path]:
    """Files of the first `worlds` test worlds, `moments` sweeps of every known rig each; made where they are missing.

    fresh: make them again (after a change of the simulator) · seeds: another split. A file is whole or absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds[:worlds]:
        path = folder / f"world_{seed}_{moments}.sweeps"
        if fresh or not path.is_file():
            _make(path, seed, moments)
        yield path


def _make(path: Path, seed: int, moments: int) -> None:
    from training.segmentation.world_sweeps import sweeps_of

    part = path.with_suffix(".part")
    with part.open("wb") as file:
        for sweep in sweeps_of(seed, sensors=RIGS, moments=moments, fixed=True):
            write_sweep(file, sweep)
    part.replace(path)


def read_world(path: Path) -> Iterator[CompactSweep]:
    """The sweeps of a file, in order. ValueError where it is damaged."""
    with path.open("rb") as file:
        while (sweep := read_sweep(file)) is not None:
            yield sweep


def digest(paths: list[Path]) -> str:
    """One sha256 over all files: scores are comparable where it is the same."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
