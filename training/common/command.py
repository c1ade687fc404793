"""The command line that every training has, and how it starts: config, processes, resuming, the loop."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.facts import ModelError
from training.common.config_files import load_yaml_config, with_settings
from training.common.loop import Limits, Trainer, train
from training.common.processes import Process

HERE = Path("--out")  # `--resume` without a folder


def training_parser(room: str, description: str, minutes: float = 0.0) -> argparse.ArgumentParser:
    """A parser with the options of every training. minutes: default length of the schedule."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{room}", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--config", help="YAML over the defaults: see config/training")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="over the config, e.g. optimiser.lr=0.001")
    add("--out", type=Path, required=True, help="folder for checkpoints and metrics.jsonl")
    add("--resume", type=Path, nargs="?", const=HERE, help="folder of a run to go on with (default: --out)")
    add("--steps", type=int, help="length of the whole schedule in steps (over the config's)")
    add("--minutes", type=float, default=minutes, help="its length in minutes where it has none in steps")
    add("--stop-after", type=float, default=0.0, help="minutes after which this call ends (0: no limit)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--threads", type=int, help="CPU threads of torch in each process")
    add("--report-every", type=float, default=10.0, help="seconds between two lines of progress")
    add("--speak", action=Renamed, new="--report-every", help=argparse.SUPPRESS)
    return parser


class Renamed(argparse.Action):
    """An option that has another name now: it is refused with the new one."""

    def __init__(self, *arguments: Any, new: str, **options: Any):
        super().__init__(*arguments, **options)
        self.new = new

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error(f"{self.option_strings[0]} has another name now: type {self.new}")


def launch(make: Callable[[Any, Process], Trainer], config: Any, options: argparse.Namespace) -> int:
    """Trains what `make(config, process)` gives, alone or as one of torchrun's processes. Exit code.

    config: the room's defaults; `--config`, `--set`, `--steps` and `--threads` go over them.
    """
    import torch

    process = Process()
    try:
        config = with_settings(load_yaml_config(config, options.config), options.set)
        if options.steps is not None:
            config = replace(config, steps=options.steps)
        if options.threads is not None:
            config = replace(config, threads=options.threads)
        if config.threads:
            torch.set_num_threads(config.threads)
        if not config.steps and options.minutes <= 0:
            raise ModelError("the schedule has no length: give --steps or --minutes")
        process = Process.start(options.device)
        torch.manual_seed(config.seed + process.rank)
        trainer = make(config, process)
        if options.resume:
            trainer.resume(options.out if options.resume == HERE else options.resume)
        train(trainer, options.out, Limits(options.minutes, options.stop_after, options.report_every))
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        process.leave()
    return 0
