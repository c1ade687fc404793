"""What the SPADE networks read: a one-hot map of labels, with the edges between instances as one more channel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def one_hot(labels: Tensor, classes: int, dontcare: bool = False) -> Tensor:
    """labels int [N, H, W] -> float [N, classes (+ 1), H, W].

    dontcare: labels outside 0 … classes - 1 go to one more channel; without it they are a ValueError.
    """
    outside = (labels < 0) | (labels >= classes)
    if dontcare:
        labels = torch.where(outside, classes, labels)
    elif bool(outside.any()):
        wrong = int(labels[outside].flatten()[0])
        raise ValueError(
            f"the map holds label {wrong}: expected 0 … {classes - 1}, or dontcare=True for one channel more"
        )
    return F.one_hot(labels.long(), classes + int(dontcare)).permute(0, 3, 1, 2).float()


def instance_edges(instances: Tensor) -> Tensor:
    """instances int [N, H, W] -> float [N, 1, H, W], 1 where a 4-neighbour belongs to another instance."""
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges[:, None].float()


def semantic_input(labels: Tensor, classes: int, instances: Tensor | None = None, dontcare: bool = False) -> Tensor:
    """The networks' input: the one-hot map, then the instance edges where instances are given."""
    semantics = one_hot(labels, classes, dontcare)
    return semantics if instances is None else torch.cat([semantics, instance_edges(instances)], 1)
