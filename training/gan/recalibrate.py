"""Batch-norm statistics of one sub-network, measured again: the shared ones are not valid for any sub-network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> int:
    """Sets the running statistics of every batch norm to their plain mean over `batches`; returns how many there were.

    batches: the network's inputs · Only batch norms run in training mode; the network is in eval mode afterwards. Of a
    super network the selected widths are measured. ValueError where there is no batch but there are batch norms.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network.eval()
    if not norms:
        return 0
    kept = [norm.momentum for norm in norms]
    count = 0
    for norm in norms:
        norm.momentum = None  # cumulative mean
        norm.reset_running_stats()
        norm.train()
    try:
        for inputs in batches:
            network(*inputs)
            count += 1
    finally:
        network.eval()
        for norm, momentum in zip(norms, kept):
            norm.momentum = momentum
    if not count:
        raise ValueError("no batch was given: batch-norm statistics need at least one")
    return count
