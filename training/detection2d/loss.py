"""Loss of the video detector: the assignment of places to true boxes, and the loss of scores and boxes.

Places: those whose distance to the box's centre is below 1.5 strides on both axes, on the level whose stride suits the
box's size (centre sampling, Z. Tian et al., "FCOS", ICCV 2019); of several boxes the smallest wins. Scores: quality
focal loss, whose target is the decoded box's IoU (X. Li et al., "Generalized Focal Loss", NeurIPS 2020, eq. 6). Boxes:
generalised IoU (H. Rezatofighi et al., CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.tsm.detector_head import decode

RADIUS = 1.5  # strides from the centre within which a place answers for a box
SIZES = ((0.0, 36.0), (28.0, 84.0), (68.0, float("inf")))  # px, longer side, per level; they overlap a little


@dataclass(frozen=True)
class Truth:
    """True boxes of one picture: boxes float32 [M, 4] px · label int64 [M] · ignore bool [M]: not to learn from."""

    boxes: Tensor
    label: Tensor
    ignore: Tensor


@dataclass(frozen=True)
class Targets:
    """Per place of one picture: `box` int64 [A], the true box that it answers for, -1 none · `skipped` bool [A]: lies
    in an ignored box, its scores are not taught."""

    box: Tensor
    skipped: Tensor


def assign(truth: Truth, where: Tensor) -> Targets:
    """Which of a picture's true boxes each place answers for. where float32 [A, 3]: px, py, stride."""
    boxes, none = truth.boxes, torch.full((len(where),), -1, dtype=torch.int64)
    if len(boxes) == 0:
        return Targets(none, torch.zeros(len(where), dtype=torch.bool))
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    strides = where[:, 2].unique()  # rising: fine to coarse
    level = torch.searchsorted(strides, where[:, 2].contiguous())  # [A]
    limits = torch.tensor(SIZES)[level.clamp(max=len(SIZES) - 1)]  # [A, 2]
    longer = size.amax(1)[None]  # [1, M]
    suits = (longer >= limits[:, :1]) & (longer < limits[:, 1:])  # [A, M]
    gap = (where[:, None, :2] - centre[None]).abs().amax(-1)
    near = gap < RADIUS * where[:, 2:]
    answers = suits & near & ~truth.ignore[None]
    area = (size[:, 0] * size[:, 1])[None].expand_as(answers)
    smallest, which = torch.where(answers, area, torch.inf).min(1)
    box = torch.where(torch.isfinite(smallest), which, none)
    inside = (where[:, None, :2] > boxes[None, :, :2]).all(-1) & (where[:, None, :2] < boxes[None, :, 2:]).all(-1)
    skipped = ((inside | near & suits) & truth.ignore[None]).any(1) & (box < 0)
    return Targets(box, skipped)


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU [P] of boxes a and b float32 [P, 4], row by row."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    iou = shared / union.clamp(min=1e-6)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def detection_loss(
    logits: Tensor, codes: Tensor, truths: list[Truth], where: Tensor, box_weight: float = 2.0
) -> tuple[Tensor, dict[str, float]]:
    """(loss, its parts) of B pictures: logits float32 [B, A, K], codes [B, A, 4], truths B pictures' true boxes."""
    targets = [assign(truth, where) for truth in truths]
    box = torch.stack([t.box for t in targets])  # [B, A]
    taught = ~torch.stack([t.skipped for t in targets])
    picture, place = torch.nonzero(box >= 0, as_tuple=True)
    count = max(len(place), 1)
    quality = torch.zeros_like(logits)
    box_loss = codes.sum() * 0.0
    if len(place):
        true = torch.cat([truth.boxes[row[row >= 0]] for truth, row in zip(truths, box)])  # [P, 4], in nonzero's order
        label = torch.cat([truth.label[row[row >= 0]] for truth, row in zip(truths, box)])
        iou, giou = iou_and_giou(decode(codes[picture, place], where[place]), true)
        quality[picture, place, label] = iou.detach().clamp(min=0.05)
        box_loss = (1 - giou).sum() / count
    score = logits.sigmoid()
    missing = F.binary_cross_entropy_with_logits(logits, quality, reduction="none") * (quality - score).abs().pow(2)
    score_loss = (missing.sum(2) * taught).sum() / count
    loss = score_loss + box_weight * box_loss
    return loss, {"score": float(score_loss.detach()), "box": float(box_loss.detach())}
