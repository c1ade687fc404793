"""Editing of pictures in the latent space of an AnyCost generator: a cheap preview while a value changes, a full final.

    session = EditSession.from_weights("anycost-drive")
    ws = session.random(7)                                     # or a projected picture's (training/gan/projection.py)
    session.preview(ws, {"brightness": -2.0})                  # uint8 [r, r, 3], narrow sub-network, low resolution
    session.final(ws, {"brightness": -2.0})                    # uint8 [R, R, 3], full generator

A direction is a vector of w. Attributes are measured on generated pictures, and the direction is the gradient of their
linear regression on w (after InterFaceGAN, Shen et al., CVPR 2020, which takes the normal of a classifier's boundary).
Components are the principal ones of w (GANSpace, Haerkoenen et al., NeurIPS 2020). One unit is one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.facts import ModelError, ModelFacts, load_network
from models.gan.anycost import AnycostGenerator

Rgb = NDArray[np.uint8]
SAMPLES, COMPONENTS = 512, 3
MOST = 6.0  # standard deviations that a value may be away from 0
PREVIEW_RATIO, PREVIEW_SHARE = 0.25, 2  # channel ratio of the preview, and its resolution as a share of the full one
ATTRIBUTES = ("brightness", "contrast", "warmth", "greenness")


class EditSession:
    """network: an AnyCost generator · ratio, resolution: of the preview (None: half of the full resolution)."""

    def __init__(
        self,
        network: AnycostGenerator,
        facts: ModelFacts,
        ratio: float = PREVIEW_RATIO,
        resolution: int | None = None,
    ):
        self.network, self.facts = network.eval().requires_grad_(False), facts
        self.ratio = ratio
        self.resolution = resolution or max(4, network.resolution // PREVIEW_SHARE)
        self.channels = network.channels(ratio)
        draws = torch.Generator().manual_seed(0)
        self.mean = network.mean_w(generator=draws)
        self.directions = find_directions(network)

    @classmethod
    def from_weights(cls, name_or_path: str | Path, **options: Any) -> EditSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError."""
        network, facts = load_network(name_or_path)
        if not isinstance(network, AnycostGenerator):
            raise ModelError(
                f"{facts.name} is a {facts.architecture}: expected a gan-anycost generator, which has a latent space"
            )
        return cls(network, facts, **options)

    def random(self, seed: int, truncation: float = 0.7) -> Tensor:
        """w [n_style, style_dim] of a random picture, drawn towards the mean."""
        z = torch.randn(1, self.network.style_dim, generator=torch.Generator().manual_seed(seed))
        w = self.mean + truncation * (self.network.mapping(z) - self.mean)
        return self.network.spread(w)[0]

    def edited(self, ws: Tensor, values: Mapping[str, float]) -> Tensor:
        """w moved along the named directions, [n_style, style_dim]. ModelError for an unknown name or value."""
        if ws.shape != (self.network.n_style, self.network.style_dim):
            expected = [self.network.n_style, self.network.style_dim]
            raise ModelError(f"the latent vectors have shape {list(ws.shape)}: {self.facts.name} takes {expected}")
        for name, value in values.items():
            if name not in self.directions:
                raise ModelError(f"direction {name!r} is unknown: expected one of {', '.join(self.directions)}")
            if not -MOST <= value <= MOST:
                raise ModelError(f"{name} is {value}: expected a number between -{MOST:g} and {MOST:g}")
            ws = ws + value * self.directions[name]
        return ws

    @torch.inference_mode()
    def preview(self, ws: Tensor, values: Mapping[str, float] | None = None) -> Rgb:
        """The sub-network's picture, uint8 [resolution, resolution, 3]."""
        w = self.edited(ws, values or {})[None]
        return to_rgb(self.network.synthesis(w, self.channels, self.resolution)[-1])

    @torch.inference_mode()
    def final(self, ws: Tensor, values: Mapping[str, float] | None = None) -> Rgb:
        """The full generator's picture, uint8 [R, R, 3]."""
        return to_rgb(self.network.synthesis(self.edited(ws, values or {})[None])[-1])

    def consistency(self, ws: Tensor, values: Mapping[str, float] | None = None) -> float:
        """How well the preview foretells the final picture: PSNR in dB against the final, scaled to its size."""
        final = torch.from_numpy(self.final(ws, values)).permute(2, 0, 1)[None].float()
        small = F.interpolate(final, size=(self.resolution,) * 2, mode="area")[0].permute(1, 2, 0)
        error = (torch.from_numpy(self.preview(ws, values)).float() - small).square().mean()
        return float(10 * torch.log10(255.0**2 / error.clamp(min=1e-6)))


def to_rgb(pictures: Tensor) -> Rgb:
    """The first of float [N, 3, H, W] in -1..1 (clamped) -> uint8 [H, W, 3]."""
    return ((pictures[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def measured(pictures: Tensor) -> dict[str, Tensor]:
    """ATTRIBUTES of pictures float [N, 3, H, W], each [N]: mean, deviation of the luma, red minus blue, green minus the
    mean of red and blue."""
    red, green, blue = pictures.mean((2, 3)).unbind(1)
    luma = pictures.mean(1)
    values = (luma.mean((1, 2)), luma.flatten(1).std(1), red - blue, green - (red + blue) / 2)
    return dict(zip(ATTRIBUTES, values))


@torch.no_grad()
def find_directions(network: AnycostGenerator, count: int = SAMPLES, seed: int = 0) -> dict[str, Tensor]:
    """Directions [style_dim] by name, one standard deviation of w long.

    Attributes are measured on the smallest sub-network's pictures: it costs little and is consistent with the full one.
    """
    draws = torch.Generator().manual_seed(seed)
    w = network.mapping(torch.randn(count, network.style_dim, generator=draws))
    channels, side = network.channels(PREVIEW_RATIO), min(32, network.resolution)
    pictures = [network.synthesis(network.spread(part), channels, side)[-1] for part in w.split(64)]
    centred = w - w.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    found = {}
    for name, values in measured(torch.cat(pictures)).items():
        slope = torch.linalg.lstsq(_regular(centred), _padded(values - values.mean(), centred.shape[1])[:, None])
        found[name] = _one_deviation(slope.solution[:, 0], centred)
    for i in range(min(COMPONENTS, len(axes))):
        found[f"component {i + 1}"] = _one_deviation(axes[i], centred)
    return found


def _regular(centred: Tensor, weight: float = 0.1) -> Tensor:
    """Rows of the regression, with a ridge that keeps it well posed."""
    ridge = weight * centred.square().mean().sqrt() * len(centred) ** 0.5
    return torch.cat([centred, ridge * torch.eye(centred.shape[1])])


def _padded(values: Tensor, count: int) -> Tensor:
    return torch.cat([values, torch.zeros(count)])


def _one_deviation(direction: Tensor, centred: Tensor) -> Tensor:
    unit = F.normalize(direction, dim=0)
    return unit * (centred @ unit).std()
