"""Pre-training of the camera branch: 2-D boxes, pixel classes and depth at once, on the driving world's pictures.

    python -m training.bevfusion.camera.generate --split train --worlds 2000 --out runs/camera      (and val, test)
    python -m training.bevfusion.camera --config config/training/camera.yaml --minutes 400 --out runs/camera_run
    …                                                                       (and with --resume, to go on)

The backbone starts from ImageNet. Its layers up to stride 4 keep their weights and run in the fastest runtime at hand;
its batch norms keep their statistics. Worlds that are generated meanwhile are taken up as training goes on.
`python -m training.bevfusion.camera.evaluate` scores and releases the averaged weights.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.bevfusion.lite.build import SIZE, build_network, facts_of
from models.bevfusion.lite.camera import EARLY
from models.bevfusion.lite.camera_heads import CameraLite
from models.facts import ModelError
from training.bevfusion.camera.augment import CameraAugment, augmented
from training.bevfusion.camera.inputs import normalised
from training.bevfusion.camera.loss import LossWeights, camera_loss
from training.bevfusion.camera.pictures import BOX_NAMES, World, worlds_in
from training.bevfusion.camera.scores import CameraScorer, answers, in_view
from training.bevfusion.camera.targets import Targets, targets_of
from training.common import loop
from training.common.command import launch, training_parser
from training.common.frozen_layers import FrozenLayers
from training.common.processes import Process
from training.common.rare import rare_weights
from training.common.trainee import OptimiserConfig, Trainee, decayed_groups

NAME = "camera-lite"


@dataclass(frozen=True)
class CameraTrainConfig(loop.LoopConfig):
    """batch: pictures per step · backbone_rate: share of the learning rate · fixed_depthwise: depthwise kernels of the
    backbone keep their ImageNet weights (their gradient is dear on a CPU) · reload_minutes: how often new worlds are
    looked for · validation_pictures: of the val split · rarity: how much more often pictures with rare classes are
    drawn (0: evenly)."""

    threads: int = 1
    validate_minutes: float = 60.0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-3, clip=10.0, ema=0.998))
    batch: int = 8
    backbone_rate: float = 0.5
    fixed_depthwise: bool = False
    reload_minutes: float = 5.0
    validation_pictures: int = 120
    rarity: float = 0.5
    loss: LossWeights = field(default_factory=LossWeights)
    augment: CameraAugment = field(default_factory=CameraAugment)


def camera_trainee(network: CameraLite, config: CameraTrainConfig) -> Trainee:
    """The branch in training: stem and batch norms' statistics fixed, the backbone learns more slowly."""
    backbone = network.branch.backbone
    for parameter in backbone.layers[:EARLY].parameters():
        parameter.requires_grad_(False)
    if config.fixed_depthwise:
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.weight.requires_grad_(False)
    rates = {id(parameter): config.backbone_rate for parameter in backbone.parameters()}
    groups = decayed_groups(network, config.optimiser.weight_decay, rates)
    return Trainee(NAME, network, config.optimiser, groups=groups)


class CameraTrainer(loop.Trainer):
    """The camera branch, its pictures and its steps."""

    config: CameraTrainConfig

    def __init__(self, config: CameraTrainConfig, pictures: Path, imagenet: bool = True):
        self.folder, self._known = pictures, {}
        self.worlds: list[World] = worlds_in(pictures, "train", self._known)
        self.network = build_network(facts_of(NAME), config.seed, imagenet)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(config, [camera_trainee(self.network, config)], Process())
        early = _Early(self.network)
        self.early = FrozenLayers(early, (config.batch, 3, *SIZE), max(config.threads, 1))
        self.rng = np.random.default_rng(config.seed)
        self.seen = 0  # pictures learned from, over all calls
        self._reloaded = 0.0
        self._draws = picture_weights(self.worlds, config.rarity)
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: Future[tuple[Tensor, Targets]] | None = None
        self._drawn_state: dict[str, Any] = dict(self.rng.bit_generator.state)

    def collect(self) -> bool:
        """Takes up worlds that were generated meanwhile, unless the schedule is in steps."""
        if not self.config.steps and self.elapsed - self._reloaded > 60 * self.config.reload_minutes:
            self._reloaded = self.elapsed
            self.worlds = worlds_in(self.folder, "train", self._known)
            self._draws = picture_weights(self.worlds, self.config.rarity)
        return True

    def batch(self) -> tuple[Tensor, Targets]:
        """The next augmented batch: pictures [N, 3, H, W] and what to learn from them."""
        places, weights = self._draws  # taken once: another thread may replace them
        pictures = []
        for i in self.rng.choice(len(places), self.config.batch, p=weights):
            world, number = places[i]
            pictures.append(augmented(world.picture(number), self.config.augment, self.rng))
        return normalised(pictures), targets_of(pictures, self.network.bins)

    def __enter__(self) -> CameraTrainer:
        self._pool = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._waiting = None, None

    def _next(self) -> tuple[Tensor, Targets]:
        """A batch; inside a `with` the one after it is made while the network learns."""
        if self._pool is None:
            self._drawn_state = dict(self.rng.bit_generator.state)
            return self.batch()
        found = self._waiting.result() if self._waiting is not None else self.batch()
        self._drawn_state = dict(self.rng.bit_generator.state)
        self._waiting = self._pool.submit(self.batch)
        return found

    def step(self, progress: float) -> dict[str, float]:
        """One step on the next batch; the four losses, NaN where the step was skipped."""
        images, true = self._next()
        self.network.train()
        self.network.branch.backbone.eval()  # batch norms keep ImageNet's statistics
        found = self.network.from_early(self.early(images))
        loss, parts = camera_loss(found, true, self.config.loss)
        self.seen += len(images)
        taken = self.trainees[0].learn(loss, progress)
        return parts if taken else dict.fromkeys(parts, float("nan"))

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on pictures of the val split."""
        try:
            worlds = worlds_in(self.folder, "val", self._known)
        except ModelError:
            return {}
        places = [(w, i) for w in worlds for i in range(len(w))]
        places = places[:: max(1, len(places) // self.config.validation_pictures)]
        scorer = CameraScorer(self.network.bins)
        with self.trainees[0].averaged():
            for world, i in places[: self.config.validation_pictures]:
                picture = in_view(world.picture(i))
                scorer.add(picture, *answers(self.network, picture))
        return {NAME: scorer.summary()}

    def status(self) -> dict[str, Any]:
        """Pictures learned from, worlds and pictures on disk."""
        return {"seen": self.seen, "worlds": len(self.worlds), "pictures": len(self._draws[0])}

    def notes(self) -> dict[str, Any]:
        """See loop.Trainer. The random state is the one before the batch that waits."""
        state = self._drawn_state if self._waiting is not None else self.rng.bit_generator.state
        return {**self.status(), "rng": json.dumps(state)}

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer."""
        self.seen, self._reloaded = int(notes["seen"]), self.elapsed
        self.rng.bit_generator.state = json.loads(notes["rng"])


class _Early(nn.Module):
    """The backbone's first layers."""

    def __init__(self, network: CameraLite):
        super().__init__()
        self.backbone = network.branch.backbone

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone.early(x)


def picture_weights(worlds: list[World], rarity: float) -> tuple[list[tuple[World, int]], np.ndarray]:
    """((world, picture) of all pictures, their probabilities, see `rare_weights`)."""
    places = [(world, i) for world in worlds for i in range(len(world))]
    holds = np.zeros((len(places), len(BOX_NAMES)), bool)
    for row, (world, i) in enumerate(places):
        holds[row, world.rows(i).label] = True
    return places, rare_weights(holds, rarity)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("bevfusion.camera", __doc__, minutes=300.0)
    parser.add_argument("--pictures", type=Path, default=Path("runs/camera"), help="folder of generated pictures")
    parser.add_argument("--nice", type=int, default=0, help="lowers this process's priority by so much")
    options = parser.parse_args(arguments)
    if options.nice:
        os.nice(options.nice)

    def make(config: CameraTrainConfig, process: Process) -> CameraTrainer:
        process.alone("the camera branch trains")
        return CameraTrainer(config, options.pictures)

    return launch(make, CameraTrainConfig(), options)
