"""Training of bevfusion-lite's LiDAR branch, trunk and heads on the driving world.

    python -m training.bevfusion.generate --split train --worlds 2000 --out runs/bevfusion            (and val, test)
    python -m training.bevfusion --frames runs/bevfusion --minutes 300 --out runs/bevfusion_run
    …                                                                       (and with --resume, to go on)

The camera branch is not trained here: its map is zeros, as where no camera is there. Worlds that are generated
meanwhile are taken up. `python -m training.bevfusion.evaluate` scores and releases the averaged weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.lite.fused_build import build_network, config, facts_of
from models.bevfusion.lite.network import BevFusionLite, LiteOutputs
from models.facts import ModelError
from training.bevfusion.augment import BevAugment, augmented
from training.bevfusion.frames import BOX_NAMES, Moment, read_labels, read_moment, read_world, worlds_in
from training.bevfusion.loss import LossWeights, lite_loss
from training.bevfusion.paste import PasteConfig, pasted
from training.bevfusion.scores import score
from training.bevfusion.targets import box_targets
from training.common import loop
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.rare import rare_weights
from training.common.trainee import OptimiserConfig, Trainee, decayed_groups

NAME = "bevfusion-lite"


@dataclass(frozen=True)
class BevTrainConfig(loop.LoopConfig):
    """channels, edge: of the network, see lite/fused_build.py · batch: moments per step · reload_minutes: how often new
    worlds are looked for · validation_worlds: of the val split · rarity: how much more often moments with rare classes
    are drawn (0: evenly) · paste: objects of other moments."""

    threads: int = 1
    validate_minutes: float = 60.0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-3, weight_decay=0.01, clip=35.0))
    channels: int = 48
    edge: float = 51.2
    batch: int = 4
    reload_minutes: float = 5.0
    validation_worlds: int = 5
    loss: LossWeights = field(default_factory=LossWeights)
    augment: BevAugment = field(default_factory=BevAugment)
    rarity: float = 0.5
    paste: PasteConfig = field(default_factory=PasteConfig)


def network_facts(channels: int, edge: float, sensors: tuple[str, ...] = ("lidar",)) -> Any:
    """Facts of the network that is trained with these sensors."""
    return facts_of(config(channels, edge, sensors=sensors, temporal=False), NAME)


def answer(network: BevFusionLite, moments: list[Moment]) -> LiteOutputs:
    """What the LiDAR branch says of a batch: no cameras, no past."""
    points = torch.from_numpy(np.concatenate([m.points for m in moments]))
    sample = torch.arange(len(moments)).repeat_interleave(torch.tensor([len(m.points) for m in moments]))
    pillars = network.pillars(points, sample, len(moments))
    return network.bev(pillars, network.no_context(len(moments)), *network.no_past(len(moments)))


class BevTrainer(loop.Trainer):
    """The network, its moments and its steps."""

    config: BevTrainConfig

    def __init__(self, settings: BevTrainConfig, frames: Path):
        self.folder = frames
        self.paths = worlds_in(frames, "train")
        self.network = build_network(network_facts(settings.channels, settings.edge), settings.seed)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for parameter in self.frozen().parameters():
            parameter.requires_grad_(False)
        groups = decayed_groups(self.network, settings.optimiser.weight_decay)
        super().__init__(settings, [Trainee(NAME, self.network, settings.optimiser, groups=groups)], Process())
        self.rng = np.random.default_rng(settings.seed)
        self.seen, self._reloaded = 0, 0.0
        self._labels: dict[Path, list[NDArray[np.int64]]] = {}
        self._draws = self._weighed()

    def _weighed(self) -> tuple[list[tuple[Path, int]], NDArray[np.float64]]:
        """((file, moment) of all moments, their probabilities)."""
        for path in self.paths:
            if path not in self._labels:
                self._labels[path] = read_labels(path)
        places = [(path, i) for path in self.paths for i in range(len(self._labels[path]))]
        holds = np.zeros((len(places), len(BOX_NAMES)), bool)
        for row, (path, i) in enumerate(places):
            holds[row, self._labels[path][i]] = True
        return places, rare_weights(holds, self.config.rarity)

    def frozen(self) -> nn.Module:
        """The part of the network that keeps its weights: the camera branch."""
        return self.network.lift

    def collect(self) -> bool:
        """Takes up worlds that were generated meanwhile, unless the schedule is in steps."""
        if not self.config.steps and self.elapsed - self._reloaded > 60 * self.config.reload_minutes:
            self._reloaded, self.paths = self.elapsed, worlds_in(self.folder, "train")
            self._draws = self._weighed()
        return True

    def batch(self) -> list[Moment]:
        """The next augmented moments, of different worlds as far as there are."""
        found = []
        for _ in range(self.config.batch):
            one = self._drawn()
            if self.rng.random() < self.config.paste.chance:
                one = pasted(one, self._drawn(), self.config.paste, self.rng)
            found.append(augmented(one, self.config.augment, self.rng))
        return found

    def _drawn(self) -> Moment:
        places, weights = self._draws
        path, i = places[self.rng.choice(len(places), p=weights)]
        return read_moment(path, i)

    def step(self, progress: float) -> dict[str, float]:
        """One step on the next batch; the losses, NaN where the step was skipped."""
        moments = self.batch()
        self.network.train()
        found = answer(self.network, moments)
        targets = box_targets(moments, self.network.coarse)
        loss, parts = lite_loss(found, len(BOX_NAMES), targets, masks_of(moments, found.map), self.config.loss)
        self.seen += len(moments)
        taken = self.trainees[0].learn(loss, progress)
        return parts if taken else dict.fromkeys(parts, float("nan"))

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on the val split."""
        try:
            paths = worlds_in(self.folder, "val")[: self.config.validation_worlds]
        except ModelError:
            return {}
        with self.trainees[0].averaged():
            found = score(lambda moment: answer(self.network, [moment]), self.network, map(read_world, paths))
        return {NAME: {k: v for k, v in found.items() if isinstance(v, float)}}

    def status(self) -> dict[str, Any]:
        """Moments learned from, worlds on disk."""
        return {"seen": self.seen, "worlds": len(self.paths)}

    def notes(self) -> dict[str, Any]:
        """See loop.Trainer."""
        return {**self.status(), "rng": json.dumps(self.rng.bit_generator.state)}

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer."""
        self.seen, self._reloaded = int(notes["seen"]), self.elapsed
        self.rng.bit_generator.state = json.loads(notes["rng"])


def masks_of(moments: list[Moment], like: Tensor) -> Tensor:
    """Masks uint8 [B, 6, X, Y] on the head's grid, the middle of the stored one."""
    masks = torch.from_numpy(np.stack([m.masks for m in moments]))
    cut = [(have - want) // 2 for have, want in zip(masks.shape[2:], like.shape[2:])]
    return masks[:, :, cut[0] : cut[0] + like.shape[2], cut[1] : cut[1] + like.shape[3]]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("bevfusion", __doc__, minutes=300.0)
    parser.add_argument("--frames", type=Path, default=Path("runs/bevfusion"), help="folder of generated worlds")
    options = parser.parse_args(arguments)

    def make(settings: BevTrainConfig, process: Process) -> BevTrainer:
        process.alone("bevfusion trains")
        return BevTrainer(settings, options.frames)

    return launch(make, BevTrainConfig(), options)
