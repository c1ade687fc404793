"""AnyCost GAN (Lin et al., CVPR 2021): a StyleGAN2 generator that also runs with fewer channels and resolutions.

    python -m training.gan stylegan2 --data PACK --out runs/style
    python -m training.gan anycost --data PACK --out runs/multires --set stage=multires \\
        --set start=runs/style/style.checkpoint.safetensors
    python -m training.gan anycost --data PACK --out runs/anycost --set stage=adaptive \\
        --set start=runs/multires/anycost.checkpoint.safetensors

multires   every step trains two of the n_res finest resolutions, each judged by a multi-resolution discriminator.
adaptive   the channels are first sorted by importance; then every step also draws a sub-network, tells it to the
           discriminator (g_arch), and draws its pictures towards those of the full generator (consistency loss).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.gan.anycost import RATIOS
from models.gan.anycost_sort import sort_channels
from models.gan.build import build_network, facts_of
from models.state import load_weights
from training.common.checkpoints import CHECKPOINT, averaged_weights
from training.common.processes import Process
from training.gan.consistency import consistency_loss, picture_pyramid
from training.gan.features import LiteFeatures, perceptual_distance
from training.gan.latent import BATCH, SCORED, side_of
from training.gan.losses import discriminator_loss, generator_loss
from training.gan.packs import Pack
from training.gan.regularisers import r1_penalty
from training.gan.scores import paired_scores, set_scores
from training.gan.settings import alternate, new_network
from training.gan.style_trainer import StyleConfig, StyleTrainer
from training.gan.sub_networks import MODES, encode_architecture, sample_channels, sample_resolutions

STAGES = ("multires", "adaptive")


@dataclass(frozen=True)
class AnycostConfig(StyleConfig):
    """stage: see the module · start: checkpoint of the stage before, "": from nothing · n_res: finest resolutions that
    are trained · sampled: of them in each step · mode: of sampling (training/gan/sub_networks.py) · sort: whether
    channels are sorted first · consistency: weight of that loss · perceptual: of its perceptual part."""

    name: str = "anycost"
    stage: str = "multires"
    start: str = ""
    n_res: int = 3
    sampled: int = 2
    mode: str = "sandwich"
    sort: bool = True
    consistency: float = 2.0
    perceptual: float = 1.0
    path: float = 0.0


class AnycostTrainer(StyleTrainer):
    """Both stages."""

    config: AnycostConfig

    def __init__(self, config: AnycostConfig, process: Process, pack: Pack, held: Pack | None = None):
        if config.stage not in STAGES:
            raise ValueError(f"stage is {config.stage!r}: expected one of {', '.join(STAGES)}")
        if config.mode not in MODES:
            raise ValueError(f"sampling mode {config.mode!r} is unknown: expected one of {', '.join(MODES)}")
        if config.conditional:
            raise ValueError("AnyCost is unconditional: leave conditional at false")
        self.adaptive = config.stage == "adaptive"
        super().__init__(config, process, pack, held)
        if config.start:
            self._begin_from(Path(config.start))
        self._lite: LiteFeatures | None = None

    def new_judge(self, config: Any, side: int, process: Process) -> nn.Module:
        """The multi-resolution discriminator, in the adaptive stage conditioned on the generator's architecture."""
        return new_network(
            "gan-anycost-discriminator", config.seed + 1, process, resolution=side, channel_max=config.most,
            channel_multiplier=config.multiplier, n_res=config.n_res, modulate=self.adaptive,
        )[0]  # fmt: skip

    def _begin_from(self, checkpoint: Path) -> None:
        """The averaged generator and, where it is beside it, the discriminator of the stage before."""
        state, notes = averaged_weights(checkpoint)
        if notes.get("network") != self.facts.network:
            own = self.facts.network
            raise ModelError(f"{checkpoint} is of {notes.get('network')}: expected {own}; set them alike")
        if self.adaptive and self.config.sort:
            whole: Any = build_network(facts_of(self.facts.architecture, self.facts.network, "start"))
            load_weights(whole, state, str(checkpoint))
            sort_channels(whole, generator=torch.Generator().manual_seed(self.config.seed))
            state = whole.state_dict()
        self.g.restart(state, str(checkpoint))
        judge = checkpoint.with_name(checkpoint.name.removesuffix(CHECKPOINT) + "-discriminator" + CHECKPOINT)
        if judge.is_file():
            self.d.restart({**self.d.network.state_dict(), **judge_weights(judge, self.d.network)}, str(judge))

    def draw(self) -> tuple[Any, Tensor | None]:
        """(widths, g_arch) of a random sub-network; (None, None): the full one, in the first stage."""
        if not self.adaptive:
            return None, None
        network: Any = self.g.network
        widths, ratios = sample_channels(network, self.config.mode, self.rng)
        return widths, encode_architecture(ratios).to(self.process.device)

    def at(self, ws: Tensor, widths: Any, sides: list[int]) -> list[Tensor]:
        """Pictures of the sub-network at each of the resolutions, from the current noise numbers."""
        network: Any = self.g.network
        found = {p.shape[-1]: p for p in network.synthesis(ws, widths, max(sides), random_noise=True)}
        return [found[side] for side in sides]

    def learn(self, progress: float) -> dict[str, float]:
        """One batch at the sampled resolutions."""
        c, network = self.config, self.g.network
        sides = sample_resolutions(network, c.sampled, c.n_res, self.rng)  # type: ignore[arg-type]
        real = picture_pyramid(self.batch()[0], sides)
        widths, arch = self.draw()
        _, real_arch = self.draw()  # real pictures get an architecture of their own
        ws, numbers, found = self.styles(c.batch, None), torch.get_rng_state(), {}
        fake = self.at(ws, widths, sides)

        def d_loss() -> Tensor:
            losses, due = [], self.due(c.r1_every)
            place = self.rng.randrange(len(sides)) if due else -1
            for i, (r, f) in enumerate(zip(real, fake)):
                shown = r.detach().requires_grad_(i == place)
                scores = self.d.network(c.augment.real(shown), real_arch)
                judged = self.d.network(c.augment.fake(f.detach()), arch)
                losses.append(discriminator_loss("logistic", scores, judged))
                if i == place:
                    penalty = r1_penalty(scores, shown)
                    found["r1"] = float(penalty.detach())
                    losses.append(self.gamma / 2 * c.r1_every * penalty)
            return torch.stack(losses).sum()

        def g_loss() -> Tensor:
            scores = [self.d.network(c.augment.fake(f, generator_step=True), arch) for f in fake]
            loss = torch.stack([generator_loss("logistic", s) for s in scores]).sum()
            if not self.adaptive or not c.consistency:
                return loss
            full = self.full_picture(ws.detach(), numbers)
            apart = consistency_loss(fake, full)
            found["consistency"] = float(apart.detach())
            if c.perceptual:
                apart = apart + c.perceptual * self._perceptual(fake, full)
            return loss + c.consistency * apart

        loss_d, loss_g = alternate(self.g, self.d, progress, d_loss, g_loss)
        return {"d": loss_d, "g": loss_g, **found}

    @torch.no_grad()
    def full_picture(self, ws: Tensor, numbers: Tensor) -> Tensor:
        """The full generator's pictures from the same w and the same noise numbers."""
        after = torch.get_rng_state()
        torch.set_rng_state(numbers)
        picture = self.synthesis(ws)
        torch.set_rng_state(after)
        return picture

    def _perceptual(self, student: list[Tensor], full: Tensor) -> Tensor:
        if self._lite is None:
            self._lite = LiteFeatures().to(self.process.device)
        targets = picture_pyramid(full, [p.shape[-1] for p in student])
        pairs = [(p, t) for p, t in zip(student, targets) if p.shape[-1] >= 32]
        if not pairs:
            return full.new_zeros(())
        return torch.stack([perceptual_distance(self._lite, p, t).mean() for p, t in pairs]).sum()

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """By resolution and channel ratio: fid_lite0 against held-out pictures, and how far the sub-network's pictures
        are from the full generator's (psnr, lpips_lite0)."""
        if self.held is None:
            return {}
        real, out, lite = self.held["pictures"], {}, LiteFeatures()
        with self.g.averaged() as network:
            for side in [side_of(self.held) // 2**i for i in range(self.config.n_res)]:
                for ratio in RATIOS if self.adaptive else (1.0,):
                    scores = sub_network_scores(network, real, side, ratio, lite)
                    out[f"{self.g.name} {side} px, ratio {ratio:g}"] = scores
        return out


def sub_network_scores(network: Any, real: Tensor, side: int, ratio: float, lite: LiteFeatures) -> dict[str, float]:
    """Scores of one sub-network: fid_lite0 and kid_lite0 against real pictures at its resolution, and consistency_psnr,
    consistency_lpips_lite0 against the full generator's pictures at that resolution."""
    count = min(SCORED, len(real))
    z = torch.randn(count, network.style_dim, generator=torch.Generator().manual_seed(1))
    small, full = [], []
    for part in z.split(BATCH):
        small.append(network(part, channels=network.channels(ratio), resolution=side))
        full.append(picture_pyramid(network(part), [side])[0])
    targets = picture_pyramid(real[:count].float(), [side])[0].round().to(torch.uint8)
    scores = set_scores(lite, targets, torch.cat(small))
    apart = paired_scores(lite, torch.cat(small), torch.cat(full))
    return scores | {f"consistency_{k}": v for k, v in apart.items()}


def judge_weights(checkpoint: Path, network: nn.Module) -> dict[str, Tensor]:
    """A discriminator's weights for a multi-resolution one, as far as they fit: StyleGAN2's `convs.I` are its `blocks`
    (I of 1 or more); modulations and further inputs keep their start."""
    state, _ = averaged_weights(checkpoint)
    if not any(key.startswith("blocks.") for key in state):
        state = {_block_key(key): value for key, value in state.items()}
    own = network.state_dict()
    moved = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not moved:
        raise ModelError(f"{checkpoint} has nothing in common with the discriminator: another width or another network")
    return moved | _activations(state, own)


def _block_key(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "convs" and int(parts[1]) > 0:
        return ".".join(["blocks", str(int(parts[1]) - 1), *parts[2:]])
    return key


def _activations(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Where a modulation stands before the activation, the activation's number is one higher."""
    found = {}
    for key, value in state.items():
        parts = key.split(".")
        if key.endswith(".bias") and parts[0] == "blocks" and key not in own:
            later = ".".join([*parts[:-2], str(int(parts[-2]) + 1), "bias"])
            if later in own and own[later].shape == value.shape:
                found[later] = value
    return found


