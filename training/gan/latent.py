"""GANs that make pictures of latent vectors: what their trainers share, and the plain GAN and MSG-GAN.

plain   the text-book GAN with convolutions, with or without classes (models/gan/plain.py)
MSG-GAN all resolutions judged together, relativistic hinge loss (models/gan/msggan.py)

StyleGAN2 stands in style_trainer.py, AnyCost in anycost.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from models.gan.augment import Draws, augment, draw
from training.common.processes import Process
from training.common.trainee import Trainee
from training.gan.consistency import picture_pyramid
from training.gan.features import LiteFeatures
from training.gan.losses import discriminator_loss, generator_loss, relativistic_hinge_d, relativistic_hinge_g
from training.gan.packs import Pack, drawn, to_float
from training.gan.scores import set_scores
from training.gan.settings import GanConfig, GanOptimiser, GanTrainer, alternate, initialised, new_network

SCORED, BATCH = 96, 16  # pictures that a validation generates; at a time


@dataclass(frozen=True)
class PlainConfig(GanConfig):
    """latent: length of z · width: channels of the finest layer · conditional: class-conditional, on the pack's
    classes."""

    name: str = "plain"
    batch: int = 16
    latent: int = 64
    width: int = 16
    conditional: bool = False
    loss: str = "vanilla"


@dataclass(frozen=True)
class MsgConfig(GanConfig):
    """latent: length of z and width of the coarse layers."""

    name: str = "msg"
    batch: int = 8
    latent: int = 64
    optimiser: GanOptimiser = field(default_factory=lambda: GanOptimiser(lr=3e-3, betas=(0.0, 0.99), constant=1.0))
    discriminator: GanOptimiser = field(default_factory=lambda: GanOptimiser(lr=3e-3, betas=(0.0, 0.99), constant=1.0))


class LatentTrainer(GanTrainer):
    """What the trainers share. pack: `pictures`, square ones of a power of two (and `classes`) · held: pictures that
    validations compare with."""

    def __init__(
        self, config: Any, process: Process, pack: Pack, held: Pack | None,
        generator: tuple[nn.Module, Any], discriminator: nn.Module,
    ):  # fmt: skip
        network, facts = generator
        self.pack, self.held = pack, held
        self.g = Trainee(config.name, network, config.optimiser)
        self.d = Trainee(f"{config.name}-discriminator", discriminator, config.discriminator)
        super().__init__(config, [self.g, self.d], process, facts, str(pack.facts.get("source", "")))

    def latents(self, count: int, draws: torch.Generator | None = None) -> Tensor:
        """Standard normal z [count, latent]."""
        return torch.randn(count, self.config.latent, generator=draws).to(self.process.device)

    def batch(self) -> tuple[Tensor, Tensor | None]:
        """Real pictures float [N, 3, R, R] and their classes where the GAN is conditional."""
        names = ("pictures", "classes") if getattr(self.config, "conditional", False) else ("pictures",)
        found = drawn(tuple(self.pack[n] for n in names), self.config.batch, self.draws, self.config.flip)
        labels = found[1].to(self.process.device).long() if len(found) > 1 else None
        return to_float(found[0], self.process.device), labels

    @torch.no_grad()
    def samples(self, network: nn.Module, count: int) -> Tensor:
        """Pictures of an averaged generator, from the same latent vectors at every call."""
        draws = torch.Generator().manual_seed(1)
        classes = len(self.pack.facts.get("class_names", ())) or 1
        parts = []
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            z, labels = self.latents(size, draws), torch.randint(classes, (size,), generator=draws)
            parts.append(self.pictures_of(network, z, labels.to(self.process.device)))
        return torch.cat(parts)

    def pictures_of(self, network: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """The finest pictures of latent vectors."""
        raise NotImplementedError

    def validate(self) -> dict[str, Any]:
        """fid_lite0 and kid_lite0 of the averaged generator's pictures against the held-out ones."""
        if self.held is None:
            return {}
        real = self.held["pictures"]
        with self.g.averaged() as network:
            return {self.g.name: set_scores(LiteFeatures(), real, self.samples(network, min(SCORED, len(real))))}


def classes_of(config: Any, pack: Pack) -> int:
    """Number of classes, 0 for an unconditional GAN. ValueError where the pack names none."""
    if not config.conditional:
        return 0
    names = pack.facts.get("class_names")
    if not names or "classes" not in pack.arrays:
        raise ValueError("conditional=true, but the pack has no classes: gather it with --worlds")
    return len(names)


def side_of(pack: Pack) -> int:
    """Side of the pack's square pictures, px. ValueError for others."""
    height, width = pack["pictures"].shape[2:]
    if height != width:
        raise ValueError(f"the pack's pictures are {height} x {width} px: expected square ones, gather with --size N N")
    return int(height)


class PlainTrainer(LatentTrainer):
    """The text-book GAN: a step of the discriminator, a step of the generator."""

    config: PlainConfig

    def __init__(self, config: PlainConfig, process: Process, pack: Pack, held: Pack | None = None):
        common = {"size": side_of(pack), "width": config.width, "classes": classes_of(config, pack)}
        generator = new_network("gan-plain", config.seed, process, latent=config.latent, **common)
        discriminator, _ = new_network("gan-plain-discriminator", config.seed + 1, process, **common)
        initialised(generator[0], config.seed)
        super().__init__(config, process, pack, held, generator, initialised(discriminator, config.seed + 1))

    def learn(self, progress: float) -> dict[str, float]:
        """One batch."""
        c = self.config
        real, labels = self.batch()
        fake = self.g.network(self.latents(c.batch), labels)

        def d_loss() -> Tensor:
            scores = (self.d.network(x, labels) for x in (c.augment.real(real), c.augment.fake(fake.detach())))
            return discriminator_loss(c.loss, *scores)

        def g_loss() -> Tensor:
            return generator_loss(c.loss, self.d.network(c.augment.fake(fake, generator_step=True), labels))

        loss_d, loss_g = alternate(self.g, self.d, progress, d_loss, g_loss)
        return {"d": loss_d, "g": loss_g}

    def pictures_of(self, network: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """Pictures of z."""
        return network(z, labels if self.config.conditional else None)


class MsgTrainer(LatentTrainer):
    """MSG-GAN: pyramids of pictures."""

    config: MsgConfig

    def __init__(self, config: MsgConfig, process: Process, pack: Pack, held: Pack | None = None):
        self.depth = side_of(pack).bit_length() - 2
        generator = new_network("gan-msg", config.seed, process, depth=self.depth, latent_size=config.latent)
        discriminator, _ = new_network(
            "gan-msg-discriminator", config.seed + 1, process, depth=self.depth, feature_size=config.latent
        )
        super().__init__(config, process, pack, held, generator, discriminator)

    def learn(self, progress: float) -> dict[str, float]:
        """One batch of pyramids."""
        c = self.config
        finest, _ = self.batch()
        real = picture_pyramid(finest, [4 * 2**i for i in range(self.depth)])
        fake = self.g.network(self.latents(c.batch))
        switch = c.augment

        def scores(pictures: list[Tensor], places: tuple[str, ...]) -> Tensor:
            return self.d.network(augment_pyramid(pictures, switch.policy if switch.where in places else ""))

        def d_loss() -> Tensor:
            return relativistic_hinge_d(
                scores(real, ("both", "real", "discriminator")),
                scores([f.detach() for f in fake], ("both", "fake", "discriminator")),
            )

        def g_loss() -> Tensor:
            judged = scores(real, ("both", "real")), scores(fake, ("both", "fake"))
            return relativistic_hinge_g(*judged)

        loss_d, loss_g = alternate(self.g, self.d, progress, d_loss, g_loss)
        return {"d": loss_d, "g": loss_g}

    def pictures_of(self, network: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """The finest pictures of z."""
        return network(z)[-1]


def augment_pyramid(pictures: list[Tensor], policy: str) -> list[Tensor]:
    """DiffAugment of pictures of rising resolution [N, 3, r, r]: all levels get the numbers of the finest, shifts and
    boxes scaled to their size."""
    if not policy:
        return pictures
    finest = pictures[-1]
    draws, side = draw(finest, policy), finest.shape[-1]
    return [augment(p, policy, draws=_scaled(draws, side // p.shape[-1])) for p in pictures]


def _scaled(draws: Draws, factor: int) -> Draws:
    def over(number: Tensor | None) -> Tensor | None:
        return None if number is None else torch.div(number, factor, rounding_mode="floor")

    return replace(
        draws, translation_x=over(draws.translation_x), translation_y=over(draws.translation_y),
        offset_x=over(draws.offset_x), offset_y=over(draws.offset_y),
    )  # fmt: skip


