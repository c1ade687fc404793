"""What all GAN trainers share: their config, Adam with a constant and then falling rate, DiffAugment and its naive
variants, and a trainer whose every step draws from a seed of its own, so that a resumed run repeats an unbroken one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelFacts
from models.gan.augment import Draws, augment, draw, parse_policy
from models.gan.build import build_network, facts_of
from training.common.loop import LoopConfig, Trainer
from training.common.processes import Process
from training.common.trainee import OptimiserConfig, Trainee

GEOMETRIC = ("translation", "cutout")
WHERE = ("both", "none", "real", "fake", "discriminator")


@dataclass(frozen=True)
class GanOptimiser(OptimiserConfig):
    """Adam; the rate is constant for the share `constant` of the schedule, then falls linearly to 0 (pix2pix,
    CycleGAN). constant 1: it never falls (StyleGAN2)."""

    lr: float = 2e-4
    weight_decay: float = 0.0
    clip: float = 1000.0
    ema: float = 0.999
    betas: tuple[float, float] = (0.5, 0.999)
    constant: float = 0.5

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adam over the groups."""
        return torch.optim.Adam(groups, lr=self.lr, betas=self.betas)

    def factor(self, progress: float) -> float:
        """Multiple of the rate at progress 0..1."""
        if progress <= self.constant:
            return 1.0
        return max((1.0 - progress) / max(1.0 - self.constant, 1e-9), 0.0)


@dataclass(frozen=True)
class DiffAugment:
    """policy: operations such as "color,translation,cutout", "" for none · where: "both" (the method: real and
    generated pictures, in both steps), "none", or a naive variant of the paper's comparison: "real" (real pictures
    only), "fake" (generated only), "discriminator" (both kinds, but not in the generator's step)."""

    policy: str = ""
    where: str = "both"

    def check(self) -> None:
        """ValueError for an unknown operation or place."""
        parse_policy(self.policy)
        if self.where not in WHERE:
            raise ValueError(f"augment.where is {self.where!r}: expected one of {', '.join(WHERE)}")

    def real(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Real pictures as the discriminator gets them; see `fake`."""
        return self._joined(x, condition, self.where in ("both", "real", "discriminator"))

    def fake(self, x: Tensor, condition: Tensor | None = None, generator_step: bool = False) -> Tensor:
        """Generated pictures as the discriminator gets them.

        condition: [N, K, H, W], joined before the picture; it moves and is cut like the picture, and where it has
        three channels (a picture) its colours change alike.
        """
        kinds = ("both", "fake") if generator_step else ("both", "fake", "discriminator")
        return self._joined(x, condition, self.where in kinds)

    def _joined(self, x: Tensor, condition: Tensor | None, wanted: bool) -> Tensor:
        if not wanted or not self.policy:
            return x if condition is None else torch.cat([condition, x], 1)
        if condition is None:
            return augment(x, self.policy)
        draws: Draws = draw(x, self.policy)
        policy = self.policy
        if condition.shape[1] != 3:  # a map of classes has no colours
            policy = ",".join(name for name in parse_policy(policy) if name in GEOMETRIC)
        return torch.cat([augment(condition, policy, draws=draws), augment(x, self.policy, draws=draws)], 1)


@dataclass(frozen=True)
class GanConfig(LoopConfig):
    """name: of the model that is released · batch: pictures per step · flip: random mirroring · augment: DiffAugment ·
    discriminator: its optimiser (`optimiser` is the generator's)."""

    steps: int = 2000
    threads: int = 1
    optimiser: GanOptimiser = field(default_factory=GanOptimiser)
    discriminator: GanOptimiser = field(default_factory=GanOptimiser)
    name: str = "gan"
    batch: int = 4
    flip: bool = True
    augment: DiffAugment = field(default_factory=DiffAugment)


class GanTrainer(Trainer):
    """Every step seeds torch's generator and `rng` with the run's seed and the step's number.

    The first trainee is the generator: it is released with the facts in the checkpoint's notes.
    """

    config: Any
    rng: random.Random
    draws: torch.Generator

    def __init__(self, config: Any, trainees: list[Trainee], process: Process, facts: ModelFacts, data: str):
        process.alone("GANs train")
        config.augment.check()
        super().__init__(config, trainees, process)
        self.facts, self.data = facts, data
        self.rng, self.draws = random.Random(config.seed), torch.Generator()

    def learn(self, progress: float) -> dict[str, float]:
        """One step of all networks: what a trainer of this room writes in place of `step`."""
        raise NotImplementedError

    def step(self, progress: float) -> dict[str, float]:
        """Seeds every random generator, then `learn`."""
        seed = self.config.seed * 1_000_003 + self.step_number
        torch.manual_seed(seed)
        self.draws.manual_seed(seed)
        self.rng.seed(seed)
        for trainee in self.trainees:
            trainee.network.train()
        return self.learn(progress)

    def notes(self) -> dict[str, Any]:
        """Architecture and numbers of the generator, and where its data come from: what a release needs."""
        return {"architecture": self.facts.architecture, "network": self.facts.network, "data": self.data}


def new_network(architecture: str, seed: int, process: Process, **numbers: Any) -> tuple[nn.Module, ModelFacts]:
    """An untrained network on the process's device, and its facts. ModelError where the numbers do not fit."""
    facts = facts_of(architecture, numbers, architecture)
    return build_network(facts, seed=seed).to(process.device), facts


def initialised(network: nn.Module, seed: int, deviation: float = 0.02) -> nn.Module:
    """Convolutions from N(0, 0.02), batch norms from N(1, 0.02), biases 0: pix2pix's start (Isola et al., 2017)."""
    draws = torch.Generator().manual_seed(seed)
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.ndim not in (1, 2, 4):
            continue
        values = torch.empty(weight.shape).normal_(1.0 if weight.ndim == 1 else 0.0, deviation, generator=draws)
        with torch.no_grad():
            weight.copy_(values)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)
    return network


def alternate(
    generator: Trainee,
    discriminator: Trainee,
    progress: float,
    d_loss: Callable[[], Tensor],
    g_loss: Callable[[], Tensor],
) -> tuple[float, float]:
    """One step of the discriminator, then one of the generator, in which the discriminator's weights are constants.
    Both losses; NaN where a step was skipped."""
    loss_d = d_loss()
    taken_d = discriminator.learn(loss_d, progress)
    discriminator.network.requires_grad_(False)
    try:
        loss_g = g_loss()
        taken_g = generator.learn(loss_g, progress)
    finally:
        discriminator.network.requires_grad_(True)
    return (float(loss_d.detach()) if taken_d else float("nan"), float(loss_g.detach()) if taken_g else float("nan"))
