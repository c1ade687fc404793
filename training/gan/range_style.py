"""Trains LiDAR styles (models/gan/range_style.py) on the exact pairs of training/gan/pairs.py, and releases them.

    python -m training.gan.range_style --pairs runs/style --steps 1500 --out runs/style_lidar
    python -m training.gan.range_style_evaluate runs/style_lidar/*.checkpoint.safetensors --pairs runs/style

A firing of the clear sweep stays (its echo in the weather is less than 0.5 m nearer), is lost, or comes from the air
(any nearer echo). The loss is the cross-entropy of these three, the mean absolute difference of the intensities that
stay, and the negative log-likelihood of an exponential law for the distance of echoes from the air.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.facts import ModelFacts
from models.gan.build import build_network, facts_of
from models.gan.range_style import AIR, LOST, NEAREST, STAY, range_features
from models.gan.styles import LIDAR, PREFIX
from training.common import loop
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.trainee import OptimiserConfig, Trainee
from training.gan.pairs import LIDAR_STYLES, Pairs

NEARER = 0.5  # m: an echo that is so much nearer comes from the air
ECHOES = 16_384  # of a sweep that a step sees


@dataclass(frozen=True)
class RangeStyleConfig(loop.LoopConfig):
    """width: of the networks · batch: sweeps a step · intensity: weight of the intensities' loss."""

    threads: int = 1
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=4e-3, weight_decay=0.0))
    width: int = 32
    batch: int = 2
    intensity: float = 5.0


class Batch(NamedTuple):
    """Range m and intensity 0..1 of clear echoes, and of the same firings in the weather, float [N] each; 0 m: no
    return."""

    distance: Tensor
    intensity: Tensor
    styled_distance: Tensor
    styled_intensity: Tensor

    @property
    def fate(self) -> Tensor:
        """int64 [N]: STAY, LOST or AIR."""
        found = torch.full(self.distance.shape, STAY)
        found[self.styled_distance < self.distance - NEARER] = AIR
        found[self.styled_distance <= 0] = LOST
        return found


def range_loss(output: Tensor, batch: Batch, intensity: float) -> tuple[Tensor, dict[str, float]]:
    """(loss, its parts) of a network's output [N, 5]."""
    fate = batch.fate
    chance = F.cross_entropy(output[:, :3], fate)
    stay, air = fate == STAY, fate == AIR
    brightness = batch.intensity * output[:, 3].exp()
    brightness_error = (
        (brightness - batch.styled_intensity).abs()[stay].mean() if bool(stay.any()) else output.sum() * 0
    )
    log_mean = output[:, 4][air]
    beyond = (batch.styled_distance[air] - NEAREST).clamp(min=0)
    far = (beyond * (-log_mean).exp() + log_mean).mean() if bool(air.any()) else output.sum() * 0
    loss = chance + intensity * brightness_error + 0.02 * far
    return loss, {"chance": chance.item(), "intensity": brightness_error.item(), "air": far.item()}


def network_facts(config: RangeStyleConfig, style: str) -> ModelFacts:
    """Facts of the network of one style, not trained yet."""
    return facts_of("gan-range-style", {"width": config.width}, f"{PREFIX}{style}{LIDAR}")


class RangeStyleTrainer(loop.Trainer):
    """One network for each weather; every step shows all of them the same clear sweeps."""

    config: RangeStyleConfig

    def __init__(self, config: RangeStyleConfig, pairs: Path):
        self.sweeps = [(s.range, s.intensity) for s in Pairs(pairs, "train").sweeps()]
        networks = [build_network(network_facts(config, style), config.seed) for style in LIDAR_STYLES]
        names = [f"{PREFIX}{style}{LIDAR}" for style in LIDAR_STYLES]
        super().__init__(config, [Trainee(n, w, config.optimiser) for n, w in zip(names, networks)], Process())
        self.rng = np.random.default_rng(config.seed)

    def batches(self) -> list[Batch]:
        """Echoes of the next clear sweeps with those of each weather; the sensors alternate at random."""
        found: list[list[NDArray[np.float32]]] = [[], []]
        for _ in range(self.config.batch):
            distance, intensity = self.sweeps[int(self.rng.integers(len(self.sweeps)))]
            moment = int(self.rng.integers(len(distance)))
            seen = np.flatnonzero(distance[moment, 0])
            chosen = self.rng.choice(seen, min(ECHOES, len(seen)), replace=False)
            for images, parts in zip((distance, intensity), found):
                parts.append(images[moment].reshape(len(images[moment]), -1)[:, chosen])
        r, i = (torch.from_numpy(np.concatenate(parts, 1)) for parts in found)  # [conditions, N]
        return [Batch(r[0], i[0], r[k], i[k]) for k in (1, 2)]

    def step(self, progress: float) -> dict[str, float]:
        """One step of every weather; its loss by name, NaN where the step was skipped."""
        losses = {}
        for trainee, batch in zip(self.trainees, self.batches()):
            trainee.network.train()
            output = trainee.network(range_features(batch.distance, batch.intensity))
            loss, _ = range_loss(output, batch, self.config.intensity)
            losses[trainee.name] = loss.item() if trainee.learn(loss, progress) else float("nan")
        return losses

    def notes(self) -> dict[str, Any]:
        """See loop.Trainer."""
        return {"worlds": len(self.sweeps), "rng": json.dumps(self.rng.bit_generator.state)}

    def restore(self, notes: dict[str, Any]) -> None:
        """See loop.Trainer."""
        self.rng.bit_generator.state = json.loads(notes["rng"])


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("gan.range_style", __doc__, minutes=10.0)
    parser.add_argument("--pairs", type=Path, default=Path("runs/style"), help="folder of generated pairs")
    options = parser.parse_args(arguments)

    def make(config: RangeStyleConfig, process: Process) -> RangeStyleTrainer:
        process.alone("styles train")
        return RangeStyleTrainer(config, options.pairs)

    return launch(make, RangeStyleConfig(), options)


if __name__ == "__main__":
    sys.exit(main())
