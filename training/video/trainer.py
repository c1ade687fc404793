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
import itertools
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.facts import ModelError, ModelFacts
from models.tsm.build import build_network, facts_of
from models.tsm.presets import PRESETS
from training.common import loop
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.video.clip_augment import augment
from training.video.clips import Clips, EventClips, ListClips
from training.video.config import VideoTrainConfig
from training.video.frame_lists import TEMPLATES
from training.video.motion import cell_flow, motion_loss
from training.video.start import start_from, state_of
from training.video.trainee import Supervised, clip_loss, clip_trainee, motion_reader, prepare

PERIOD = 0.2  # s between frames of the cache


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


class VideoTrainer(loop.Trainer):
    """One network, its clips and its steps."""

    config: VideoTrainConfig

    def __init__(self, name: str, config: VideoTrainConfig, clips: Clips, facts: ModelFacts, process: Process):
        if config.batch % process.world:
            raise ModelError(f"batch is {config.batch}: it must divide among {process.world} processes")
        self.clips, self.facts = clips, facts
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
        supervised = process.parallel(supervised, broadcast_buffers=False)
        self.trainee = clip_trainee(name, network, config.optimiser, supervised, reader)
        super().__init__(config, [self.trainee], process)
        self._batches: Generator[tuple[np.ndarray, np.ndarray]] | None = None

    def __exit__(self, *_: object) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None

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

    def batches(self, first: int) -> Generator[tuple[np.ndarray, np.ndarray]]:
        """Batches from `first` on; the next is made while the network learns from one."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.batch, first)
            for step in itertools.count(first + 1):
                found = waiting.result()
                waiting = pool.submit(self.batch, step)
                yield found

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

    def step(self, progress: float) -> dict[str, float]:
        """One optimiser step on the next batch; loss, share of clips right at their last frame, and the loss of the
        motion reader where there is one, over all processes."""
        config = self.config
        if self._batches is None:
            self._batches = self.batches(self.step_number)
        clips, labels = next(self._batches)
        torch.manual_seed(hash((config.seed, self.step_number, self.process.rank)))  # dropout
        truth = torch.from_numpy(labels).to(self.process.device)
        logits, read = self.trainee.forward(self.tensor(clips))
        loss = config.labels * clip_loss(logits, truth, config.least_history, config.smoothing)
        found = {}
        if read:
            flow = torch.from_numpy(cell_flow(clips)).to(self.process.device)
            motion = motion_loss(read, flow)
            loss = loss + config.motion * motion
            found["motion"] = float(motion.detach())
        last = logits if logits.ndim == 2 else logits[:, -1]
        found["right"] = float((last.argmax(1) == truth[:, -1]).float().mean())
        found["loss"] = float(loss.detach())
        self.trainee.learn(loss, progress)
        return {name: self.process.mean(value) for name, value in found.items()}

    def notes(self) -> dict[str, Any]:
        """Clips of a step, over all processes."""
        return {"batch": self.config.batch}


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
    parser = training_parser("video", __doc__)
    parser.add_argument("--model", default="tsm-events-online", help="preset: see models/tsm/presets.py")
    parser.add_argument("--tune-from", help="model or checkpoint to start from; an offline model becomes online")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="rendered video")
    parser.add_argument("--limit", type=int, default=0, help="clips of the cache to use (0: all)")
    parser.add_argument("--list", help="list of frame folders instead: path num_frames label")
    parser.add_argument("--root", help="folder that the list's paths are relative to")
    parser.add_argument(
        "--template", default="kinetics", help=f"{', '.join(TEMPLATES)} or a pattern as img_{{:05d}}.jpg"
    )
    parser.add_argument("--classes", type=int, default=0, help="of the list, where they are not the preset's")
    options = parser.parse_args(arguments)

    def make(config: VideoTrainConfig, process: Process) -> VideoTrainer:
        names = tuple(f"class {i}" for i in range(options.classes)) if options.classes else None
        facts = network_facts(options.model, config, names)
        trainer = VideoTrainer(options.model, config, clips_of(options, config, facts), facts, process)
        if options.tune_from:
            tune_from(trainer, options.tune_from)
        return trainer

    return launch(make, VideoTrainConfig(), options)


def tune_from(trainer: VideoTrainer, source: str) -> None:
    """Starts from another model's weights; those of an offline network move into the online slots."""
    network = trainer.trainee.network
    state = state_of(source, online=network.spec.mode == "online")
    left = start_from(network, state)
    if left and trainer.process.rank == 0:
        print(f"not in {source}, left as they were: {', '.join(left)}", flush=True)
    trainer.trainee.ema = {k: v.detach().clone() for k, v in network.state_dict().items()}
