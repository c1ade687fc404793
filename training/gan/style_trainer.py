"""StyleGAN2 (Karras et al., CVPR 2020): logistic loss, R1, path length, style mixing; with or without classes.

Unconditional networks have AnyCost's layout, so that its stages (anycost.py) start from them. Class-conditional ones
have StyleGAN2-ADA's. The regularisers are lazy: every so manieth step, weighted by that number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.common.processes import Process
from training.gan.latent import LatentTrainer, classes_of, side_of
from training.gan.losses import discriminator_loss, generator_loss
from training.gan.packs import Pack
from training.gan.regularisers import path_length_penalty, r1_gamma, r1_penalty
from training.gan.settings import GanConfig, GanOptimiser, alternate, new_network


def _adam() -> GanOptimiser:
    return GanOptimiser(lr=2e-3, betas=(0.0, 0.99), constant=1.0)


@dataclass(frozen=True)
class StyleConfig(GanConfig):
    """latent: length of z and w · mlp: layers of the mapping · multiplier, most: channels (style_layers.channels_at) ·
    conditional: on the pack's classes · r1: gamma, 0: the rule of thumb · r1_every, path_every: steps between the
    regularisers (0: never) · path: weight of the path length · mixing: chance of style mixing."""

    name: str = "style"
    batch: int = 8
    latent: int = 64
    mlp: int = 4
    multiplier: float = 0.125
    most: int = 64
    conditional: bool = False
    r1: float = 0.0
    r1_every: int = 16
    path: float = 2.0
    path_every: int = 8
    mixing: float = 0.9
    optimiser: GanOptimiser = field(default_factory=_adam)
    discriminator: GanOptimiser = field(default_factory=_adam)


class StyleTrainer(LatentTrainer):
    """One resolution, all channels."""

    config: StyleConfig

    def __init__(self, config: StyleConfig, process: Process, pack: Pack, held: Pack | None = None):
        side, self.classes = side_of(pack), classes_of(config, pack)
        generator = style_generator(config, side, self.classes, process)
        super().__init__(config, process, pack, held, generator, self.new_judge(config, side, process))
        self.path_mean = torch.zeros((), device=process.device)
        self.gamma = config.r1 or r1_gamma(side, config.batch)

    def new_judge(self, config: StyleConfig, side: int, process: Process) -> nn.Module:
        """The discriminator."""
        if self.classes:
            sizes = {"c_dim": self.classes, "img_resolution": side, "channel_max": config.most}
            base = {"channel_base": int(16384 * config.multiplier)}
            return new_network("gan-stylegan2-ada-discriminator", config.seed + 1, process, **sizes, **base)[0]
        sizes = {"resolution": side, "channel_multiplier": config.multiplier, "channel_max": config.most}
        return new_network("gan-stylegan2-discriminator", config.seed + 1, process, **sizes)[0]

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Classes as the networks read them."""
        return None if labels is None else F.one_hot(labels, self.classes).float()

    def styles(self, count: int, labels: Tensor | None) -> Tensor:
        """w of new latent vectors [count, layers, latent], mixed of two with chance `mixing`."""
        network: Any = self.g.network
        mixed = self.rng.random() < self.config.mixing
        if self.classes:
            given = self.one_hot(labels)
            ws, other = (network.style(self.latents(count), given) for _ in range(2))
            network.mapping.track(ws[:, 0].detach())
            cut = self.rng.randrange(1, ws.shape[1]) if mixed else ws.shape[1]
            return torch.cat([ws[:, :cut], other[:, cut:]], 1)
        w = network.mapping(self.latents(2 * count)).reshape(count, 2, -1)
        return network.spread(w, self.rng.randrange(1, network.n_style)) if mixed else network.spread(w[:, :1])

    def synthesis(self, ws: Tensor) -> Tensor:
        """Pictures of w, with new noise."""
        network: Any = self.g.network
        return network.synthesis(ws, "random") if self.classes else network.synthesis(ws, random_noise=True)[-1]

    def judge(self, pictures: Tensor, labels: Tensor | None) -> Tensor:
        """Scores [N, 1]."""
        return self.d.network(pictures, self.one_hot(labels)) if self.classes else self.d.network(pictures)

    def due(self, every: int) -> bool:
        """Whether a lazy regulariser's turn has come."""
        return every > 0 and self.step_number % every == 0

    def learn(self, progress: float) -> dict[str, float]:
        """One batch."""
        c = self.config
        real, labels = self.batch()
        ws = self.styles(c.batch, labels)
        fake, found = self.synthesis(ws), {}

        def d_loss() -> Tensor:
            shown = real.requires_grad_(self.due(c.r1_every))
            scores = self.judge(c.augment.real(shown), labels)
            loss = discriminator_loss("logistic", scores, self.judge(c.augment.fake(fake.detach()), labels))
            if not self.due(c.r1_every):
                return loss
            penalty = r1_penalty(scores, shown)
            found["r1"] = float(penalty.detach())
            return loss + self.gamma / 2 * c.r1_every * penalty

        def g_loss() -> Tensor:
            loss = generator_loss("logistic", self.judge(c.augment.fake(fake, generator_step=True), labels))
            if self.due(c.path_every) and c.path:
                penalty, self.path_mean = path_length_penalty(fake, ws, self.path_mean)
                found["path"] = float(penalty.detach())
                loss = loss + c.path * c.path_every * penalty
            return loss

        loss_d, loss_g = alternate(self.g, self.d, progress, d_loss, g_loss)
        return {"d": loss_d, "g": loss_g, **found}

    def pictures_of(self, network: Any, z: Tensor, labels: Tensor) -> Tensor:
        """Pictures with the stored noise."""
        return network(z, self.one_hot(labels), noise_mode="const") if self.classes else network(z)

    def notes(self) -> dict[str, Any]:
        """The mean path length too."""
        return super().notes() | {"path_mean": float(self.path_mean)}

    def restore(self, notes: dict[str, Any]) -> None:
        """Takes it back."""
        self.path_mean = torch.tensor(float(notes.get("path_mean", 0.0)), device=self.process.device)


def style_generator(config: StyleConfig, side: int, classes: int, process: Process) -> tuple[nn.Module, Any]:
    """The generator and its facts."""
    if classes:
        return new_network(
            "gan-stylegan2-ada", config.seed, process, z_dim=config.latent, c_dim=classes, w_dim=config.latent,
            img_resolution=side, num_layers=config.mlp, channel_base=int(16384 * config.multiplier),
            channel_max=config.most,
        )  # fmt: skip
    return new_network(
        "gan-anycost", config.seed, process, resolution=side, style_dim=config.latent, n_mlp=config.mlp,
        channel_multiplier=config.multiplier, channel_max=config.most,
    )  # fmt: skip
