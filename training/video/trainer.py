"""Training of video networks (TSM offline and online, TSN, 3D, CNN+LSTM, two-stream) on clips.

    python -m training.video --model tsm-events-online --config config/training/tsm_events.yaml --out runs/tsm
    python -m training.video --model tsm-resnet50-something --list train.txt --root frames --template something \\
        --config config/training/tsm_something.yaml --out runs/something
    torchrun --nproc-per-node 2 -m training.video …    (one machine; --nnodes, --node-rank, --rdzv-endpoint for more)

Without `--list` the clips are the rendered cache's (training.video.world). Step k of a run draws the same clips with
the same augmentation however many processes share them, and a resumed run draws what the interrupted one would have:
the batch follows from (seed, k) alone, each process takes its part. With batch norms frozen (or "sync" on GPUs) and no
dropout, any number of processes gives the losses of one (`python -m training.video.processes` shows it).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.facts import ModelError, ModelFacts
from models.tsm.build import build_network, facts_of
from models.tsm.presets import PRESETS
from training.common.config_files import merged
from training.video.clip_augment import augment
from training.video.clips import Clips, EventClips, ListClips
from training.video.config import VideoTrainConfig, load_config
from training.video.frame_lists import TEMPLATES
from training.video.motion import cell_flow, motion_loss
from training.video.start import start_from, state_of
from training.video.trainee import ClipTrainee, Supervised, clip_loss, motion_reader, prepare

PERIOD = 0.2  # s between frames of the cache


@dataclass(frozen=True)
class Process:
    """This process among all: rank, how many, device."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @staticmethod
    def start(device: str) -> Process:
        """Joins the group where torchrun started this process (nccl on GPUs, gloo on CPUs)."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
        if world > 1:
            torch.distributed.init_process_group("nccl" if cuda else "gloo")
        return Process(rank, world, torch.device("cuda", local) if cuda else torch.device("cpu"))

    def mean(self, value: float) -> float:
        """The mean over the processes."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device, dtype=torch.float64)
        torch.distributed.all_reduce(shared)
        return float(shared) / self.world


def network_facts(name: str, config: VideoTrainConfig, classes: tuple[str, ...] | None = None) -> ModelFacts:
    """Facts of preset `name` with the config's size, segments and dropout, and other classes where given."""
    if name not in PRESETS:
        raise ModelError(f"no preset {name!r}; known: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    names = classes or preset.classes
    spec = replace(preset.spec, segments=config.segments, dropout=config.dropout, num_classes=len(names))
    image = dict(preset.image, size=list(config.size), taught=config.supervise)
    if classes is None and name in events_presets():
        image["period_s"] = PERIOD
    return facts_of(spec, name, names, image)


def events_presets() -> tuple[str, ...]:
    """Presets whose classes are the driving events."""
    return tuple(n for n, p in PRESETS.items() if p.classes[0] == "none")


class VideoTrainer:
    """One network, its clips and its steps."""

    def __init__(self, name: str, config: VideoTrainConfig, clips: Clips, facts: ModelFacts, process: Process):
        if config.batch % process.world:
            raise ModelError(f"batch is {config.batch}: it must divide among {process.world} processes")
        self.config, self.clips, self.facts, self.process = config, clips, facts, process
        network = build_network(facts, seed=config.seed)
        if config.imagenet:
            from models.tsm.imagenet import load_imagenet

            load_imagenet(network)
        self.sees_flow = network.spec.in_channels > 3
        if config.norm == "sync":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        network = network.to(process.device)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        prepare(network, config)
        reader = motion_reader(network).to(process.device) if config.motion > 0 else None
        supervised: nn.Module = Supervised(network, config.supervise, reader)
        if process.world > 1:
            ids = [process.device.index] if process.device.type == "cuda" else None
            supervised = nn.parallel.DistributedDataParallel(supervised, device_ids=ids, broadcast_buffers=False)
        self.trainee = ClipTrainee(name, network, config.optimiser, supervised, reader)
        self.elapsed = 0.0
        self.motion: Tensor | None = None  # the newest loss of the lesson of motion

    @property
    def step_number(self) -> int:
        """Steps taken, skipped ones too."""
        return self.trainee.step_count + self.trainee.skipped

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """This process's part of batch `step`: clips uint8 [n, T, H, W, 3], labels int64 [n, T]."""
        each = self.config.batch // self.process.world
        rows = [self.sample(step, self.process.rank * each + i) for i in range(each)]
        return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])

    def sample(self, step: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Clip `index` of batch `step`, augmented."""
        rng = np.random.default_rng((self.config.seed, step, index))
        found = self.clips.draw(rng)
        return augment(found.clip, found.labels, self.config.size, self.config.augment, rng, self.clips.flip_labels)

    def batches(self, first: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches from `first` on; the next is made while one is learnt."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.batch, first)
            for step in range(first + 1, self.config.steps + 1):
                found = waiting.result()
                waiting = pool.submit(self.batch, step)
                yield found
            waiting.cancel()

    def tensor(self, clips: np.ndarray) -> Tensor:
        """Clips uint8 [N, T, H, W, 3] -> normalised float32 [N, T, C, H, W], channels last in memory; where the network
        has a second stream, C = 13: the optical flow of the clip follows."""
        image = self.facts.image or {}
        mean = torch.tensor(image["mean"], device=self.process.device) * 255
        scale = 1.0 / (torch.tensor(image["std"], device=self.process.device) * 255)
        x = (torch.from_numpy(clips).to(self.process.device).float() - mean) * scale
        if self.sees_flow:
            from models.tsm.flow import flow_of_clip

            flow = np.stack([flow_of_clip(c) for c in clips]).transpose(0, 1, 3, 4, 2)
            x = torch.cat([x, torch.from_numpy(flow).to(x.device)], -1)
        return x.permute(0, 1, 4, 2, 3)

    def step(self, clips: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """One optimiser step; (loss, share of clips right at their last frame) over all processes."""
        config = self.config
        torch.manual_seed(hash((config.seed, self.step_number, self.process.rank)))  # dropout
        truth = torch.from_numpy(labels).to(self.process.device)
        logits, read = self.trainee.forward(self.tensor(clips))
        loss = config.labels * clip_loss(logits, truth, config.least_history, config.smoothing)
        if read:
            flow = torch.from_numpy(cell_flow(clips)).to(self.process.device)
            self.motion = motion_loss(read, flow)
            loss = loss + config.motion * self.motion
        last = logits if logits.ndim == 2 else logits[:, -1]
        right = float((last.argmax(1) == truth[:, -1]).float().mean())
        value = float(loss.detach())
        self.trainee.learn(loss, self.step_number / config.steps)
        return self.process.mean(value), self.process.mean(right)

    def save(self, out: Path) -> None:
        """A checkpoint that can be resumed and released."""
        notes = {"elapsed": round(self.elapsed, 1), "config": asdict(self.config), "batch": self.config.batch}
        self.trainee.save(out, notes)

    def resume(self, folder: Path) -> None:
        """Goes on from a checkpoint in `folder`."""
        self.elapsed = float(self.trainee.load(folder).get("elapsed", 0.0))


def train(trainer: VideoTrainer, out: Path, stop_after: float = 0.0, speak: float = 10.0) -> list[float]:
    """All steps that are left, or as many as fit into `stop_after` minutes; losses of this call."""
    config, process = trainer.config, trainer.process
    begun = last = saved = time.monotonic()
    spoken, losses, recent = 0.0, [], [float("nan")] * 2
    log = (out / f"{trainer.trainee.name}.jsonl").open("a") if process.rank == 0 else Path(os.devnull).open("w")
    print(json.dumps({"config": asdict(config), "processes": process.world, "device": str(process.device)}), file=log)
    for clips, labels in trainer.batches(trainer.step_number):
        found = trainer.step(clips, labels)
        losses.append(found[0])
        now = time.monotonic()
        trainer.elapsed += now - last
        last = now
        recent = [new if old != old else 0.95 * old + 0.05 * new for old, new in zip(recent, found)]
        if process.rank == 0 and (now - spoken > speak or trainer.step_number == config.steps):
            spoken, rate = now, config.batch * len(losses) / (now - begun)
            row = {"step": trainer.step_number, "loss": round(recent[0], 4), "right": round(recent[1], 3)}
            if trainer.motion is not None:
                row["motion"] = round(float(trainer.motion.detach()), 4)
            print(json.dumps({**row, "seconds": round(trainer.elapsed, 1), "clips_per_s": round(rate, 3)}), file=log)
            log.flush()
            bar = "#" * (24 * trainer.step_number // config.steps)
            print(f"[{bar:24}] {row['step']}/{config.steps} loss {row['loss']:.3f} right {row['right']:.2f} "
                  f"{rate:.2f} clips/s", flush=True)  # fmt: skip
        if process.rank == 0 and now - saved > config.checkpoint_minutes * 60:
            saved = now
            trainer.save(out)
        if process.mean(float(stop_after > 0 and now - begun > stop_after * 60)) > 0:
            break
    if process.rank == 0:
        trainer.save(out)
        rate = config.batch * len(losses) / (time.monotonic() - begun)
        print(json.dumps({"losses": losses, "clips_per_s": round(rate, 3), "processes": process.world}), file=log)
    log.close()
    return losses


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", default="tsm-events-online", help="preset: see models/tsm/presets.py")
    parser.add_argument("--config", help="YAML over training/video/config.py's defaults")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="over the config, e.g. steps=100"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="folder of a run to go on with")
    parser.add_argument("--tune-from", help="model or checkpoint to start from; an offline model becomes online")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="rendered video")
    parser.add_argument("--limit", type=int, default=0, help="clips of the cache to use (0: all)")
    parser.add_argument("--list", help="list of frame folders instead: path num_frames label")
    parser.add_argument("--root", help="folder that the list's paths are relative to")
    parser.add_argument(
        "--template", default="kinetics", help=f"{', '.join(TEMPLATES)} or a pattern as img_{{:05d}}.jpg"
    )
    parser.add_argument("--classes", type=int, default=0, help="of the list, where they are not the preset's")
    parser.add_argument("--stop-after", type=float, default=0.0, help="minutes after which this call ends")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    return parser.parse_args(arguments)


def configured(options: argparse.Namespace) -> VideoTrainConfig:
    """The config file with what `--set` says."""
    import yaml

    config = load_config(options.config)
    for text in options.set:
        key, _, value = text.partition("=")
        found: Any = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            found = {part: found}
        config = merged(config, found, "--set")
    return config


def clips_of(options: argparse.Namespace, config: VideoTrainConfig, facts: ModelFacts) -> Clips:
    """Training clips: the list's, or the cache's."""
    if options.list:
        template = TEMPLATES.get(options.template, options.template)
        return ListClips(options.list, options.root, len(facts.classes), config.segments, config.dense, template)
    return EventClips(
        options.cache, "train", config.segments, config.stored, options.limit, config.sided, config.backward
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    process = Process.start(options.device)
    try:
        config = configured(options)
        names = tuple(f"class {i}" for i in range(options.classes)) if options.classes else None
        facts = network_facts(options.model, config, names)
        trainer = VideoTrainer(options.model, config, clips_of(options, config, facts), facts, process)
        if options.tune_from:
            tune_from(trainer, options.tune_from)
        if options.resume:
            trainer.resume(options.resume)
        options.out.mkdir(parents=True, exist_ok=True)
        train(trainer, options.out, options.stop_after)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if process.world > 1:
            torch.distributed.destroy_process_group()
    return 0


def tune_from(trainer: VideoTrainer, source: str) -> None:
    """Starts from another model's weights; those of an offline network move into the online slots."""
    network = trainer.trainee.network
    state = state_of(source, online=network.spec.mode == "online")
    left = start_from(network, state)
    if left and trainer.process.rank == 0:
        print(f"not in {source}, left as they were: {', '.join(left)}", flush=True)
    trainer.trainee.ema = {k: v.detach().clone() for k, v in network.state_dict().items()}
