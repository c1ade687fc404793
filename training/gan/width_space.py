"""The space of a super network's widths, for the evolutionary search (training/segmentation/evolution.py)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import product

from models.gan.resnet_config import Config, sample_config


class WidthSpace:
    """choices: the widths that each position may have."""

    def __init__(self, choices: Sequence[Sequence[int]]):
        self.choices = tuple(tuple(c) for c in choices)

    def __len__(self) -> int:
        """Number of sub-networks."""
        return math.prod(len(c) for c in self.choices)

    def all(self) -> Iterator[Config]:
        """Every sub-network."""
        return product(*self.choices)

    def contains(self, plan: Config) -> bool:
        """Whether the super network has this sub-network."""
        return len(plan) == len(self.choices) and all(w in c for w, c in zip(plan, self.choices))

    def smallest(self) -> Config:
        """The narrowest sub-network."""
        return tuple(map(min, self.choices))

    def largest(self) -> Config:
        """The widest one."""
        return tuple(map(max, self.choices))

    def sample(self, rng: random.Random) -> Config:
        """A uniformly random one."""
        return sample_config(self.choices, rng)

    def mutate(self, plan: Config, rng: random.Random, chance: float) -> Config:
        """Each width drawn anew with this chance."""
        return tuple(rng.choice(c) if rng.random() < chance else w for w, c in zip(plan, self.choices))

    def cross(self, one: Config, other: Config, rng: random.Random) -> Config:
        """Each width from one parent or the other (uniform crossover, as published)."""
        return tuple(rng.choice(pair) for pair in zip(one, other))
