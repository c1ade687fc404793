"""Training of the video detector and of its twin without shift, on the same clips in the same order.

    python -m training.detection2d --arch none --minutes 40 --config config/training/detector2d_pictures.yaml --out r/1
    python -m training.detection2d --minutes 40 --config config/training/detector2d.yaml --start r/1 --out r/2
    python -m training.detection2d --minutes 60 --config config/training/detector2d.yaml --resume r/2 --out r/2

Clips of a few frames come from the video cache (`python -m training.video.world` fills it; clips added later are taken
up as training goes on). The backbone starts from ImageNet; its first four layers stay as they are, its batch norms are
folded into its convolutions. Every frame of a clip is learned from, also the first ones, whose caches are empty. The
schedule follows wall time: `--minutes` is the whole training over however many calls; a checkpoint every two minutes,
which `--resume` continues. With `--steps` it follows the steps instead, and the clips are those of the start: so twins
that learn in processes of their own (`--arch shift`, `--arch none`) see the same batches. Single pictures of many
places teach a detector more than as many frames of few clips: so the detector without shift first learns from pictures,
and both twins start from its averaged weights (`--start`). `training.detection2d.evaluate` scores and releases averaged
weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.facts import ModelError
from models.tsm.detector import EARLY, STRIDES, TsmDetector
from models.tsm.detector_build import IMAGE, PRESETS, build_network, facts_of
from models.tsm.detector_head import places
from models.tsm.detector_session import VideoDetector
from perception_nodes.evaluation.detection2d import Detection2dScorer
from training.common import loop
from training.common.checkpoints import CHECKPOINT, averaged_weights
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.trainee import OptimiserConfig, Trainee, decayed_groups
from training.detection2d.clips import ClipAugment, ClipSampler, Sample
from training.detection2d.early_layers import EarlyLayers
from training.detection2d.loss import Truth, detection_loss
from training.video.cache import BOX_NAMES, VideoCache

ARCHITECTURES = {
    "shift": ("tsm-detector-lite",),
    "none": ("tsn-detector-lite",),
    "both": ("tsm-detector-lite", "tsn-detector-lite"),
}


@dataclass(frozen=True)
class DetectorTrainConfig(loop.LoopConfig):
    """clips: of `frames` frames each, per step · box_weight: of the box loss · backbone_rate: share of the learning
    rate · reload_minutes: how often the cache is looked through for new clips · validation_clips: of the val split."""

    threads: int = 1
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-3, clip=10.0, ema=0.995))
    clips: int = 2
    frames: int = 4
    box_weight: float = 2.0
    backbone_rate: float = 0.3
    reload_minutes: float = 5.0
    validation_clips: int = 8
    augment: ClipAugment = field(default_factory=ClipAugment)


def detector_trainee(name: str, network: TsmDetector, config: DetectorTrainConfig) -> Trainee:
    """A detector in training: the backbone's first layers keep their weights, the rest of it learns more slowly."""
    network.train()
    for parameter in network.backbone.features[:EARLY].parameters():
        parameter.requires_grad_(False)
    rates = {id(parameter): config.backbone_rate for parameter in network.backbone.parameters()}
    groups = decayed_groups(network, config.optimiser.weight_decay, rates)
    return Trainee(name, network, config.optimiser, groups=groups)


class Trainer(loop.Trainer):
    """Trains one detector, or both twins on the same batches."""

    config: DetectorTrainConfig

    def __init__(self, names: tuple[str, ...], config: DetectorTrainConfig, cache: Path, pretrained: bool = True):
        self.cache = cache
        VideoCache(cache, "train")  # raises where there is nothing to learn from, before weights are looked for
        self.detectors: list[TsmDetector] = []
        trainees = []
        for name in names:
            network = build_network(facts_of(PRESETS[name], name), config.seed, imagenet_backbone=pretrained)
            network = network.to(memory_format=torch.channels_last)  # twice as fast in training on a CPU
            self.detectors.append(network)
            trainees.append(detector_trainee(name, network, config))
        super().__init__(config, trainees, Process())
        height, width = IMAGE["size"]
        self.where = places(height, width, STRIDES)
        threads = torch.get_num_threads()
        self.early = EarlyLayers(self.detectors[0], config.clips * config.frames, (height, width), threads)
        self.sampler = self._sampler(config.seed)
        self.frames, self.started_from, self._reloaded = 0, "ImageNet", 0.0

    def start(self, folder: Path, name: str = "tsn-detector-lite") -> None:
        """Gives every network the averaged weights of the twin without shift from another run's folder."""
        state, notes = averaged_weights(folder / f"{name}{CHECKPOINT}")
        for trainee in self.trainees:
            own = trainee.network.state_dict()
            found = {k: state.get(k.replace(".net.", ".")) for k in own}
            if any(v is None or v.shape != own[k].shape for k, v in found.items()) or len(found) != len(state):
                raise ModelError(f"{folder} holds another network than {trainee.name}; give a run of {name}")
            trainee.restart(found, str(folder))
        before = str(notes.get("started_from", "ImageNet"))
        self.started_from = f"{name} after {notes['steps']} steps on {notes['frames']} pictures, begun from {before}"

    def _sampler(self, seed: int) -> ClipSampler:
        known = {c.folder: c for c in self.sampler.clips} if hasattr(self, "sampler") else {}
        clips = [known.get(c.folder, c) for c in VideoCache(self.cache, "train")]  # those read before keep their boxes
        return ClipSampler(clips, self.config.frames, self.config.augment, seed)

    def collect(self) -> bool:
        """Takes up clips that were rendered meanwhile, unless the schedule is in steps; the draws go on."""
        if not self.config.steps and self.elapsed - self._reloaded > self.config.reload_minutes * 60:
            self._reloaded = self.elapsed
            rng = self.sampler.rng
            self.sampler = self._sampler(self.config.seed)
            self.sampler.rng = rng
        return True

    def step(self, progress: float) -> dict[str, float]:
        """One optimiser step of every network on one batch; losses by name and part."""
        samples = [self.sampler.draw() for _ in range(self.config.clips)]
        frames, truths = batch(samples)
        self.frames += len(truths)
        early = self.early(frames)  # the twins' are the same
        out = {}
        for trainee, detector in zip(self.trainees, self.detectors):
            logits, codes = detector.from_early(early, self.config.frames)
            loss, parts = detection_loss(logits, codes, truths, self.where, self.config.box_weight)
            taken = trainee.learn(loss, progress)
            out |= {f"{trainee.name}.{part}": value if taken else float("nan") for part, value in parts.items()}
        return out

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on clips of the val split, streamed frame by frame."""
        from training.detection2d.evaluate import score_clips

        try:
            clips = list(VideoCache(self.cache, "val"))[: self.config.validation_clips]
        except ModelError:
            return {}
        out = {}
        for trainee, network in zip(self.trainees, self.detectors) if clips else ():
            with trainee.averaged():
                facts = facts_of(PRESETS[trainee.name], trainee.name)
                detector = VideoDetector(network, facts, "torch", torch.get_num_threads())
                scorer = Detection2dScorer(BOX_NAMES)
                score_clips(detector, clips, scorer)
                out[trainee.name] = scorer.summary()
        return out

    def status(self) -> dict[str, Any]:
        """Pictures learned from, clips in the cache."""
        return {"frames": self.frames, "clips": len(self.sampler.clips)}

    def notes(self) -> dict[str, Any]:
        """See loop.Trainer."""
        rng = json.dumps(self.sampler.rng.bit_generator.state)
        return {**self.status(), "started_from": self.started_from, "rng": rng}

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer."""
        self.frames, self._reloaded = int(notes["frames"]), self.elapsed
        self.started_from = str(notes.get("started_from", "ImageNet"))
        self.sampler.rng.bit_generator.state = json.loads(notes["rng"])


def batch(samples: list[Sample]) -> tuple[Tensor, list[Truth]]:
    """(frames float32 [N*T, 3, H, W], normalised; their truths) of N clips of T frames."""
    images = torch.from_numpy(np.concatenate([s.images for s in samples]))  # [N*T, H, W, 3]
    mean, std = torch.tensor(IMAGE["mean"]) * 255, torch.tensor(IMAGE["std"]) * 255
    frames = ((images.float() - mean) / std).permute(0, 3, 1, 2)  # channels_last
    return frames, [truth for s in samples for truth in s.truths]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("detection2d", __doc__, minutes=40.0)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="both")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="video cache")
    parser.add_argument("--start", type=Path, help="--out folder of a run without shift whose weights to start from")
    options = parser.parse_args(arguments)

    def make(config: DetectorTrainConfig, process: Process) -> Trainer:
        process.alone("the detectors train")
        trainer = Trainer(ARCHITECTURES[options.arch], config, options.cache)
        if options.start:
            trainer.start(options.start)
        return trainer

    return launch(make, DetectorTrainConfig(), options)
