"""Batch-norm statistics of one sub-network, measured again: the shared ones are not valid for any sub-network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from training.segmentation.validation import run
from training.segmentation.voxels import VoxelBatch


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Sequence[VoxelBatch]) -> None:
    """Sets the running statistics of every batch norm that runs to their plain mean over `batches`; the network is in
    eval mode afterwards. Nothing else changes, and dropout stays off.

    network: any of this family; of a super network only the selected part is measured.
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d)]
    holders = [m for m in network.modules() if isinstance(getattr(m, "bn", None), nn.BatchNorm1d)]  # elastic layers
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # cumulative mean
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.zero_()
    for module in [*norms, *holders]:
        module.train()
    try:
        for data in batches:
            run(network, network, data)
    finally:
        network.eval()
        for norm, momentum in zip(norms, kept):
            norm.momentum = momentum
