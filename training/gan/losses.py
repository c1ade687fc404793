"""Adversarial losses: pure functions of scores. A discriminator's loss takes the scores of real and generated pictures,
a generator's those of generated ones. Scores have any shape; a list (several scales) is averaged over its entries, and
an entry that is a list itself (layers of a multi-scale discriminator) counts by its last element.

vanilla    binary cross-entropy (Goodfellow et al., 2014; pix2pix) · lsgan    squared distance to 1 or 0 (CycleGAN)
hinge      SPADE, GAN Compression, BigGAN                          · logistic non-saturating logistic (StyleGAN2)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Scores = Tensor | Sequence[Any]
Pointwise = Callable[[Tensor], Tensor]


class AdversarialLoss(NamedTuple):
    """Loss of one score, elementwise: as real and as generated one in the discriminator's step, as generated one in the
    generator's."""

    real: Pointwise
    fake: Pointwise
    generator: Pointwise


LOSSES: dict[str, AdversarialLoss] = {
    "vanilla": AdversarialLoss(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
    "logistic": AdversarialLoss(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
    "lsgan": AdversarialLoss(lambda s: (s - 1).square(), torch.square, lambda s: (s - 1).square()),
    "hinge": AdversarialLoss(lambda s: F.relu(1 - s), lambda s: F.relu(1 + s), torch.neg),
}


def _loss(name: str) -> AdversarialLoss:
    if name not in LOSSES:
        raise ValueError(f"loss {name!r} is unknown: expected one of {', '.join(LOSSES)}")
    return LOSSES[name]


def _mean(scores: Scores, pointwise: Pointwise) -> Tensor:
    if isinstance(scores, Tensor):
        return pointwise(scores).mean()
    each = [s if isinstance(s, Tensor) else s[-1] for s in scores]
    return torch.stack([_mean(s, pointwise) for s in each]).mean()


def discriminator_loss(name: str, real: Scores, fake: Scores) -> Tensor:
    """Sum of the losses of real and generated pictures; pix2pix and CycleGAN take half of it."""
    loss = _loss(name)
    return _mean(real, loss.real) + _mean(fake, loss.fake)


def generator_loss(name: str, fake: Scores) -> Tensor:
    """Loss of generated pictures' scores in the generator's step."""
    return _mean(fake, _loss(name).generator)


def relativistic_hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average hinge loss of the discriminator (MSG-GAN): scores relative to the other kind's mean."""
    return F.relu(1 - (real - fake.mean())).mean() + F.relu(1 + (fake - real.mean())).mean()


def relativistic_hinge_g(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average hinge loss of the generator: the discriminator's with the signs of both kinds turned."""
    return F.relu(1 + (real - fake.mean())).mean() + F.relu(1 - (fake - real.mean())).mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute difference of a multi-scale discriminator's features, without the scores (the last layer), summed
    over layers and averaged over scales (pix2pixHD, SPADE). No gradient flows into the real features."""
    total = [F.l1_loss(f, r.detach()) for a, b in zip(real, fake) for r, f in zip(a[:-1], b[:-1])]
    return torch.stack(total).sum() / len(real)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, variance) from N(0, 1), summed over all entries (SPADE's encoder, weight 0.05)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
