"""Configuration of a video training: plain numbers, read from YAML over the defaults; unknown keys are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.facts import ModelError
from training.common.config_files import load_yaml_config
from training.common.loop import LoopConfig
from training.common.trainee import OptimiserConfig, one_cycle
from training.video.clip_augment import ClipAugment


@dataclass(frozen=True)
class ClipOptimiser(OptimiserConfig):
    """kind: sgd | adamw · lr at the whole batch (official: .02 at 128, in proportion) · schedule: steps (times 0.1 at
    the shares `drops` of the run; official: 20 and 40 of 50 epochs) | cosine · warmup: share of the run spent rising ·
    bias_rate, head_rate: learning rate of biases (no decay) and of the classifier's weights, as multiples; its bias
    has bias_rate * head_rate · clip: largest gradient norm · ema: decay of the running average of the weights."""

    kind: str = "sgd"
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "steps"
    drops: tuple[float, ...] = (0.4, 0.8)
    warmup: float = 0.0
    bias_rate: float = 2.0
    head_rate: float = 5.0
    clip: float = 20.0
    ema: float = 0.0

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """See OptimiserConfig."""
        if self.kind == "sgd":
            return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum)
        return torch.optim.AdamW(groups, lr=self.lr)

    def factor(self, progress: float) -> float:
        """See OptimiserConfig."""
        if self.schedule == "cosine":
            return one_cycle(progress, self.warmup)
        if progress < self.warmup:
            return max(progress / self.warmup, 0.02)
        return 0.1 ** sum(progress >= drop for drop in self.drops)


@dataclass(frozen=True)
class VideoTrainConfig(LoopConfig):
    """batch: clips per step over all processes · segments: frames of a clip · size: (height, width) px that the network
    sees · stored: px at which frames of the cache are kept, from which crops are taken · freeze: leading layers of the
    backbone that keep their weights · fixed_depthwise: depthwise kernels keep theirs everywhere (their gradient is half
    of a step on a CPU) · norm: batch norms keep statistics ("frozen": exact for any number of processes), all but the
    first keep them ("partial", the release's default), they learn ("train") or learn over all processes ("sync", GPUs)
    · supervise: "frame" (every frame has its label; causal networks) or "clip" (the mean has the last frame's) ·
    least_history: frames before the first supervised one · smoothing: of the labels · imagenet: start from those
    weights · sided: share of the clips drawn from mirrored events, over their even share · backward: share of those
    played backwards (at 0.5 no single frame tells a turn's or a crossing's side) · labels, motion: weights of the loss
    over the labels and of the lesson of training.video.motion (0: none; TSM and TSN alone).
    """

    batch: int = 64
    segments: int = 8
    size: tuple[int, int] = (224, 224)
    stored: tuple[int, int] = (256, 340)
    dense: bool = False
    steps: int = 10000
    threads: int = 1
    freeze: int = 0
    fixed_depthwise: bool = False
    norm: str = "train"
    supervise: str = "clip"
    least_history: int = 0
    smoothing: float = 0.0
    dropout: float = 0.5
    imagenet: bool = True
    sided: float = 0.0
    backward: float = 0.0
    labels: float = 1.0
    motion: float = 0.0
    checkpoint_minutes: float = 3.0
    optimiser: ClipOptimiser = field(default_factory=ClipOptimiser)
    augment: ClipAugment = field(default_factory=ClipAugment)

    def __post_init__(self) -> None:
        for name, known in (("norm", ("frozen", "partial", "train", "sync")), ("supervise", ("frame", "clip"))):
            if getattr(self, name) not in known:
                raise ModelError(f"{name} is {getattr(self, name)!r}; known: {', '.join(known)}")
        if self.optimiser.kind not in ("sgd", "adamw") or self.optimiser.schedule not in ("steps", "cosine"):
            raise ModelError("optimiser: kind is sgd or adamw, schedule is steps or cosine")


def load_config(path: str | Path | None) -> VideoTrainConfig:
    """Config of a YAML file over the defaults; ModelError names unknown keys."""
    return load_yaml_config(VideoTrainConfig(), path)
