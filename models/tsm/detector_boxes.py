"""Boxes in pictures: overlap, suppression of doubles, and the value that a detector hands on. Pure numpy.

A box is (x1, y1, x2, y2), px, in a picture whose top left corner (not pixel centre) is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """What was found in one picture, best first.

    box float32 [N, 4] x1, y1, x2, y2 px of the picture as it was given, within it · label int64 [N] class ids · score
    float32 [N] 0..1 · category: N class names · warm: False while the past is shorter than the network looks back ·
    held: True where the frame was not a step and the rest is repeated.
    Raises ValueError on lengths that do not fit together.
    """

    box: Floats
    label: NDArray[np.int64]
    score: Floats
    category: tuple[str, ...]
    warm: bool = True
    held: bool = False

    def __post_init__(self) -> None:
        n = len(self.category)
        if self.box.shape != (n, 4) or self.label.shape != (n,) or self.score.shape != (n,):
            raise ValueError(
                f"found box {self.box.shape}, label {self.label.shape}, score {self.score.shape} and {n} categories: "
                "expected [N, 4], [N], [N] and N"
            )

    def __len__(self) -> int:
        return len(self.category)


def areas(boxes: NDArray) -> NDArray:
    """Areas [N] px² of boxes [N, 4]; 0 for boxes turned inside out."""
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def pairwise_iou(a: NDArray, b: NDArray) -> NDArray:
    """Intersection over union [N, M] of boxes a [N, 4] and b [M, 4]; 0 where both are empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(a)[:, None] + areas(b)[None] - shared
    return shared / np.maximum(union, 1e-9)


def suppress(boxes: NDArray, score: NDArray, label: NDArray, max_overlap: float = 0.5) -> NDArray[np.int64]:
    """Indices, best first, that greedy non-maximum suppression within each class leaves (IoU > `max_overlap` with a
    better box of the class is dropped)."""
    order = np.argsort(-score, kind="stable")
    close = pairwise_iou(boxes[order], boxes[order]) > max_overlap
    close &= label[order][:, None] == label[order][None]
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~close[i, i + 1 :]
    return order[alive].astype(np.int64)


def best_boxes(
    boxes: Floats,
    scores: Floats,
    min_score: float = 0.05,
    max_overlap: float = 0.5,
    candidates: int = 400,
    most: int = 100,
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """(boxes [N, 4], label [N], score [N]) from one picture's dense output.

    boxes float32 [A, 4], scores float32 [A, K] 0..1. Every (place, class) above `min_score` is a candidate; the best
    `candidates` go through `suppress`, the best `most` come out.
    """
    place, label = np.nonzero(scores > min_score)
    score = scores[place, label]
    if len(score) > candidates:
        first = np.argpartition(-score, candidates)[:candidates]
        first.sort()  # ties keep the order of places: the same answer on every machine
        place, label, score = place[first], label[first], score[first]
    kept = suppress(boxes[place], score, label, max_overlap)[:most]
    return boxes[place[kept]], label[kept].astype(np.int64), score[kept]
