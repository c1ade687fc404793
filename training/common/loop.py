"""The one training loop: take new data, step, log, save, validate, stop in time. The trainer of every task runs in it.

A schedule is a number of steps or of minutes and may be split over several calls: `Trainer.resume` continues a stopped
run. Several processes all leave the loop at the same step; the first one writes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.common.log import MetricsLog, Smoothed
from training.common.processes import Process, hardware
from training.common.trainee import OptimiserConfig, Trainee

LONGEST_STEP = 120.0  # s of a step that count: a stopped process (SIGSTOP) does not use up its schedule


@dataclass(frozen=True)
class LoopConfig:
    """What every training's config has.

    steps: length of the whole schedule, 0: it has a length in minutes · checkpoint_minutes, validate_minutes: time
    between them (validate_minutes 0: only at the end) · threads: of torch, 0: its own choice.
    """

    steps: int = 0
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 2.0
    validate_minutes: float = 0.0
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


@dataclass(frozen=True)
class Limits:
    """How long a call may take.

    minutes: length of the whole schedule where the config has no steps · stop_after: minutes after which this call
    ends, 0: no limit · report_every: seconds between two lines of progress.
    """

    minutes: float = 0.0
    stop_after: float = 0.0
    report_every: float = 10.0


class Trainer:
    """What the loop drives: one or several networks (`trainees`) that learn from the same batches.

    A room's trainer overrides `step` and, where it needs them, the other methods down to `restore`.
    elapsed, cpu_seconds: seconds of training and of CPU time, over all calls.
    """

    def __init__(self, config: Any, trainees: Sequence[Trainee], process: Process):
        self.config, self.trainees, self.process = config, list(trainees), process
        self.elapsed = self.cpu_seconds = 0.0

    def step(self, progress: float) -> dict[str, float]:
        """One optimiser step of every network at `progress` 0..1 of the schedule; losses by name, NaN where skipped."""
        raise NotImplementedError

    def collect(self) -> bool:
        """Takes up new data; False where there is nothing to learn from yet. May wait a moment."""
        return True

    @property
    def exhausted(self) -> bool:
        """True where no data are left and none will come."""
        return False

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on held-out data; {} where there are none."""
        return {}

    def status(self) -> dict[str, Any]:
        """Numbers for the log and the line of progress, e.g. how much data there is."""
        return {}

    def notes(self) -> dict[str, Any]:
        """What a checkpoint keeps beside weights and counters (JSON)."""
        return {}

    def restore(self, notes: dict[str, Any]) -> None:
        """Takes back what `notes` gave."""

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what the training started (processes, threads)."""

    @property
    def step_number(self) -> int:
        """Steps taken, the skipped ones too."""
        return self.trainees[0].step_count + self.trainees[0].skipped

    def save(self, out: Path) -> None:
        """Checkpoints of every network: `<name>.checkpoint.safetensors` and `<name>.optimiser.safetensors`."""
        notes = {"elapsed": round(self.elapsed, 2), "cpu_seconds": round(self.cpu_seconds, 1), "hardware": hardware()}
        notes |= {"config": asdict(self.config), "processes": self.process.world, **self.notes()}
        for trainee in self.trainees:
            trainee.save(out, notes)

    def resume(self, folder: Path) -> dict[str, Any]:
        """Goes on from the checkpoints in `folder`; their notes. Raises ModelError."""
        notes: dict[str, Any] = {}
        for trainee in self.trainees:
            notes = trainee.load(folder)
        self.elapsed = float(notes.get("elapsed", 0.0))
        self.cpu_seconds = float(notes.get("cpu_seconds", 0.0))
        self.restore(notes)
        return notes

    def progress(self, minutes: float) -> float:
        """Place in the schedule, 0..1: by steps where the config has them, else by `minutes`."""
        if self.config.steps:
            return self.step_number / self.config.steps
        return self.elapsed / max(60.0 * minutes, 1e-9)


def train(trainer: Trainer, out: Path, limits: Limits = Limits()) -> list[dict[str, float]]:
    """Trains until the schedule's end, `limits.stop_after` or the end of the data; the losses of this call's steps."""
    config, process, first = trainer.config, trainer.process, trainer.process.rank == 0
    out.mkdir(parents=True, exist_ok=True)
    losses: list[dict[str, float]] = []
    recent = Smoothed()
    with MetricsLog(out, first) as log, trainer:
        log.write(config=asdict(config), limits=asdict(limits), processes=process.world, device=str(process.device))
        begun = last = time.monotonic()
        cpu, training_since = time.process_time(), 0.0
        reported, saved, validated = -1e9, trainer.elapsed, trainer.elapsed
        while True:
            ready = trainer.collect()
            now, used = time.monotonic(), time.process_time()
            late = limits.stop_after > 0 and now - begun > 60.0 * limits.stop_after
            if process.any(late or trainer.exhausted):
                break
            if process.any(not ready):
                last, cpu = now, used
                continue
            if not losses:
                training_since = now
            trainer.elapsed += min(now - last, LONGEST_STEP)
            trainer.cpu_seconds += used - cpu
            last, cpu = now, used
            if process.any(trainer.progress(limits.minutes) >= 1.0):
                break
            losses.append(trainer.step(trainer.progress(limits.minutes)))
            recent.add(losses[-1])
            rate = len(losses) / max(time.monotonic() - training_since, 1e-6)
            if now - reported >= limits.report_every:
                reported = now
                _report(trainer, log, recent, losses[-1], rate, limits)
            if first and trainer.elapsed - saved > 60.0 * config.checkpoint_minutes:
                saved = trainer.elapsed
                trainer.save(out)
            if first and 0 < 60.0 * config.validate_minutes < trainer.elapsed - validated:
                validated = trainer.elapsed
                _validate(trainer, log)
        if first:
            trainer.save(out)
        if losses:
            _report(trainer, log, recent, losses[-1], rate, limits)
        if first and trainer.progress(limits.minutes) >= 1.0:
            _validate(trainer, log)
        log.write(ended=round(time.monotonic() - begun, 1), steps=len(losses), status=trainer.status())
    return losses


def _report(
    trainer: Trainer, log: MetricsLog, recent: Smoothed, newest: dict[str, float], rate: float, limits: Limits
) -> None:
    status, config = trainer.status(), trainer.config
    log.write(step=trainer.step_number, seconds=round(trainer.elapsed, 1), cpu_seconds=round(trainer.cpu_seconds, 1),
              loss=recent.values, newest=newest, steps_per_s=round(rate, 4),
              skipped=[t.skipped for t in trainer.trainees], **status)  # fmt: skip
    done = f"{trainer.step_number}/{config.steps}" if config.steps else f"{trainer.elapsed:.0f} s"
    told = [f"{name} {value:.3f}" for name, value in recent.values.items()]
    told += [f"{name} {value}" for name, value in status.items() if isinstance(value, (int, float)) and value]
    log.show(trainer.progress(limits.minutes), f"{done}  {rate:.2f} steps/s  {'  '.join(told)}")


@torch.no_grad()
def _validate(trainer: Trainer, log: MetricsLog) -> None:
    scores = trainer.validate()
    if scores:
        log.write(step=trainer.step_number, seconds=round(trainer.elapsed, 1), validation=scores)
        for name, found in scores.items():
            numbers = found.items() if isinstance(found, dict) else [(name, found)]
            told = ", ".join(f"{k} {v:.3f}" for k, v in numbers if isinstance(v, float))
            log.say(f"  validation of {name}: {told}")
