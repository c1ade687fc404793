"""Training of SPVCNN and MinkUNet on the embedded driving world, streamed: nothing is stored but the newest sweeps.

    python -m training.segmentation --arch both --minutes 8 --workers 14 --out runs/lite
    python -m training.segmentation --arch both --minutes 24 --stop-after 9 --out runs/lite2 --resume runs/lite
    torchrun --nproc-per-node 2 -m training.segmentation …          (each process with its own generators)

Generator processes drive through endless worlds (`world_sweeps`), a buffer keeps the newest sweeps, every step draws
some, augments them, voxelises them and builds the kernel maps (on the GPU where there is one), and teaches one or both
architectures on the same batch. The schedule follows wall time: `--minutes` is the whole training, over however many
calls; `--stop-after` ends this call. Checkpoints hold the averaged weights too, which `training.segmentation.evaluate`
releases. The loop is training/common/loop.py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.facts import ModelFacts, load_facts, load_network
from models.spvcnn.build import build_network, facts_of, spec_of
from models.spvcnn.presets import PRESETS, NetworkSpec
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.common import loop, randomness
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.trainee import Trainee
from training.segmentation.augment import AugmentConfig, augment, without_ignored
from training.segmentation.losses import class_weights, segmentation_loss
from training.segmentation.sources import Source, add_source_options, held_out_sweeps, training_sweeps
from training.segmentation.sweep_buffer import SweepBuffer, compact
from training.segmentation.teacher import Teacher, distance
from training.segmentation.validation import prepared, run, score
from training.segmentation.voxels import VoxelBatch, in_range, voxel_batch

ARCHITECTURES = {"spvcnn": ("spvcnn-lite",), "minkunet": ("minkunet-lite",), "both": ("spvcnn-lite", "minkunet-lite")}
ALONE = Process()


@dataclass(frozen=True)
class TrainConfig(loop.LoopConfig):
    """batch: sweeps per step · first_batch: sweeps in the buffer before training starts · capacity: sweeps kept ·
    validation_worlds: held-out worlds, three sensors each · rarity, rarest: exponent and limit of the class weights
    (losses.class_weights) · lovasz: its weight in the loss · distil: share of the loss that is the distance to a
    teacher's logits, where there is a teacher · bf16: mixed precision on GPUs · sensors, moments: of each world."""

    batch: int = 10
    first_batch: int = 24
    capacity: int = 6000
    validation_worlds: int = 10
    validate_minutes: float = 2.0
    rarity: float = 0.45
    rarest: float = 12.0
    lovasz: float = 1.0
    distil: float = 0.5
    bf16: bool = True
    sensors: int = 3
    moments: int = 6
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class Trainer(loop.Trainer):
    """Trains one or several networks on the same batches.

    models: presets by name, or facts (their `name` names the checkpoint) · start: model folder whose weights the first
    network starts from. The first one's input spec is used. `options` (sources.add_source_options) says which sweeps
    the loop takes; without it they are those that were put into `buffer`.
    """

    config: TrainConfig

    def __init__(
        self,
        models: Sequence[str | ModelFacts],
        config: TrainConfig,
        process: Process = ALONE,
        start: Path | None = None,
    ):
        self.facts = [facts_of(PRESETS[m], m) if isinstance(m, str) else m for m in models]
        self.spec: NetworkSpec = spec_of(self.facts[0])
        self.device = process.device
        super().__init__(config, [self._trainee(facts, config, process) for facts in self.facts], process)
        self.start = start.name if start is not None else None
        if start is not None:
            self.trainees[0].restart(load_network(start)[0].state_dict(), str(start))
        self.buffer = SweepBuffer(config.capacity, self.device, len(POINT_CLASSES))
        self.draws = torch.Generator().manual_seed(config.seed * 1000 + process.rank)
        self.noise = torch.Generator(device=self.device).manual_seed(config.seed * 1000 + 500 + process.rank)
        self.earlier_sweeps = 0  # taken from sources in earlier calls
        self.teacher: Teacher | None = None  # whose logits the networks learn from, beside the labels
        self.options: argparse.Namespace | None = None
        self._source: Source | None = None
        self._held_source: Source | None = None
        self._held: list[tuple[str, Any]] = []
        self._opened = ExitStack()
        self._begun = False  # this call has had enough sweeps to begin with

    def _trainee(self, facts: ModelFacts, config: TrainConfig, process: Process) -> Trainee:
        network = build_network(facts, seed=config.seed).to(process.device).train()
        return Trainee(facts.name, network, config.optimiser, process.parallel(network))

    def __enter__(self) -> Trainer:
        if self.options is not None:
            self._source = self._opened.enter_context(training_sweeps(self, self.options))
            self._held_source = self._opened.enter_context(held_out_sweeps(self, self.options))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def collect(self) -> bool:
        """Moves waiting sweeps into the buffer; waits a moment for one where there are too few to begin with."""
        source, held_source = self._source, self._held_source
        if source is None or held_source is None:
            return len(self.buffer) > 0
        for i in range(64):
            sweep = source.take(timeout=0.0 if self._begun or i else 0.5)
            if sweep is None:
                break
            self.buffer.add(sweep)
        while (held := held_source.take(timeout=0.0)) is not None:
            self._held.append((held.pattern, compact(held, self.device)))
        enough = len(self.buffer) >= min(self.config.first_batch, self.config.capacity)
        self._begun = self._begun or enough or (source.finished and len(self.buffer) > 0)
        return self._begun

    @property
    def exhausted(self) -> bool:
        """True where the source ended without a sweep."""
        return self._source is not None and self._source.finished and not len(self.buffer)

    def batch(self) -> VoxelBatch:
        """A fresh augmented batch."""
        points = self.buffer.draw(self.config.batch, self.draws)
        points = without_ignored(augment(points, self.config.augment, self.noise), 0.5, self.noise)
        return voxel_batch(in_range(points, self.spec), self.spec)

    def class_weights(self) -> Tensor:
        """Of the classes seen so far, float32 [classes]."""
        return class_weights(self.buffer.counts, self.config.rarity, self.config.rarest).float().to(self.device)

    def step(self, progress: float) -> dict[str, float]:
        """One optimiser step of every network on one batch; losses by name."""
        data = self.batch()
        weights = self.class_weights()
        losses = {}
        taught = self.teacher(data) if self.teacher is not None else None
        for trainee in self.trainees:
            trainee.forward.train()
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.config.bf16 and self.device.type == "cuda"
            ):
                logits = run(trainee.forward, trainee.network, data)
            loss = segmentation_loss(logits, data.labels, weights, IGNORE, self.config.lovasz)
            if taught is not None:
                loss = (1 - self.config.distil) * loss + self.config.distil * distance(logits, taught)
            losses[trainee.name] = float(loss.detach()) if trainee.learn(loss, progress) else float("nan")
        return losses

    def validate(self) -> dict[str, Any]:
        """Scores on the held-out sweeps that have come so far."""
        return self.scores(self._held) if self._held else {}

    def scores(self, sweeps: list[tuple[str, Any]]) -> dict[str, Any]:
        """Point-level scores of the averaged weights on sweeps: {name: {miou, iou, by_pattern}}."""
        out: dict[str, Any] = {}
        held = prepared(sweeps, self.spec)
        for trainee in self.trainees:
            with trainee.averaged() as network:
                out[trainee.name] = score(network, held, self.config.bf16)
        return out

    def status(self) -> dict[str, Any]:
        """Sweeps taken so far, sweeps in the buffer, generators that died."""
        deaths = self._source.deaths if self._source is not None else []
        return {"sweeps": self._sweeps(), "buffer": len(self.buffer), "deaths": len(deaths)}

    def notes(self) -> dict[str, Any]:
        """Sweeps taken, labels counted, the networks' numbers, states of the random generators."""
        return {
            "sweeps": self._sweeps(),
            "start": self.start,
            "counts": self.buffer.counts.tolist(),
            "networks": {f.name: {"architecture": f.architecture, "network": f.network} for f in self.facts},
            "rng": randomness.states_of(self._generators()),
        }

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer; processes other than the first draw what no earlier process has drawn."""
        self.earlier_sweeps = int(notes["sweeps"])
        self.start = notes.get("start", self.start)
        self.buffer.counts += torch.tensor(notes["counts"], dtype=torch.float64)
        rank = self.process.rank
        fresh = self.config.seed + int(self.elapsed) * 7919 + rank if rank else None
        randomness.restore(self._generators(), notes["rng"], fresh)

    def _sweeps(self) -> int:
        return self.earlier_sweeps + (self._source.received if self._source is not None else 0)

    def _generators(self) -> dict[str, randomness.Generator]:
        """Everything random, by name."""
        return {"draws": self.draws, "noise": self.noise, "dropout": self.device.type}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of every training on sweeps, beside the common ones."""
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that generate sweeps"
    )
    add_source_options(parser)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("segmentation", __doc__, minutes=8.0)
    parser.add_argument("--arch", choices=sorted({*ARCHITECTURES, *PRESETS}), default="spvcnn")
    parser.add_argument("--model", type=Path, help="train this model folder on, instead of --arch (weights and widths)")
    parser.add_argument("--name", help="what the checkpoint of --model is called (default: the model's name)")
    parser.add_argument("--teacher", help="model whose logits to learn from beside the labels (config: distil)")
    add_options(parser)
    options = parser.parse_args(arguments)

    def make(config: TrainConfig, process: Process) -> Trainer:
        models: Sequence[str | ModelFacts] = ARCHITECTURES.get(options.arch, (options.arch,))
        if options.model:
            facts = load_facts(options.model)
            models = [replace(facts, name=options.name or facts.name)]
        trainer = Trainer(models, config, process, options.model)
        if options.teacher:
            trainer.teacher = Teacher(options.teacher, trainer.spec, process.device)
        trainer.options = options
        return trainer

    return launch(make, TrainConfig(), options)
