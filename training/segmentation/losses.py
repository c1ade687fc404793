"""Losses of point segmentation: weighted cross-entropy and Lovász-softmax (Berman et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LOVASZ_ROWS = 20_000


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Convex surrogate of 1 - mean IoU over the classes present. probabilities float32 [M, C], labels int64 [M] in
    0..C-1 (drop ignored rows before). 0 for an empty batch."""
    if labels.numel() == 0:
        return probabilities.sum() * 0.0
    classes = torch.arange(probabilities.shape[1], device=labels.device)
    truth = (labels[:, None] == classes).float()  # [M, C]
    errors = (truth - probabilities).abs()
    errors, order = errors.sort(dim=0, descending=True)
    truth = truth.gather(0, order)
    total = truth.sum(0, keepdim=True)  # [1, C]
    intersection = total - truth.cumsum(0)
    union = total + (1.0 - truth).cumsum(0)
    jaccard = 1.0 - intersection / union
    gradient = torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))
    per_class = (errors * gradient).sum(0)
    return per_class[total[0] > 0].mean()


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor, ignore: int, lovasz: float = 1.0) -> Tensor:
    """Cross-entropy with class weights [C] plus `lovasz` times Lovász-softmax; rows labelled `ignore` do not count."""
    valid = labels != ignore
    logits, labels = logits[valid].float(), labels[valid]
    if labels.numel() == 0:
        return logits.sum() * 0.0
    loss = F.cross_entropy(logits, labels, weights)
    if not lovasz:
        return loss
    skip = max(1, len(labels) // LOVASZ_ROWS)  # its sorts are dear, and every n-th voxel says as much
    return loss + lovasz * lovasz_softmax(logits[::skip].softmax(1), labels[::skip])


def class_weights(counts: Tensor, power: float = 0.45, largest: float = 12.0) -> Tensor:
    """Weights (share of points) ** -power, mean 1 over the points' own distribution, at most `largest` times the
    smallest. counts float [C]; classes never seen weigh as the rarest seen one."""
    share = counts / counts.sum().clamp(min=1.0)
    floor = share[share > 0].min() if bool((share > 0).any()) else torch.tensor(1.0, device=counts.device)
    weight = share.clamp(min=floor).pow(-power)
    weight = torch.minimum(weight, weight.min() * largest)
    return weight / (weight * share).sum().clamp(min=1e-6)
