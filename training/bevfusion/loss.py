"""Losses of both heads, as published: CenterPoint's focal and L1 losses, BEVFusion's focal loss of the map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.bevfusion.lite.network import LiteOutputs
from training.bevfusion.targets import BoxTargets

CODE_WEIGHTS = (1.0,) * 8 + (0.2, 0.2)  # of the ten box values; the velocity's is 0.2
UNKNOWN = 255


@dataclass(frozen=True)
class LossWeights:
    """Of the heatmap, of the box values (the released 0.25), and of the map."""

    heat: float = 1.0
    box: float = 0.25
    map: float = 1.0


def heat_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Gaussian focal loss (alpha 2, gamma 4), over the number of peaks."""
    peak = heat.eq(1).to(logits.dtype)
    p = logits.sigmoid()
    positive = F.logsigmoid(logits) * (1 - p) ** 2 * peak
    negative = F.logsigmoid(-logits) * p**2 * (1 - heat) ** 4
    return -(positive + negative).sum() / peak.sum().clamp(min=1)


def box_loss(found: Tensor, targets: BoxTargets) -> Tensor:
    """L1 of the box values at the boxes' cells. found [B, 10, X, Y], in the order of the targets."""
    if not len(targets.place):
        return found.sum() * 0
    rows = found.permute(0, 2, 3, 1).reshape(-1, found.shape[1])[targets.place]
    gap = (rows - targets.values).abs() * rows.new_tensor(CODE_WEIGHTS)
    return gap.sum() / len(rows)


def map_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Focal loss (gamma 2) per class, averaged over known cells, summed over classes. masks uint8 [B, 6, X, Y]."""
    known = masks.ne(UNKNOWN)
    target = masks.eq(1).to(logits.dtype)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    right = p * target + (1 - p) * (1 - target)
    focal = torch.where(known, cross * (1 - right) ** 2, torch.zeros_like(cross))
    return (focal.sum((0, 2, 3)) / known.sum((0, 2, 3)).clamp(min=1)).sum()


def lite_loss(
    found: LiteOutputs, classes: int, targets: BoxTargets, masks: Tensor, weights: LossWeights
) -> tuple[Tensor, dict[str, float]]:
    """(sum, its parts by name)."""
    parts = {
        "heat": weights.heat * heat_loss(found.boxes[:, :classes], targets.heat),
        "box": weights.box * box_loss(found.boxes[:, classes:], targets),
        "map": weights.map * map_loss(found.map, masks),
    }
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
