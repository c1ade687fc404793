"""When a runtime's results agree with torch's: events by their best class, detections by those that are kept."""

from __future__ import annotations

import numpy as np

from models.runtime import Task
from models.runtime.agreement import Results

UNDECIDED = 0.02  # scores this close to the best are as good
KEPT = 20  # best (place, class) pairs of a frame
OVERLAP = 0.7  # IoU of the same box in both results
WEAKER = 0.8  # of the score that the weakest kept pair has


def same_class(found: Results, expected: Results) -> float:
    """Share of the frames whose best class is torch's (or one that torch scores as high within UNDECIDED).

    Both hold logits float32 [..., K].
    """
    logits, (theirs,) = found[0], expected
    e = np.exp(theirs - theirs.max(-1, keepdims=True))
    scores = e / e.sum(-1, keepdims=True)
    best = np.take_along_axis(scores, logits.argmax(-1)[..., None], -1)[..., 0]
    return float(np.mean(best >= scores.max(-1) - UNDECIDED))


def same_detections(found: Results, expected: Results) -> float:
    """The lesser of two shares: torch's KEPT best detections of every frame that are found, the found that are torch's.

    Both hold scores float32 [..., A, K] 0..1 and boxes float32 [..., A, 4] px. A detection is a (place, class) pair: it
    is there where its score is at least WEAKER times the weakest kept one's and its boxes overlap by OVERLAP.
    """
    return min(_kept(expected, found), _kept(found, expected))


def _kept(these: Results, there: Results) -> float:
    """Share of the best detections of `these` that are there as well."""
    (scores, boxes), (other_scores, other_boxes) = these, there
    scores, other_scores = (s.reshape(-1, *s.shape[-2:]) for s in (scores, other_scores))
    boxes, other_boxes = (b.reshape(-1, *b.shape[-2:]) for b in (boxes, other_boxes))
    shares = []
    for frame, flat in enumerate(scores.reshape(len(scores), -1)):
        best = np.argpartition(flat, -min(KEPT, flat.size))[-KEPT:]
        place = best // scores.shape[-1]
        strong = other_scores[frame].ravel()[best] >= WEAKER * flat[best].min()
        shares.append(np.mean(strong & (_overlap(boxes[frame, place], other_boxes[frame, place]) >= OVERLAP)))
    return float(np.mean(shares))


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU [N] of boxes [N, 4] pair by pair; 1 for equal boxes, also empty ones."""
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = sides[:, 0] * sides[:, 1]
    total = sum(np.clip(x[:, 2] - x[:, 0], 0, None) * np.clip(x[:, 3] - x[:, 1], 0, None) for x in (a, b))
    return np.where((a == b).all(1), 1.0, shared / np.maximum(total - shared, 1e-9))


EVENTS = Task("top-1", same_class)
DETECTIONS = Task("detections kept", same_detections, least=0.95)
