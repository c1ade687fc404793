"""Gradient regularisers of StyleGAN2's training (Karras et al., CVPR 2020; R1: Mescheder et al., ICML 2018)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor


def r1_penalty(scores: Tensor, real: Tensor) -> Tensor:
    """Mean over pictures of the squared norm of the score's gradient with respect to the real picture.

    real must require gradients before the scores are computed. The loss is gamma / 2 times it; with lazy
    regularisation (every k-th step) times k too. DiffAugment goes between `real` and the discriminator.
    """
    gradient = torch.autograd.grad(scores.sum(), real, create_graph=True)[0]
    return gradient.square().sum(tuple(range(1, gradient.ndim))).mean()


def r1_gamma(resolution: int, batch: int) -> float:
    """The published rule of thumb: 0.0002 resolution^2 / batch."""
    return 0.0002 * resolution**2 / batch


def path_length_penalty(
    pictures: Tensor, ws: Tensor, mean: Tensor, decay: float = 0.01, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(penalty, new running mean) of the path length |J_w^T y|, y random pictures of unit variance per pixel.

    pictures [N, C, H, W] computed from ws [N, L, D], which requires gradients · mean: running mean of the length, a
    scalar tensor · noise: y before it is scaled; None: drawn. The loss is weight 2 times the penalty, times 8 where it
    is computed every 8th step.
    """
    noise = torch.randn_like(pictures) if noise is None else noise
    scaled = noise / sqrt(pictures.shape[2] * pictures.shape[3])
    gradient = torch.autograd.grad((pictures * scaled).sum(), ws, create_graph=True)[0]
    lengths = gradient.square().sum(2).mean(1).sqrt()
    new_mean = mean.lerp(lengths.detach().mean(), decay)
    return (lengths - new_mean).square().mean(), new_mean
