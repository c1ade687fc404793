"""Which sub-network a training step runs (AnyCost GAN, section 3), and its description for the discriminator.

uniform    one channel ratio for all layers, of the four
flexible   a ratio of its own for each layer, never below the widths of the uniform quarter
sandwich   the largest with probability 1/4, the smallest with 1/4, otherwise a flexible one
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from models.gan.anycost import RATIOS, AnycostGenerator, Channels

MODES = ("uniform", "flexible", "sandwich")
MIN_CHANNELS, DIVISOR = 8, 4


def flexible_width(full: int, ratio: float) -> int:
    """Width of one layer: a multiple of 4, at least 8, at most the full one."""
    return min(full, max(MIN_CHANNELS, ceil(full * ratio / DIVISOR) * DIVISOR))


def sample_channels(
    generator: AnycostGenerator, mode: str, rng: random.Random, ratios: Sequence[float] = RATIOS
) -> tuple[Channels, tuple[float, ...]]:
    """(widths, ratio of each layer) of a random sub-network. ValueError for an unknown mode."""
    if mode not in MODES:
        raise ValueError(f"sampling mode {mode!r} is unknown: expected one of {', '.join(MODES)}")
    full, least = generator.channels(1.0), generator.channels(min(ratios))
    if mode == "sandwich":
        dice = rng.random()
        if dice < 0.5:
            ratio = max(ratios) if dice < 0.25 else min(ratios)
            return generator.channels(ratio), (ratio,) * len(full)
    if mode == "uniform":
        ratio = rng.choice(list(ratios))
        return generator.channels(ratio), (ratio,) * len(full)
    chosen = [rng.choice([r for r in ratios if full_c * r >= low]) for full_c, low in zip(full, least)]
    return tuple(flexible_width(c, r) for c, r in zip(full, chosen)), tuple(chosen)


def sample_resolutions(generator: AnycostGenerator, count: int, n_res: int, rng: random.Random) -> list[int]:
    """`count` different ones of the n_res finest resolutions, px, finest first."""
    known = [generator.resolution // 2**i for i in range(n_res)]
    return sorted(rng.sample(known, count), reverse=True)


def encode_architecture(layer_ratios: Sequence[float], ratios: Sequence[float] = RATIOS) -> Tensor:
    """g_arch: the one-hot ratio of each layer, in one vector float [layers * len(ratios)]."""
    unknown = [r for r in layer_ratios if r not in ratios]
    if unknown:
        raise ValueError(f"channel ratio {unknown[0]} is unknown: expected one of {tuple(ratios)}")
    index = torch.tensor([list(ratios).index(r) for r in layer_ratios])
    return torch.nn.functional.one_hot(index, len(ratios)).float().flatten()
