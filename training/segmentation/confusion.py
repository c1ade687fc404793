"""Confusion matrices and intersection over union."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(predicted: Tensor, truth: Tensor, classes: int, ignore: int) -> Tensor:
    """Counts int64 [classes, classes], rows truth, columns prediction; points whose truth is `ignore` do not count."""
    valid = truth != ignore
    cells = truth[valid].long() * classes + predicted[valid].long().clamp(max=classes - 1)
    return torch.bincount(cells, minlength=classes * classes).view(classes, classes)


def iou(matrix: Tensor) -> Tensor:
    """TP / (truth + predicted - TP) per class, float64 [classes]; NaN for a class that the truth does not hold."""
    m = matrix.double()
    hit, truth = m.diagonal(), m.sum(1)
    out = hit / (truth + m.sum(0) - hit).clamp(min=1)
    return torch.where(truth > 0, out, torch.full_like(out, torch.nan))


def mean_iou(matrix: Tensor) -> float:
    """Mean over the classes that the truth holds; NaN where it holds none."""
    return float(iou(matrix).nanmean())
