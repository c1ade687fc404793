"""pix2pix and SPADE: trainers on pairs, in which a discriminator judges the source and the picture together.

pix2pix   picture to picture: adversarial loss and L1 to the truth (Isola et al., CVPR 2017)
SPADE     semantic map to picture: hinge loss, feature matching, perceptual loss (Park et al., CVPR 2019)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.facts import ModelError
from models.gan.spade_input import one_hot
from training.common.processes import Process
from training.common.trainee import Trainee
from training.gan.features import LiteFeatures, perceptual_loss
from training.gan.losses import discriminator_loss, feature_matching, generator_loss
from training.gan.packs import Pack, drawn, to_float
from training.gan.scores import paired_scores, set_scores
from training.gan.settings import GanConfig, GanOptimiser, GanTrainer, alternate, initialised, new_network

VALIDATION = 48  # pictures


@dataclass(frozen=True)
class Pix2pixConfig(GanConfig):
    """generator: "gan-resnet", "gan-mobile-resnet" or "gan-unet" · ngf, ndf: widths · blocks: residual blocks ·
    num_downs: levels of the U-Net · layers: of the PatchGAN · loss: adversarial · l1: weight of the L1 loss."""

    name: str = "style-pix2pix"
    generator: str = "gan-resnet"
    ngf: int = 32
    blocks: int = 6
    num_downs: int = 6
    norm: str = "instance"
    dropout: float = 0.0
    ndf: int = 32
    layers: int = 3
    loss: str = "lsgan"
    l1: float = 100.0


@dataclass(frozen=True)
class SpadeConfig(GanConfig):
    """mobile: separable gamma and beta · upsampling: as in models/gan/spade_generator.py · matching, perceptual:
    weights of the two losses (published: 10 and 10; here with EfficientNet-Lite0 in place of VGG19)."""

    name: str = "spade"
    mobile: bool = False
    ngf: int = 16
    ndf: int = 16
    upsampling: str = "normal"
    loss: str = "hinge"
    matching: float = 10.0
    perceptual: float = 10.0
    optimiser: GanOptimiser = field(default_factory=lambda: GanOptimiser(lr=1e-4, betas=(0.0, 0.9)))
    discriminator: GanOptimiser = field(default_factory=lambda: GanOptimiser(lr=4e-4, betas=(0.0, 0.9)))


class PairedTrainer(GanTrainer):
    """What both trainers share. pack: what is learned from · held: pairs to validate on, None: no validation."""

    source, target = "a", "b"
    compares = False  # whether the generator's loss compares the discriminator's features of real and generated ones
    conditional = True  # whether the discriminator sees the source too

    def __init__(
        self, config: Any, process: Process, pack: Pack, held: Pack | None,
        generator: tuple[nn.Module, Any], discriminator: nn.Module, auxiliary: nn.Module | None = None,
    ):  # fmt: skip
        network, facts = generator
        self.pack, self.held = pack, held
        self.g = Trainee(config.name, network, config.optimiser, auxiliary=auxiliary)
        self.d = Trainee(f"{config.name}-discriminator", discriminator, config.discriminator)
        super().__init__(config, [self.g, self.d], process, facts, str(pack.facts.get("source", "")))
        self._features: LiteFeatures | None = None

    @property
    def features(self) -> LiteFeatures:
        """EfficientNet-Lite0, built when it is first needed."""
        if self._features is None:
            self._features = LiteFeatures().to(self.process.device)
        return self._features

    def condition(self, source: Tensor) -> Tensor:
        """Entries of the pack's source as the networks read them, float [N, K, H, W]."""
        return to_float(source, self.process.device)

    def extra_loss(self, output: Tensor, truth: Tensor, real: Any, fake: Any) -> Tensor:
        """The generator's loss beside the adversarial one. real, fake: the discriminator's answers."""
        raise NotImplementedError

    def entries(self) -> list[Tensor]:
        """Sources and targets of one batch, uint8."""
        arrays = self.pack[self.source], self.pack[self.target]
        return drawn(arrays, self.config.batch, self.draws, self.config.flip)

    def output(self, given: Tensor) -> Tensor:
        """The generator's pictures of a batch."""
        return self.g.network(given)

    def learn(self, progress: float) -> dict[str, float]:
        """One batch: the discriminator's step, the generator's."""
        c = self.config
        source, target = self.entries()
        given, truth = self.condition(source), to_float(target, self.process.device)
        output, judged = self.output(given), given if self.conditional else None

        def d_loss() -> Tensor:
            real = self.d.network(c.augment.real(truth, judged))
            fake = self.d.network(c.augment.fake(output.detach(), judged))
            return discriminator_loss(c.loss, real, fake) / 2

        def g_loss() -> Tensor:
            numbers = torch.get_rng_state()
            fake = self.d.network(c.augment.fake(output, judged, generator_step=True))
            real = None
            if self.compares:
                torch.set_rng_state(numbers)  # both are augmented alike
                with torch.no_grad():
                    real = self.d.network(c.augment.real(truth, judged))
            return generator_loss(c.loss, fake) + self.extra_loss(output, truth, real, fake)

        loss_d, loss_g = alternate(self.g, self.d, progress, d_loss, g_loss)
        return {"d": loss_d, "g": loss_g, "l1": float(F.l1_loss(output.detach(), truth))}

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """psnr, lpips_lite0, fid_lite0 and kid_lite0 of the averaged generator on the held-out pairs."""
        if self.held is None:
            return {}
        with self.g.averaged() as network:
            return {self.g.name: self.scores(network, self.held.first(VALIDATION))}

    @torch.no_grad()
    def scores(self, network: nn.Module, held: Pack) -> dict[str, float]:
        """Scores of a generator on held-out entries; psnr and lpips_lite0 where they are pairs."""
        output, truth = translated(network, self.condition(held[self.source])), held[self.target]
        paired = paired_scores(self.features, output, truth) if held.facts.get("paired") else {}
        return paired | set_scores(self.features, truth, output)


@torch.no_grad()
def translated(network: nn.Module, conditions: Tensor, batch: int = 8) -> Tensor:
    """Outputs of a generator, in batches."""
    return torch.cat([network(part) for part in conditions.split(batch)])


class Pix2pixTrainer(PairedTrainer):
    """Pairs a -> b of a pack."""

    config: Pix2pixConfig

    def __init__(self, config: Pix2pixConfig, process: Process, pack: Pack, held: Pack | None = None):
        generator = new_network(config.generator, config.seed, process, **_numbers(config))
        initialised(generator[0], config.seed)
        discriminator, _ = new_network(
            "gan-patchgan", config.seed + 1, process, input_nc=6, ndf=config.ndf, n_layers=config.layers,
            norm=config.norm,
        )  # fmt: skip
        super().__init__(config, process, pack, held, generator, initialised(discriminator, config.seed + 1))
        step = int(getattr(generator[0], "size_multiple", 1))
        height, width = pack["a"].shape[2:]
        if height % step or width % step:
            raise ModelError(f"the pack's pictures are {height} x {width} px: expected multiples of {step}")

    def extra_loss(self, output: Tensor, truth: Tensor, real: Any, fake: Any) -> Tensor:
        """The L1 loss."""
        return self.config.l1 * F.l1_loss(output, truth)


def _numbers(config: Pix2pixConfig) -> dict[str, Any]:
    common: dict[str, Any] = {"ngf": config.ngf, "norm": config.norm, "dropout": config.dropout}
    return common | ({"num_downs": config.num_downs} if config.generator == "gan-unet" else {"n_blocks": config.blocks})


class SpadeTrainer(PairedTrainer):
    """Semantic maps `labels` -> `pictures` of a pack; labels outside the named ones go to a channel of their own."""

    config: SpadeConfig
    source, target = "labels", "pictures"
    compares = True

    def __init__(self, config: SpadeConfig, process: Process, pack: Pack, held: Pack | None = None):
        names = pack.facts.get("label_names")
        if not names:
            raise ModelError("the pack's facts have no label_names: gather it with semantic maps")
        self.labels = len(names)
        height, width = pack["pictures"].shape[2:]
        generator = new_network(
            "gan-mobile-spade" if config.mobile else "gan-spade", config.seed, process, semantic_nc=self.labels + 1,
            ngf=config.ngf, upsampling=config.upsampling, crop_size=width, aspect_ratio=width / height,
        )  # fmt: skip
        discriminator, _ = new_network(
            "gan-spade-discriminator", config.seed + 1, process, input_nc=self.labels + 4, ndf=config.ndf,
        )  # fmt: skip
        super().__init__(config, process, pack, held, generator, discriminator)

    def condition(self, source: Tensor) -> Tensor:
        """One-hot maps."""
        return one_hot(source.to(self.process.device).long(), self.labels, dontcare=True)

    def extra_loss(self, output: Tensor, truth: Tensor, real: Any, fake: Any) -> Tensor:
        """Feature matching and the perceptual loss."""
        c = self.config
        loss = c.matching * feature_matching(real, fake)
        return loss + c.perceptual * perceptual_loss(self.features, output, truth) if c.perceptual else loss
