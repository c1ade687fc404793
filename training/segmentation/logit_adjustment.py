"""Logit adjustment: offsets per class on a segmentation network's logits that maximise mIoU.

Training samples rare classes several times as often as they occur in streets, so a trained network predicts them too
often. One offset per class (Menon et al., ICLR 2021) corrects this. The offsets are fitted to mean IoU itself, by
coordinate ascent, on sweeps of the validation split, and are added to the classifier's bias.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.spvcnn.presets import NetworkSpec
from perception_nodes.classes import IGNORE
from training.segmentation.sweep_buffer import compact
from training.segmentation.sweep_wire import CompactSweep
from training.segmentation.validation import prepared, run

LIMIT = 3.0  # largest addend
STEPS = 61  # values of an addend that are tried, -LIMIT to LIMIT
ROUNDS = 4  # passes over the classes
DECAY = 0.001  # of the squared addends, in mIoU: a class of which the split holds little is not argued away


def fit(logits: Tensor, labels: Tensor, decay: float = DECAY) -> Tensor:
    """Addends float32 [K] that maximise mean IoU - decay * (addends ** 2).sum() over points.

    logits float [P, K] · labels int64 [P] in 0..K-1. Mean over the classes that the labels hold; the addend of others
    stays 0. Every pass tries, for one class after the other, STEPS values with the rest as they are.
    """
    classes = logits.shape[1]
    addends = torch.zeros(classes)
    truth = torch.bincount(labels, minlength=classes)
    present = truth > 0
    grid = torch.linspace(-LIMIT, LIMIT, STEPS)
    for _ in range(ROUNDS):
        before = addends.clone()
        for c in torch.nonzero(present)[:, 0].tolist():
            told, found = _counts_over(logits, labels, addends, c, grid)
            union = truth + told - found
            iou = found / union.clamp(min=1)
            score = iou[:, present].mean(1) - decay * grid.square()
            addends[c] = grid[score.argmax()]
        if torch.equal(before, addends):
            break
    return addends


def _counts_over(logits: Tensor, labels: Tensor, addends: Tensor, c: int, grid: Tensor) -> tuple[Tensor, Tensor]:
    """How often each class is told, and rightly, float64 [STEPS, K] each, where the addend of `c` takes the values of
    `grid`: a point goes from its best other class to `c` once the addend exceeds its margin."""
    classes = logits.shape[1]
    others = logits.float() + addends
    others[:, c] = -torch.inf
    best, other = others.max(1)
    crossing = torch.bucketize(best - logits[:, c].float(), grid)  # grid[crossing] is the first value at or past it
    cells = other * (STEPS + 1) + crossing
    size = classes * (STEPS + 1)
    # points of an other class, by where they are lost to c: what is left of them is what comes at or past that step
    left = torch.bincount(cells, minlength=size).view(classes, -1).double()
    right = torch.bincount(cells[labels == other], minlength=size).view(classes, -1).double()
    own = torch.bincount(crossing[labels == c], minlength=STEPS + 1).double()
    told = left.sum(1)[None] - left.cumsum(1)[:, :STEPS].T
    found = right.sum(1)[None] - right.cumsum(1)[:, :STEPS].T
    told[:, c] = left.sum(0).cumsum(0)[:STEPS]
    found[:, c] = own.cumsum(0)[:STEPS]
    return told, found


@torch.no_grad()
def calibrate(network: nn.Module, spec: NetworkSpec, sweeps: Iterable[CompactSweep], every: int = 4) -> Tensor:
    """Fits addends on whole sweeps and puts them into the classifier's bias; they are returned, float32 [K].

    network: of models.spvcnn, in eval mode (its `head()` is the classifier) · every: use one point in so many.
    """
    logits, labels = [], []
    for sweep in sweeps:
        (held,) = prepared([(sweep.pattern, compact(sweep, torch.device("cpu")))], spec)
        used = torch.nonzero(held.label != IGNORE)[::every, 0]
        logits.append(run(network, network, held.data)[held.data.inverse[used]].half())
        labels.append(held.label[used])
    addends = fit(torch.cat(logits), torch.cat(labels))
    network.head().bias.add_(addends)
    return addends
