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

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.tsm.detector import EARLY, STRIDES, TsmDetector
from models.tsm.detector_build import IMAGE, PRESETS, build_network, facts_of
from models.tsm.detector_head import places
from models.tsm.detector_session import VideoDetector
from perception_nodes.evaluation.detection2d import Detection2dScorer
from training.common.config_files import load_yaml_config
from training.common.trainee import OptimiserConfig, Trainee, averaged_weights
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
class DetectorTrainConfig:
    """clips: of `frames` frames each, per step · box_weight: of the box loss · backbone_rate: share of the learning
    rate · reload_minutes: how often the cache is looked through for new clips · validation_clips: of the val split."""

    clips: int = 2
    frames: int = 4
    box_weight: float = 2.0
    backbone_rate: float = 0.3
    checkpoint_minutes: float = 2.0
    reload_minutes: float = 5.0
    validation_clips: int = 8
    seed: int = 0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-3, clip=10.0, ema=0.995))
    augment: ClipAugment = field(default_factory=ClipAugment)


def load_config(path: str | None) -> DetectorTrainConfig:
    """Config of a YAML file over the defaults; ModelError names unknown keys."""
    return load_yaml_config(DetectorTrainConfig(), path)


class DetectorTrainee(Trainee):
    """A detector in training: the backbone's first layers are left out, the rest of it learns more slowly."""

    def __init__(self, name: str, network: TsmDetector, config: OptimiserConfig, backbone_rate: float):
        super().__init__(name, network, config)
        self.detector = network.train()
        for p in network.backbone.features[:EARLY].parameters():
            p.requires_grad_(False)
        rates = {id(p): backbone_rate for p in network.backbone.parameters()}
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for p in network.parameters():
            if p.requires_grad:
                groups.setdefault((rates.get(id(p), 1.0), p.ndim > 1), []).append(p)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": ps, "scale": scale, "weight_decay": config.weight_decay if decayed else 0.0}
                for (scale, decayed), ps in groups.items()
            ],
            lr=config.lr,
        )

    def begin(self, progress: float) -> None:
        """See Trainee; the backbone's rate is a share of the head's."""
        super().begin(progress)
        for group in self.optimiser.param_groups:
            group["lr"] *= group["scale"]


class Trainer:
    """Trains one detector, or both twins on the same batches."""

    def __init__(self, names: tuple[str, ...], config: DetectorTrainConfig, cache: Path, pretrained: bool = True):
        self.config, self.cache = config, cache
        VideoCache(cache, "train")  # raises where there is nothing to learn from, before weights are looked for
        self.trainees = []
        for name in names:
            network = build_network(facts_of(PRESETS[name], name), config.seed, imagenet_backbone=pretrained)
            network = network.to(memory_format=torch.channels_last)  # twice as fast in training on a CPU
            self.trainees.append(DetectorTrainee(name, network, config.optimiser, config.backbone_rate))
        height, width = IMAGE["size"]
        self.where = places(height, width, STRIDES)
        threads = torch.get_num_threads()
        self.early = EarlyLayers(self.trainees[0].detector, config.clips * config.frames, (height, width), threads)
        self.sampler = self._sampler(config.seed)
        self.elapsed, self.frames, self.started_from = 0.0, 0, "ImageNet"

    def start(self, folder: Path, name: str = "tsn-detector-lite") -> None:
        """Gives every network the averaged weights of the twin without shift from another run's folder."""
        state, notes = averaged_weights(folder / f"{name}.checkpoint.safetensors")
        for trainee in self.trainees:
            own = trainee.network.state_dict()
            found = {k: state.get(k.replace(".net.", ".")) for k in own}
            if any(v is None or v.shape != own[k].shape for k, v in found.items()) or len(found) != len(state):
                raise ModelError(f"{folder} holds another network than {trainee.name}; give a run of {name}")
            trainee.network.load_state_dict(found)
            trainee.ema = {k: v.clone() for k, v in found.items()}
        before = str(notes.get("started_from", "ImageNet"))
        self.started_from = f"{name} after {notes['steps']} steps on {notes['frames']} pictures, begun from {before}"

    def _sampler(self, seed: int) -> ClipSampler:
        known = {c.folder: c for c in self.sampler.clips} if hasattr(self, "sampler") else {}
        clips = [known.get(c.folder, c) for c in VideoCache(self.cache, "train")]  # those read before keep their boxes
        return ClipSampler(clips, self.config.frames, self.config.augment, seed)

    def reload(self) -> None:
        """Takes up clips that were rendered meanwhile; the draws go on."""
        rng = self.sampler.rng
        self.sampler = self._sampler(self.config.seed)
        self.sampler.rng = rng

    def step(self, progress: float) -> dict[str, dict[str, float]]:
        """One optimiser step of every network on one batch; losses by name and part."""
        samples = [self.sampler.draw() for _ in range(self.config.clips)]
        frames, truths = batch(samples)
        self.frames += len(truths)
        early = self.early(frames)  # the twins' are the same
        out = {}
        for trainee in self.trainees:
            logits, codes = trainee.detector.from_early(early, self.config.frames)
            loss, parts = detection_loss(logits, codes, truths, self.where, self.config.box_weight)
            if trainee.learn(loss, progress):
                out[trainee.name] = parts
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
        for trainee in self.trainees:
            own = {k: v.clone() for k, v in trainee.network.state_dict().items()}
            trainee.network.load_state_dict(trainee.ema)
            facts = facts_of(PRESETS[trainee.name], trainee.name)
            detector = VideoDetector(trainee.detector.eval(), facts, "torch", torch.get_num_threads())
            scorer = Detection2dScorer(BOX_NAMES)
            score_clips(detector, clips, scorer)
            out[trainee.name] = scorer.summary()
            trainee.network.load_state_dict(own)
            trainee.network.train()
        return out

    def save(self, out: Path, minutes: float) -> None:
        """Checkpoints `<name>.checkpoint.safetensors` of every network."""
        notes = {"elapsed": self.elapsed, "minutes": minutes, "frames": self.frames, "clips": len(self.sampler.clips)}
        notes["started_from"] = self.started_from
        notes["rng"] = json.dumps(self.sampler.rng.bit_generator.state)
        for trainee in self.trainees:
            trainee.save(out, notes)

    def resume(self, folder: Path) -> None:
        """Continues from an earlier call's folder."""
        for trainee in self.trainees:
            notes = trainee.load(folder)
        self.elapsed, self.frames = float(notes["elapsed"]), int(notes["frames"])
        self.started_from = str(notes.get("started_from", "ImageNet"))
        self.sampler.rng.bit_generator.state = json.loads(notes["rng"])


def batch(samples: list[Sample]) -> tuple[Tensor, list[Truth]]:
    """(frames float32 [N*T, 3, H, W], normalised; their truths) of N clips of T frames."""
    images = torch.from_numpy(np.concatenate([s.images for s in samples]))  # [N*T, H, W, 3]
    mean, std = torch.tensor(IMAGE["mean"]) * 255, torch.tensor(IMAGE["std"]) * 255
    frames = ((images.float() - mean) / std).permute(0, 3, 1, 2)  # channels_last
    return frames, [truth for s in samples for truth in s.truths]


def train(trainer: Trainer, options: argparse.Namespace) -> None:
    """The loop: step, say, save, look for new clips, stop in time."""
    config, budget = trainer.config, options.minutes * 60.0

    def progress() -> float:
        return trainer.trainees[0].step_count / options.steps if options.steps else trainer.elapsed / budget

    begun = last = time.monotonic()
    stop = begun + options.stop_after * 60.0 if options.stop_after else float("inf")
    spoken = 0.0
    saved = reloaded = trainer.elapsed
    recent: dict[str, float] = {}
    steps = 0
    with (options.out / "metrics.jsonl").open("a", buffering=1) as log:
        log.write(json.dumps({"config": asdict(config), "minutes": options.minutes, "threads": options.threads}) + "\n")
        while progress() < 1.0 and last < stop:
            for name, parts in trainer.step(progress()).items():
                for part, value in parts.items():
                    key = f"{name}.{part}"
                    recent[key] = 0.95 * recent.get(key, value) + 0.05 * value
            steps += 1
            now = time.monotonic()
            trainer.elapsed, last = trainer.elapsed + now - last, now
            if now - spoken > options.speak:
                spoken = now
                row = {"seconds": round(trainer.elapsed, 1), "steps": trainer.trainees[0].step_count, "loss": recent}
                row |= {"frames": trainer.frames, "clips": len(trainer.sampler.clips)}
                log.write(json.dumps(row) + "\n")
                _show(trainer, progress(), recent, steps / max(now - begun, 1e-3))
            if trainer.elapsed - saved > config.checkpoint_minutes * 60:
                saved = trainer.elapsed
                trainer.save(options.out, options.minutes)
            if not options.steps and trainer.elapsed - reloaded > config.reload_minutes * 60:
                reloaded = trainer.elapsed
                trainer.reload()
        trainer.save(options.out, options.minutes)
        if config.validation_clips and progress() >= 1.0:
            scores = trainer.validate()
            log.write(json.dumps({"validation": scores}) + "\n")
            for name, score in scores.items():
                print(f"  validation {name}: mAP {score['map']}, at IoU 0.5 {score['map50']}", flush=True)


def _show(trainer: Trainer, progress: float, recent: dict[str, float], rate: float) -> None:
    """One line of progress with a bar."""
    done = int(24 * min(progress, 1.0))
    losses = "  ".join(f"{name} {loss:.3f}" for name, loss in recent.items())
    bar = "#" * done + "." * (24 - done)
    print(f"[{bar}] {trainer.elapsed:5.0f} s  {rate:.2f} steps/s  {trainer.frames} frames  {losses}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.detection2d", description=__doc__.split("\n")[0])
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="both")
    parser.add_argument("--config", help="YAML over the defaults (config/training/detector2d.yaml)")
    parser.add_argument("--cache", type=Path, default=Path("runs/video"), help="video cache")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints and metrics.jsonl")
    parser.add_argument("--resume", type=Path, help="--out folder of an earlier call")
    parser.add_argument("--start", type=Path, help="--out folder of a run without shift whose weights to start from")
    parser.add_argument("--minutes", type=float, default=40.0, help="training time of the whole schedule")
    parser.add_argument("--steps", type=int, default=0, help="length of the whole schedule instead (0: by --minutes)")
    parser.add_argument("--stop-after", type=float, default=0.0, help="end this call after so many minutes (0: never)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speak", type=float, default=20.0, help="seconds between lines of progress")
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        torch.set_num_threads(options.threads)
        torch.manual_seed(config.seed)
        options.out.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(ARCHITECTURES[options.arch], config, options.cache)
        if options.start:
            trainer.start(options.start)
        if options.resume:
            trainer.resume(options.resume)
        train(trainer, options)
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0
