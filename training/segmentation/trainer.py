"""Training of SPVCNN and MinkUNet on the embedded driving world, streamed: nothing is stored but the newest sweeps.

    python -m training.segmentation --arch both --minutes 8 --workers 14 --out runs/lite
    python -m training.segmentation --arch both --minutes 24 --stop-after 9 --out runs/lite2 --resume runs/lite
    torchrun --nproc-per-node 2 -m training.segmentation …          (each process with its own generators)

Generator processes drive through endless worlds (`world_sweeps`), a replay buffer keeps the newest sweeps, every step
draws some, augments them, voxelises them and builds the kernel maps (on the GPU where there is one), and teaches one or
both architectures on the same batch. The schedule follows wall time: `--minutes` is the whole training, over however
many calls; `--stop-after` ends this call. Every two minutes a checkpoint; they hold
the averaged weights too, which `training.segmentation.evaluate` releases.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.facts import ModelError, ModelFacts, load_facts, load_network
from models.spvcnn.build import build_network, facts_of, spec_of
from models.spvcnn.presets import PRESETS, NetworkSpec
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.common.config_files import load_yaml_config
from training.common.trainee import OptimiserConfig, Trainee
from training.segmentation.augment import AugmentConfig, augment, without_ignored
from training.segmentation.losses import class_weights, segmentation_loss
from training.segmentation.sources import Source, add_source_options, held_out_sweeps, training_sweeps
from training.segmentation.sweep_buffer import Replay, compact
from training.segmentation.teacher import Teacher, distance
from training.segmentation.validation import prepared, run, score
from training.segmentation.voxels import VoxelBatch, in_range, voxel_batch

ARCHITECTURES = {"spvcnn": ("spvcnn-lite",), "minkunet": ("minkunet-lite",), "both": ("spvcnn-lite", "minkunet-lite")}


@dataclass(frozen=True)
class TrainConfig:
    """batch: sweeps per step · first_batch: sweeps in the buffer before training starts · capacity: sweeps kept ·
    validation_worlds: held-out worlds, three sensors each · rarity, rarest: exponent and limit of the class weights
    (losses.class_weights) · lovasz: its weight in the loss · distil: share of the loss that is the distance to a
    teacher's logits, where there is a teacher · bf16: mixed precision."""

    batch: int = 10
    first_batch: int = 24
    capacity: int = 6000
    validation_worlds: int = 10
    checkpoint_minutes: float = 2.0
    validate_minutes: float = 2.0
    rarity: float = 0.45
    rarest: float = 12.0
    lovasz: float = 1.0
    distil: float = 0.5
    bf16: bool = True
    seed: int = 0
    sensors: int = 3
    moments: int = 6
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class Trainer:
    """Trains one or several networks on the same batches.

    models: presets by name, or facts (their `name` names the checkpoint) · start: model folder whose weights the first
    network starts from. The first one's input spec is used.
    """

    def __init__(
        self,
        models: Sequence[str | ModelFacts],
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        start: Path | None = None,
    ):
        self.config, self.device, self.rank, self.world = config, device, rank, world
        self.facts = [facts_of(PRESETS[m], m) if isinstance(m, str) else m for m in models]
        self.spec: NetworkSpec = spec_of(self.facts[0])
        self.trainees = [self._trainee(facts) for facts in self.facts]
        self.start = start.name if start is not None else None
        if start is not None:
            self.trainees[0].restart(load_network(start)[0].state_dict(), str(start))
        self.replay = Replay(config.capacity, device, len(POINT_CLASSES))
        self.draws = torch.Generator().manual_seed(config.seed * 1000 + rank)
        self.noise = torch.Generator(device=device).manual_seed(config.seed * 1000 + 500 + rank)
        self.elapsed = 0.0  # seconds of training, over all calls
        self.worlds = 0  # sweeps taken from the stream before this call
        self.teacher: Teacher | None = None  # whose logits the networks learn from, beside the labels

    def _trainee(self, facts: ModelFacts) -> Trainee:
        network = build_network(facts, seed=self.config.seed).to(self.device).train()
        wrapped = None
        if self.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            wrapped = torch.nn.parallel.DistributedDataParallel(network, device_ids=ids)
        return Trainee(facts.name, network, self.config.optimiser, wrapped)

    def batch(self) -> VoxelBatch:
        """A fresh augmented batch."""
        points = self.replay.draw(self.config.batch, self.draws)
        points = without_ignored(augment(points, self.config.augment, self.noise), 0.5, self.noise)
        return voxel_batch(in_range(points, self.spec), self.spec)

    def class_weights(self) -> Tensor:
        """Of the classes seen so far, float32 [classes]."""
        return class_weights(self.replay.counts, self.config.rarity, self.config.rarest).float().to(self.device)

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

    def validate(self, sweeps: list[tuple[str, Any]]) -> dict[str, Any]:
        """Point-level scores of the averaged weights on held-out sweeps: {name: {miou, iou, by_pattern}}."""
        out: dict[str, Any] = {}
        held = prepared(sweeps, self.spec)
        for trainee in self.trainees:
            with trainee.averaged() as network:
                out[trainee.name] = score(network, held, self.config.bf16)
        return out

    def save(self, out: Path, minutes: float, stream_received: int, **more: Any) -> None:
        """Checkpoints `<name>.checkpoint.safetensors` of every network; `more` goes into their notes."""
        notes = {"elapsed": self.elapsed, "minutes": minutes, "sweeps": self.worlds + stream_received, **more}
        notes["start"] = self.start
        notes["counts"] = self.replay.counts.tolist()
        notes["networks"] = {f.name: {"architecture": f.architecture, "network": f.network} for f in self.facts}
        notes["rng"] = {name: _state(generator).hex() for name, generator in self._generators().items()}
        for trainee in self.trainees:
            trainee.save(out, notes)

    def resume(self, folder: Path) -> dict[str, Any]:
        """Continues from another run's folder; its notes."""
        for trainee in self.trainees:
            notes = trainee.load(folder)
        self.elapsed, self.worlds = float(notes["elapsed"]), int(notes["sweeps"])
        self.start = notes.get("start", self.start)
        self.replay.counts += torch.tensor(notes["counts"], dtype=torch.float64)
        fresh = self.config.seed + int(self.elapsed) * 7919 + self.rank  # draws that no earlier process has had
        for name, generator in self._generators().items():
            state = torch.frombuffer(bytearray.fromhex(notes["rng"][name]), dtype=torch.uint8)
            if self.rank == 0 and len(state) == len(_state(generator)):
                _restore(generator, state)
            elif isinstance(generator, torch.Generator):  # the states that were kept are process 0's
                generator.manual_seed(fresh)
            else:  # or of another kind of device
                torch.manual_seed(fresh)
        return notes

    def _generators(self) -> dict[str, torch.Generator | str]:
        """Everything random, by name; "cpu" and "cuda" are torch's own generators (dropout)."""
        return {"draws": self.draws, "noise": self.noise, "dropout": self.device.type}


def _state(generator: torch.Generator | str) -> bytes:
    if isinstance(generator, torch.Generator):
        state = generator.get_state()
    else:
        state = torch.cuda.get_rng_state() if generator == "cuda" else torch.get_rng_state()
    return state.numpy().tobytes()


def _restore(generator: torch.Generator | str, state: torch.Tensor) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif generator == "cuda":
        torch.cuda.set_rng_state(state)
    else:
        torch.set_rng_state(state)


def train(trainer: Trainer, options: argparse.Namespace, out: Path, started: float) -> None:
    """The loop: take what the generators made, step, save, validate, stop in time."""
    config = trainer.config
    budget = options.minutes * 60.0
    deadline = started + options.stop_after * 60.0 if options.stop_after else float("inf")
    held: list[tuple[str, Any]] = []
    log = (out / "metrics.jsonl").open("a")

    def note(**what: Any) -> None:
        log.write(json.dumps(what) + "\n")
        log.flush()

    note(config=asdict(config), device=str(trainer.device), minutes=options.minutes, workers=options.workers)

    with training_sweeps(trainer, options) as stream, held_out_sweeps(trainer, options) as held_out:
        begun: float | None = None
        steps, last, spoken = 0, time.monotonic(), 0.0
        recent: dict[str, float] = {}
        saved = validated = trainer.elapsed
        while True:
            _collect(stream, trainer, wait=begun is None)
            _collect_validation(held_out, held, trainer.device)
            now = time.monotonic()
            if _any_process(now > deadline or (stream.finished and not len(trainer.replay)), trainer.device):
                break
            if begun is None:
                few = len(trainer.replay) < min(config.first_batch, config.capacity) and not stream.finished
                if _any_process(few, trainer.device):
                    last = now
                    continue
                begun = now
                print(f"first {len(trainer.replay)} sweeps after {now - started:.0f} s", flush=True)
            trainer.elapsed += now - last
            last = now
            if _any_process(trainer.elapsed >= budget, trainer.device):
                break
            losses = trainer.step(trainer.elapsed / budget)
            steps += 1
            for name, loss in losses.items():
                if loss == loss:
                    recent[name] = 0.95 * recent.get(name, loss) + 0.05 * loss
            if now - spoken > options.speak:
                spoken = now
                note(**_progress(trainer, stream, recent, steps, now - begun))
                if trainer.rank == 0:
                    _show(trainer, budget, recent, steps / max(now - begun, 1.0), stream)
            if trainer.rank == 0 and trainer.elapsed - saved > config.checkpoint_minutes * 60:
                saved = trainer.elapsed
                trainer.save(out, options.minutes, stream.received)
            ready = held and held_out.finished
            if ready and trainer.elapsed - validated > config.validate_minutes * 60:
                validated = trainer.elapsed
                _report(trainer, held, note)
        if trainer.rank == 0:
            trainer.save(out, options.minutes, stream.received)
            if held:
                _report(trainer, held, note)
        note(ended=round(time.monotonic() - started, 1), steps=steps, sweeps=stream.received, deaths=stream.deaths[:3])
    log.close()


def _progress(trainer: Trainer, stream: Source, recent: dict[str, float], steps: int, seconds: float) -> dict[str, Any]:
    """A line of the log."""
    return {
        "seconds": round(trainer.elapsed, 1),
        "steps": steps,
        "loss": recent,
        "sweeps": stream.received,
        "steps_per_s": round(steps / max(seconds, 1.0), 2),
        "buffer": len(trainer.replay),
        "skipped": [t.skipped for t in trainer.trainees],
        "deaths": len(stream.deaths),
    }


def _any_process(flag: bool, device: torch.device) -> bool:
    """True on every process where it is on one: all leave the loop at the same step."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flag
    shared = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
    return bool(shared > 0)


def _collect(stream: Source, trainer: Trainer, wait: bool) -> None:
    """Moves waiting sweeps into the buffer; waits a moment for one where there is nothing to train on yet."""
    for _ in range(64):
        sweep = stream.take(timeout=0.5 if wait else 0.0)
        if sweep is None:
            return
        trainer.replay.add(sweep)
        wait = False


def _collect_validation(stream: Source, held: list[tuple[str, Any]], device: torch.device) -> None:
    while (sweep := stream.take(timeout=0.0)) is not None:
        held.append((sweep.pattern, compact(sweep, device)))


def _show(trainer: Trainer, budget: float, recent: dict[str, float], rate: float, stream: Source) -> None:
    """One line of progress with a bar."""
    share = min(trainer.elapsed / budget, 1.0)
    bar = "#" * int(24 * share) + "." * (24 - int(24 * share))
    losses = "  ".join(f"{name} {loss:.3f}" for name, loss in recent.items())
    print(f"[{bar}] {trainer.elapsed:5.0f} s  {rate:.2f} steps/s  {stream.received} sweeps  {losses}", flush=True)


def _report(trainer: Trainer, held: list[tuple[str, Any]], note: Any) -> None:
    scores = trainer.validate(held)
    note(seconds=round(trainer.elapsed, 1), validation=scores, sweeps=len(held))
    for name, found in scores.items():
        print(f"  validation {name}: mIoU {found['miou']:.3f}  {found['by_pattern']}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m training.segmentation", description=__doc__.split("\n")[0])
    parser.add_argument("--arch", choices=sorted({*ARCHITECTURES, *PRESETS}), default="spvcnn")
    parser.add_argument("--model", type=Path, help="train this model folder on, instead of --arch (weights and widths)")
    parser.add_argument("--name", help="what the checkpoint of --model is called (default: the model's name)")
    parser.add_argument("--teacher", help="model whose logits to learn from beside the labels (config: distil)")
    add_options(parser)
    options = parser.parse_args(arguments)

    def make(config: TrainConfig, device: torch.device, rank: int, world: int) -> Trainer:
        models: Sequence[str | ModelFacts] = ARCHITECTURES.get(options.arch, (options.arch,))
        if options.model:
            facts = load_facts(options.model)
            models = [replace(facts, name=options.name or facts.name)]
        trainer = Trainer(models, config, device, rank, world, options.model)
        if options.teacher:
            trainer.teacher = Teacher(options.teacher, trainer.spec, device)
        return trainer

    return launch(make, TrainConfig(), options, started)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that every training of this family has."""
    parser.add_argument("--config", help="YAML over the defaults (config/training/*.yaml)")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints, weights, metrics.jsonl")
    parser.add_argument("--resume", type=Path, help="--out folder of an earlier call")
    parser.add_argument("--minutes", type=float, default=8.0, help="training time of the whole schedule")
    parser.add_argument(
        "--stop-after", type=float, default=0.0, help="end this call after so many minutes (0: no limit)"
    )
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--speak", type=float, default=10.0, help="seconds between lines of progress")
    add_source_options(parser)


def launch(make: Callable[..., Trainer], config: TrainConfig, options: argparse.Namespace, started: float) -> int:
    """Trains what `make(config, device, rank, world)` gives, in this process or as one of torchrun's. Exit code."""
    try:
        config = load_yaml_config(config, options.config)
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = torch.device("cpu")
        if options.device == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if world > 1:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        torch.manual_seed(config.seed + rank)
        torch.backends.cuda.matmul.allow_tf32 = True
        options.out.mkdir(parents=True, exist_ok=True)
        trainer = make(config, device, rank, world)
        if options.resume:
            trainer.resume(options.resume)
        train(trainer, options, options.out, started)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0
