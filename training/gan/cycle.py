"""CycleGAN: two generators between two unpaired sides (Zhu et al., ICCV 2017).

Loss of the generators: adversarial (least squares), cycle (weight 10), identity (0.5 times that). The discriminators
see a history of generated pictures. The generator a -> b is the one that is released.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from training.common.checkpoints import read, write
from training.common.processes import Process
from training.common.trainee import Trainee
from training.gan.features import LiteFeatures
from training.gan.image_pool import ImagePool
from training.gan.losses import discriminator_loss, generator_loss
from training.gan.packs import Pack, drawn, to_float
from training.gan.paired import VALIDATION, translated
from training.gan.scores import set_scores
from training.gan.settings import GanConfig, GanTrainer, initialised, new_network

POOLS = "pools.safetensors"


@dataclass(frozen=True)
class CycleConfig(GanConfig):
    """ngf, ndf, blocks, layers: sizes of the networks · cycle: weight of the cycle loss · identity: of the identity
    loss, times `cycle` · pool: pictures kept for the discriminators."""

    name: str = "style-cyclegan"
    batch: int = 1
    generator: str = "gan-resnet"
    ngf: int = 32
    blocks: int = 6
    ndf: int = 32
    layers: int = 3
    loss: str = "lsgan"
    cycle: float = 10.0
    identity: float = 0.5
    pool: int = 50


class CycleTrainer(GanTrainer):
    """pack: sides `a` and `b`, of any lengths · held: two sides to validate a -> b on."""

    config: CycleConfig

    def __init__(self, config: CycleConfig, process: Process, pack: Pack, held: Pack | None = None):
        self.pack, self.held = pack, held
        seeds = iter(range(config.seed, config.seed + 4))

        def generator(name: str) -> tuple[Trainee, Any]:
            seed = next(seeds)
            network, facts = new_network(config.generator, seed, process, ngf=config.ngf, n_blocks=config.blocks)
            return Trainee(name, initialised(network, seed), config.optimiser), facts

        def discriminator(name: str) -> Trainee:
            seed, sizes = next(seeds), {"ndf": config.ndf, "n_layers": config.layers, "norm": "instance"}
            network, _ = new_network("gan-patchgan", seed, process, **sizes)
            return Trainee(name, initialised(network, seed), config.discriminator)

        self.g_a, facts = generator(config.name)
        self.g_b, _ = generator(f"{config.name}-back")
        self.d_a, self.d_b = (discriminator(f"{config.name}-discriminator-{side}") for side in "ab")
        trainees = [self.g_a, self.g_b, self.d_a, self.d_b]
        super().__init__(config, trainees, process, facts, str(pack.facts.get("source", "")))
        self.pools = [ImagePool(config.pool, random.Random(0)) for _ in range(2)]

    def learn(self, progress: float) -> dict[str, float]:
        """One step of both generators, then one of both discriminators."""
        c, device = self.config, self.process.device
        a, b = (to_float(drawn((self.pack[s],), c.batch, self.draws, c.flip)[0], device) for s in "ab")
        generators, judges = (self.g_a, self.g_b), (self.d_a, self.d_b)
        for judge in judges:
            judge.network.requires_grad_(False)
        for trainee in generators:
            trainee.begin(progress)
        there, back = self.g_a.network, self.g_b.network
        fake_b, fake_a = there(a), back(b)
        scores = [
            generator_loss(c.loss, judge.network(c.augment.fake(fake, generator_step=True)))
            for judge, fake in zip(judges, (fake_b, fake_a))
        ]
        cycle = F.l1_loss(back(fake_b), a) + F.l1_loss(there(fake_a), b)
        loss = scores[0] + scores[1] + c.cycle * cycle
        if c.identity:
            loss = loss + c.cycle * c.identity * (F.l1_loss(there(b), b) + F.l1_loss(back(a), a))
        loss.backward()
        taken = [trainee.finish() for trainee in generators]
        d_losses = []
        for judge, pool, real, fake in zip(judges, self.pools, (b, a), (fake_b, fake_a)):
            judge.network.requires_grad_(True)
            pool.rng = self.rng
            shown = judge.network(c.augment.fake(pool.query(fake)))
            d_loss = discriminator_loss(c.loss, judge.network(c.augment.real(real)), shown) / 2
            taken.append(judge.learn(d_loss, progress))
            d_losses.append(float(d_loss.detach()))
        if not all(taken):
            return dict.fromkeys(("g", "cycle", "d"), float("nan"))
        return {"g": float(loss.detach()), "cycle": float(cycle.detach()), "d": sum(d_losses) / 2}

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """fid_lite0 and kid_lite0 of translated held-out pictures of side a against those of side b."""
        if self.held is None:
            return {}
        with self.g_a.averaged() as network:
            output = translated(network, to_float(self.held["a"][:VALIDATION], self.process.device))
        return {self.g_a.name: set_scores(LiteFeatures(), self.held["b"][:VALIDATION], output)}

    def save(self, out: Path) -> None:
        """Checkpoints of the networks, and the histories of generated pictures."""
        super().save(out)
        kept = {f"{i}.{j}": p for i, pool in enumerate(self.pools) for j, p in enumerate(pool.kept)}
        write(out / POOLS, kept, {"counts": [len(pool.kept) for pool in self.pools]})

    def resume(self, folder: Path) -> dict[str, Any]:
        """Goes on from `folder`."""
        notes = super().resume(folder)
        kept, told = read(folder / POOLS)
        for i, (pool, count) in enumerate(zip(self.pools, told["counts"])):
            pool.kept = [kept[f"{i}.{j}"].to(self.process.device) for j in range(count)]
        return notes
