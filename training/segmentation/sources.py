"""Where a training's sweeps come from: generators of the driving world, recorded files, or SemanticKITTI.

A source is taken from while training goes on: `take` gives the next sweep or None at once, `finished` says that no more
will come.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from models.facts import ModelError
from training.segmentation.sweep_stream import SweepStream
from training.segmentation.sweep_wire import CompactSweep, read_sweep

FILE_SUFFIXES = (".sweeps", ".bin")


class Source(Protocol):
    """received: sweeps taken so far · deaths: last words of what broke · finished: no more will come."""

    received: int
    deaths: list[str]

    @property
    def finished(self) -> bool:
        """True once no more will come."""
        ...

    def take(self, timeout: float | None = None) -> CompactSweep | None:
        """The next sweep, or None where there is none now."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(self, *_: object) -> None: ...


class Iterated:
    """A source over an iterator of sweeps; at most `burst` between two steps, so that training goes on while it reads.

    burst: sweeps that `take` gives before it says None once.
    """

    def __init__(self, sweeps: Iterator[CompactSweep], burst: int = 16):
        self._sweeps, self._burst, self._given = sweeps, burst, 0
        self.received = 0
        self.deaths: list[str] = []
        self._ended = False

    def take(self, timeout: float | None = None) -> CompactSweep | None:
        """See Source; does not wait."""
        if self._ended or self._given >= self._burst:
            self._given = 0
            return None
        sweep = next(self._sweeps, None)
        if sweep is None:
            self._ended = True
            return None
        self._given += 1
        self.received += 1
        return sweep

    @property
    def finished(self) -> bool:
        """See Source."""
        return self._ended

    def __enter__(self) -> Iterated:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def recorded(paths: list[Path], part: int = 0, parts: int = 1) -> Iterator[CompactSweep]:
    """The sweeps of files that training.segmentation.world_sweeps wrote, every `parts`-th from `part` on.

    A file that was cut off gives what it holds whole. Raises ModelError where a path does not exist or holds no sweeps.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(p for p in path.glob("*") if p.suffix in FILE_SUFFIXES) if path.is_dir() else [path]
        if not found or not all(p.is_file() for p in found):
            writer = "python -m training.segmentation.world_sweeps"
            raise ModelError(f"no sweeps at {path}: expected a file of `{writer}`, or a folder")
        files += found
    number = 0
    for path in files:
        with path.open("rb") as file:
            first = True
            while True:
                try:
                    sweep = read_sweep(file)
                except ValueError as error:
                    if first:
                        raise ModelError(f"{path} holds no sweeps: {error}") from None
                    break  # the writer was ended in the middle of one
                if sweep is None:
                    break
                first = False
                if number % parts == part:
                    yield sweep
                number += 1


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """`--workers`-independent options that choose a source."""
    parser.add_argument(
        "--sweeps",
        type=Path,
        nargs="+",
        help="train on recorded sweeps instead (files of training.segmentation.world_sweeps)",
    )
    parser.add_argument("--semantickitti", type=Path, help="train on SemanticKITTI (folder with sequences/) instead")
    parser.add_argument(
        "--label-map", choices=("checkpoints", "official"), default="checkpoints",
        help="SemanticKITTI's ids as classes: as the released checkpoints do, or as its own evaluation does",
    )  # fmt: skip


class Share(Protocol):
    """A process's share of a training: its settings, its place among the processes, and the sweeps taken before."""

    config: Any
    process: Any
    earlier_sweeps: int


def training_sweeps(trainer: Share, options: argparse.Namespace) -> Source:
    """What a process trains on; several processes share the work."""
    config, rank, world = trainer.config, trainer.process.rank, trainer.process.world
    if options.sweeps:
        return Iterated(recorded(options.sweeps, rank, world))
    if options.semantickitti:
        from training.segmentation.semantickitti_data import training_frames

        frames = training_frames(
            options.semantickitti, options.label_map, config.seed + trainer.earlier_sweeps, rank, world
        )
        return Iterated(frames, burst=2 * config.batch)
    arguments = ("--sensors", str(config.sensors), "--moments", str(config.moments))
    first = rank * 300_000 + trainer.earlier_sweeps // max(1, config.sensors * config.moments)
    return SweepStream(options.workers, "train", first=first, options=arguments, ready=4 * options.workers)


def held_out_sweeps(trainer: Share, options: argparse.Namespace) -> Source:
    """What process 0 validates on; nothing elsewhere."""
    count = trainer.config.validation_worlds if trainer.process.rank == 0 else 0
    if options.semantickitti:
        from training.segmentation.semantickitti_data import validation_frames

        return Iterated(validation_frames(options.semantickitti, options.label_map, 3 * count))
    arguments = ("--sensors", "3", "--moments", "1", "--fixed")
    return SweepStream(1 if count else 0, "val", count=count, options=arguments, ready=256)
