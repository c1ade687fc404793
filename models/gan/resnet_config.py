"""Channel widths of the ResNet generators: eight numbers c0 … c7, as GAN Compression writes them ("16_16_32_…").

The real widths are multiples: stem c0, first down 2 c1, second down (the trunk) 4 c2, inner width of block i 4 c3, 4 c4
or 4 c5 (three blocks each), first up 2 c6, second up c7. Six numbers, the older form, give all blocks one inner width.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

Config = tuple[int, ...]

# Sub-networks that were published, by task; "-fast": those of the pipeline without a mobile teacher.
PUBLISHED: dict[str, Config] = {
    "horse2zebra": (16, 16, 32, 16, 32, 32, 16, 16),
    "horse2zebra-fast": (16, 16, 24, 16, 32, 64, 16, 24),
    "edges2shoes": (32, 32, 48, 32, 48, 48, 16, 16),
    "edges2shoes-fast": (24, 24, 40, 56, 24, 56, 16, 40),
    "cityscapes": (32, 32, 48, 32, 32, 48, 24, 24),
    "map2sat": (32, 32, 48, 32, 48, 32, 16, 16),
}

# What a super network may choose from, one tuple of widths per position.
SEARCH_SPACES: dict[str, tuple[tuple[int, ...], ...]] = {
    "channels-32": ((32, 24, 16),) * 8,
    "channels-48": ((48, 32), (48, 32), (48, 40, 32), (48, 40, 32), (48, 40, 32), (48, 40, 32))
    + ((48, 32, 24, 16),) * 2,
    "channels-64-cyclegan": ((64, 48, 32, 24, 16),) * 8,
    "channels-64-pix2pix": ((64, 56, 48, 40, 32, 24, 16),) * 8,
}


def parse_config(config: str | Sequence[int], most: int | None = None) -> Config:
    """Eight (or six) widths from "16_16_32_…", a published name or a sequence.

    most: no width may exceed it (the super network's ngf). Raises ValueError.
    """
    if isinstance(config, str):
        try:
            found = PUBLISHED[config] if config in PUBLISHED else tuple(int(c) for c in config.split("_"))
        except ValueError:
            names = ", ".join(PUBLISHED)
            raise ValueError(
                f"config {config!r} is not readable: expected eight widths such as 16_16_32_16_32_32_16_16 or one of "
                f"{names}"
            ) from None
    else:
        found = tuple(int(c) for c in config)
    if len(found) not in (6, 8) or min(found) < 1:
        raise ValueError(f"config {config!r} has {len(found)} widths: expected 8 (or 6), each 1 or more")
    if most is not None and max(found) > most:
        raise ValueError(f"config {config!r} asks for width {max(found)}: the super network has {most}")
    return found


def config_name(config: Sequence[int]) -> str:
    """The published spelling, "c0_c1_…"."""
    return "_".join(str(c) for c in config)


def inner_width(config: Config, block: int) -> int:
    """Channels between the two convolutions of residual block number `block`."""
    return 4 * (config[3] if len(config) == 6 else config[3 + min(block // 3, 2)])


def configs_of(space: str) -> Iterator[Config]:
    """Every configuration of a search space, widest first. ValueError for an unknown space."""
    return product(*choices_of(space))


def choices_of(space: str) -> tuple[tuple[int, ...], ...]:
    """The widths per position of a search space. ValueError for an unknown space."""
    if space not in SEARCH_SPACES:
        raise ValueError(f"search space {space!r} is unknown: expected one of {', '.join(SEARCH_SPACES)}")
    return SEARCH_SPACES[space]


def sample_config(choices: Sequence[Sequence[int]], rng: random.Random) -> Config:
    """One configuration, each position drawn uniformly from its choices."""
    return tuple(rng.choice(tuple(c)) for c in choices)
