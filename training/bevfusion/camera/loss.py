"""The three losses of the camera branch's pre-training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.bevfusion.lite.camera_heads import CameraOutputs, boxes_of
from training.bevfusion.camera.pictures import IGNORE
from training.bevfusion.camera.targets import Targets


@dataclass(frozen=True)
class LossWeights:
    """heat, box, pixels, depth: weights in the sum."""

    heat: float = 1.0
    box: float = 1.0
    pixels: float = 1.0
    depth: float = 0.5


def camera_loss(found: CameraOutputs, true: Targets, weights: LossWeights) -> tuple[Tensor, dict[str, float]]:
    """(weighted sum, each part by name)."""
    parts = {
        "heat": heat_loss(found.heat, true.heat, true.known, true.objects),
        "box": box_loss(found.sides, true.box, true.box_weight),
        "pixels": pixel_loss(found.pixels, true.pixels),
        "depth": depth_loss(found.depth, true.depth),
    }
    total = sum(getattr(weights, name) * value for name, value in parts.items())
    assert isinstance(total, Tensor)
    return total, {name: float(value.detach()) for name, value in parts.items()}


def heat_loss(logits: Tensor, heat: Tensor, known: Tensor, objects: int) -> Tensor:
    """Penalty-reduced focal loss of the heatmaps ("Objects as Points", eq. 1), over the objects."""
    p = logits.sigmoid()
    at_centre = heat == 1.0
    positive = -F.logsigmoid(logits) * (1 - p) ** 2 * at_centre
    negative = -F.logsigmoid(-logits) * p**2 * (1 - heat) ** 4 * (~at_centre & known)
    return (positive + negative).sum() / max(objects, 1)


def box_loss(sides: Tensor, box: Tensor, weight: Tensor) -> Tensor:
    """1 - GIoU (H. Rezatofighi et al., CVPR 2019) over the cells that have a box, weighted."""
    n, row, column = weight.nonzero(as_tuple=True)
    if not len(n):
        return sides.sum() * 0.0
    found, true = boxes_of(sides)[n, :, row, column], box[n, :, row, column]
    w = weight[n, row, column]
    return ((1 - giou(found, true)) * w).sum() / w.sum()


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of boxes [P, 4], pair by pair."""
    area_a, area_b = ((x[:, 2:] - x[:, :2]).clamp(min=0).prod(1) for x in (a, b))
    common = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (area_a + area_b - common).clamp(min=1e-6)
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1).clamp(min=1e-6)
    return common / union - (around - union) / around


def pixel_loss(logits: Tensor, pixels: Tensor) -> Tensor:
    """Cross entropy of the pixel classes; logits are doubled in size to the labels' (every fourth pixel)."""
    doubled = F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
    counted = (pixels != IGNORE).sum().clamp(min=1)
    return F.cross_entropy(doubled, pixels, ignore_index=IGNORE, reduction="sum") / counted


def depth_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy with the shares of each cell's pixels; cells of which nothing is known do not count."""
    known = shares.sum(1)  # 1 or 0
    return -(shares * logits.log_softmax(1)).sum() / known.sum().clamp(min=1)
