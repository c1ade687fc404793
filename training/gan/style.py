"""Trains tone steps with a residual (models/gan/tone.py) on exact pairs of the driving world.

    python -m training.gan.pairs --split train --worlds 100 --out runs/style            (and val, test)
    python -m training.gan.style --pairs runs/style --minutes 40 --out runs/style_run
    …                                                                      (and with --resume, to go on)

All styles learn from the same daylight pictures in one run, a network each. The loss is the mean absolute difference
from the true picture, the difference of its features (training/gan/features.py), and the roughness of the colour
tables. The input's contrast, tint and sharpness are varied, so that pictures of real cameras are restyled too.
`python -m training.gan.style_evaluate` scores and releases the averaged weights.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.facts import ModelError, ModelFacts
from models.gan.build import build_network, facts_of
from models.gan.styles import PREFIX
from models.gan.tone import ToneResidual
from training.common import loop
from training.common.command import launch, training_parser
from training.common.photometric import PhotometricConfig, photometric
from training.common.processes import Process
from training.common.trainee import OptimiserConfig, Trainee, decayed_groups
from training.gan.features import LiteFeatures, perceptual_loss
from training.gan.pairs import SOURCE, STYLES, Pairs
from training.gan.scores import paired_scores

MILD = PhotometricConfig(
    chance=0.4, contrast=(0.75, 1.3), gain=(0.75, 1.35), gamma=(0.75, 1.35), saturation=(0.4, 1.5), hue=(-8.0, 8.0),
    cast=0.06, local_contrast=(-0.3, 0.6), blur=(0.3, 1.0), noise=(0.015, 0.03), vignette=(0.0, 0.3), jpeg=(50, 95),
)  # fmt: skip


@dataclass(frozen=True)
class StyleConfig(loop.LoopConfig):
    """styles: one network each · table_rate: learning rate of the colour tables as a multiple · width, blocks: of the
    residual · batch: pictures a step · crop: (width, height) px of a step, multiples of 4 · perceptual, smooth: weights
    of the feature loss and of the tables' roughness beside the mean absolute difference · reload_minutes: how
    often new worlds are looked for · validation_pictures: of the val split."""

    threads: int = 1
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-3, weight_decay=0.0, clip=5.0))
    styles: tuple[str, ...] = STYLES
    table_rate: float = 10.0
    width: int = 48
    blocks: int = 4
    batch: int = 4
    crop: tuple[int, int] = (256, 144)
    perceptual: float = 0.04
    smooth: float = 0.1
    reload_minutes: float = 2.0
    validation_pictures: int = 48


def network_facts(config: StyleConfig, style: str) -> ModelFacts:
    """Facts of the network of one style, not trained yet."""
    return facts_of("gan-tone-residual", {"width": config.width, "blocks": config.blocks}, PREFIX + style)


def table_groups(network: nn.Module, config: StyleConfig) -> list[dict[str, Any]]:
    """Parameter groups: an entry of a colour table sees few pixels, so it learns faster than the convolutions."""
    assert isinstance(network, ToneResidual)
    return decayed_groups(network, config.optimiser.weight_decay, {id(network.tone.tables): config.table_rate})


def as_tensor(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """uint8 [H, W, 3] each -> float [N, 3, H, W] in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


class StyleTrainer(loop.Trainer):
    """One network for each style; every step shows all of them the same daylight pictures."""

    config: StyleConfig

    def __init__(self, config: StyleConfig, pairs: Path):
        unknown = [style for style in config.styles if style not in STYLES]
        if unknown or not config.styles:
            found = ", ".join(unknown) or "none"
            raise ModelError(f"styles are {found}: expected some of {', '.join(STYLES)}")
        self.folder, self.pairs = pairs, Pairs(pairs, "train")
        networks = [build_network(network_facts(config, style), config.seed) for style in config.styles]
        trainees = [
            Trainee(PREFIX + s, n, config.optimiser, groups=table_groups(n, config))
            for s, n in zip(config.styles, networks)
        ]
        super().__init__(config, trainees, Process())
        self.features = LiteFeatures()
        self.rng = np.random.default_rng(config.seed)
        self._reloaded = 0.0

    def collect(self) -> bool:
        """Takes up worlds that were generated meanwhile, unless the schedule is in steps."""
        if not self.config.steps and self.elapsed - self._reloaded > 60 * self.config.reload_minutes:
            self._reloaded, self.pairs = self.elapsed, Pairs(self.folder, "train")
        return True

    def batch(self) -> list[Tensor]:
        """The next pictures: the source, then each style, float [N, 3, H, W] in -1..1; cropped, mirrored alike."""
        width, height = self.config.crop
        found: list[list[NDArray[np.uint8]]] = []
        for index in self.rng.integers(len(self.pairs), size=self.config.batch):
            row = [self.pairs.picture(int(index), style) for style in (SOURCE, *self.config.styles)]
            high, wide = row[0].shape[:2]
            share = self.rng.uniform(0.6, 1.0)
            cut_h, cut_w = round(high * share), round(wide * share)
            top, left = self.rng.integers(high - cut_h + 1), self.rng.integers(wide - cut_w + 1)
            step = -1 if self.rng.random() < 0.5 else 1
            cut = [picture[top : top + cut_h, left : left + cut_w][:, ::step] for picture in row]
            row = [np.ascontiguousarray(cv2.resize(c, (width, height), interpolation=cv2.INTER_AREA)) for c in cut]
            row[0] = photometric(row[0], self.rng, MILD)
            found.append(row)
        return [as_tensor(list(pictures)) for pictures in zip(*found)]

    def step(self, progress: float) -> dict[str, float]:
        """One step of every style; its loss by name, NaN where the step was skipped."""
        source, *targets = self.batch()
        losses = {}
        for trainee, target in zip(self.trainees, targets):
            network = trainee.network
            assert isinstance(network, ToneResidual)
            network.train()
            output = network(source)
            loss = F.l1_loss(output, target) + self.config.smooth * network.tone.change_cost()
            if self.config.perceptual:
                # at half the size: a quarter of the time, and the first term sees the finest detail
                halves = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
                loss = loss + self.config.perceptual * perceptual_loss(self.features, *halves)
            taken = trainee.learn(loss, progress)
            losses[trainee.name] = loss.item() if taken else float("nan")
        return losses

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on the val split."""
        try:
            held = Pairs(self.folder, "val")
        except ModelError:
            return {}
        chosen = range(0, len(held), max(1, len(held) // self.config.validation_pictures))
        source = as_tensor([held.picture(i) for i in chosen])
        scores: dict[str, Any] = {}
        for trainee, style in zip(self.trainees, self.config.styles):
            target = as_tensor([held.picture(i, style) for i in chosen])
            with trainee.averaged() as network:
                scores[trainee.name] = paired_scores(self.features, network(source), target)
        return scores

    def status(self) -> dict[str, Any]:
        """Worlds on disk."""
        return {"worlds": len(self.pairs.worlds)}

    def notes(self) -> dict[str, Any]:
        """See loop.Trainer."""
        return {**self.status(), "rng": json.dumps(self.rng.bit_generator.state)}

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer."""
        self._reloaded = self.elapsed
        self.rng.bit_generator.state = json.loads(notes["rng"])


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("gan.style", __doc__, minutes=40.0)
    parser.add_argument("--pairs", type=Path, default=Path("runs/style"), help="folder of generated pairs")
    options = parser.parse_args(arguments)

    def make(config: StyleConfig, process: Process) -> StyleTrainer:
        process.alone("styles train")
        return StyleTrainer(config, options.pairs)

    return launch(make, StyleConfig(), options)


if __name__ == "__main__":
    sys.exit(main())
