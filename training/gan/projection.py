"""Projection: the latent vectors whose picture is closest to a given one (AnyCost GAN, section 3.4).

Every step compares the full generator's picture and a random sub-network's with the target, so that a preview of the
result stays consistent with its final picture. Loss: perceptual distance (EfficientNet-Lite0's features) and squared
difference. The vectors of all layers are free (w+).
"""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from models.gan.anycost import AnycostGenerator
from training.common.progress import Progress
from training.gan.features import LiteFeatures, perceptual_distance
from training.gan.sub_networks import sample_channels


def project(
    network: AnycostGenerator, picture: Tensor, steps: int = 150, rate: float = 0.05, perceptual: float = 1.0,
    subnetworks: float = 1.0, seed: int = 0, show: bool = False,
) -> tuple[Tensor, list[float]]:  # fmt: skip
    """(w [n_style, style_dim], loss of each step) for a picture float [3, R, R] in -1..1.

    rate: of Adam, falling linearly · perceptual, subnetworks: weights of the perceptual part and of the sub-network's
    loss · show: a progress bar. ValueError for a picture of another size.
    """
    side = network.resolution
    if picture.shape != (3, side, side):
        raise ValueError(f"the picture is {list(picture.shape)}: expected [3, {side}, {side}]")
    network.eval().requires_grad_(False)
    rng, target = random.Random(seed), picture[None]
    lite = LiteFeatures() if perceptual else None
    start = network.spread(network.mean_w(generator=torch.Generator().manual_seed(seed)))
    ws = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([ws], lr=rate, betas=(0.9, 0.99))
    bar = Progress("projection", steps) if show else None
    losses = []

    def distance(found: Tensor) -> Tensor:
        loss = F.mse_loss(found, target)
        return loss if lite is None else loss + perceptual * perceptual_distance(lite, found, target).sum()

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = distance(network.synthesis(ws)[-1])
        if subnetworks:
            widths, _ = sample_channels(network, "uniform", rng)
            loss = loss + subnetworks * distance(network.synthesis(ws, widths)[-1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if bar is not None:
            bar.step()
    return ws.detach()[0], losses
