"""Where a network is shifted, and what its caches look like."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from models.tsm.shift import Shifted


def shifted_sites(network: nn.Module) -> list[Shifted]:
    """The shifted layers that move at least one channel, in the order in which they run."""
    return [m for m in network.modules() if isinstance(m, Shifted) and m.fold]


def cache_shapes(sites: Iterable[Shifted], height: int, width: int) -> list[tuple[int, int, int]]:
    """(channels, rows, columns) of the cache of every site for frames of height x width px."""
    return [(m.fold, -(-height // m.stride), -(-width // m.stride)) for m in sites]
