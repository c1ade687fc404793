"""Matching of 3-D boxes by the distance of their centres: precision, confidence and errors over recall.

The nuScenes protocol (Caesar et al., CVPR 2020, section 3.3). Boxes of one class are matched in falling order of score:
each takes the nearest free true box of its frame, if that is nearer than a threshold in the ground plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.detections import Detections3D

RECALLS = np.linspace(0.0, 1.0, 101)


class Matched(NamedTuple):
    """One class in one frame: N found boxes in falling order of score, M true boxes.

    score [N] · match int64 [T, N]: index of the true box at each distance threshold, -1 none · errors float64 [5, N]:
    the errors of `nuscenes_protocol.ERRORS` against the true box of the error threshold, NaN where unmatched or
    undefined · found_range [N], true_range [M]: distance to the ego vehicle, m · true_points int64 [M], -1 unknown.
    """

    score: NDArray[np.float64]
    match: NDArray[np.int64]
    errors: NDArray[np.float64]
    found_range: NDArray[np.float64]
    true_range: NDArray[np.float64]
    true_points: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curve:
    """precision and confidence float64 [101] at RECALLS, 0 beyond the highest recall · errors float64 [5, 101], each
    the mean over the matches of at least that confidence."""

    precision: NDArray[np.float64]
    confidence: NDArray[np.float64]
    errors: NDArray[np.float64]

    def average_precision(self, min_recall: float, min_precision: float) -> float:
        """Mean precision above `min_recall`, what exceeds `min_precision` alone, scaled to 0..1."""
        counted = self.precision[round(100 * min_recall) + 1 :]
        return float(np.maximum(counted - min_precision, 0.0).mean()) / (1.0 - min_precision)

    def mean_errors(self, min_recall: float) -> NDArray[np.float64]:
        """The five errors [5], each the mean from `min_recall` to the highest recall; 1 where that is not reached."""
        first = round(100 * min_recall) + 1
        reached = np.flatnonzero(self.confidence)
        last = int(reached[-1]) if len(reached) else 0
        return self.errors[:, first : last + 1].mean(1) if last >= first else np.ones(len(self.errors))


def nothing_found() -> Curve:
    """The curve of a class without a match: no precision, all errors 1."""
    zeros = np.zeros(len(RECALLS))
    return Curve(zeros, zeros, np.ones((5, len(RECALLS))))


def match_class(
    truth: Detections3D, found: Detections3D, distances: tuple[float, ...], error_distance: float, period: float
) -> Matched:
    """Match the boxes of one class of one frame. Both in one frame with the ego vehicle at its origin; period: of the
    heading, rad (pi where front and rear cannot be told apart)."""
    order = np.argsort(found.score, kind="stable")[::-1]  # of equal scores the later box first, as the devkit has it
    centre = found.centre[order, :2]
    apart = np.linalg.norm(centre[:, None] - truth.centre[None, :, :2], axis=-1)  # [N, M]
    rows = (*distances, error_distance)
    match = np.full((len(rows), len(order)), -1, np.int64)
    if len(truth) and len(order):
        least = np.array(rows)
        every = np.arange(len(rows))
        free = np.ones((len(rows), len(truth)), bool)
        for i, row in enumerate(apart):
            nearest = np.where(free, row, np.inf)  # [T, M]
            best = nearest.argmin(1)
            hit = nearest[every, best] < least
            match[hit, i] = best[hit]
            free[every[hit], best[hit]] = False
    errors = np.full((5, len(order)), np.nan)
    hit = match[-1] >= 0
    if hit.any():
        errors[:, hit] = pair_errors(truth, match[-1, hit], found, order[hit], period)
    return Matched(
        found.score[order],
        match[:-1],
        errors,
        np.linalg.norm(centre, axis=1),
        np.linalg.norm(truth.centre[:, :2], axis=1),
        truth.points,
    )


def pair_errors(
    truth: Detections3D, t: NDArray[np.int64], found: Detections3D, f: NDArray[np.int64], period: float
) -> NDArray[np.float64]:
    """float64 [5, K] of K pairs truth[t], found[f]: distance in the ground plane m, 1 - IoU of the sizes alone, angle
    rad, difference of the velocities m/s, 1 where the attribute is wrong (NaN where the truth has none)."""
    translation = np.linalg.norm(found.centre[f, :2] - truth.centre[t, :2], axis=1)
    both = np.minimum(found.size[f], truth.size[t]).prod(1)
    scale = 1.0 - both / (found.size[f].prod(1) + truth.size[t].prod(1) - both)
    angle = np.abs((truth.yaw[t] - found.yaw[f] + period / 2) % period - period / 2)
    velocity = np.linalg.norm(found.velocity[f] - truth.velocity[t], axis=1)
    names = [(truth.attribute[i], found.attribute[j]) for i, j in zip(t, f)]
    attribute = np.array([np.nan if not true else float(true != said) for true, said in names])
    return np.stack([translation, scale, angle, velocity, attribute])


def curve(
    score: NDArray[np.float64], right: NDArray[np.bool_], count: int, errors: NDArray[np.float64] | None = None
) -> Curve:
    """The curve of one class over all frames.

    Args:
        score [N], right bool [N]: found boxes; of equal scores the first counts first. count: true boxes. errors [5, N]
            of the right ones; None: not asked for.
    """
    if count == 0 or not right.any():
        return nothing_found()
    order = np.argsort(-score, kind="stable")
    score, right = score[order], right[order]
    hits = np.cumsum(right).astype(float)
    recall = hits / count
    precision = np.interp(RECALLS, recall, hits / np.arange(1, len(hits) + 1), right=0)
    confidence = np.interp(RECALLS, recall, score, right=0)
    means = np.ones((5, len(RECALLS)))
    if errors is not None:
        of_right = errors[:, order][:, right]
        for row, values in zip(means, of_right):
            row[:] = np.interp(confidence[::-1], score[right][::-1], running_mean(values)[::-1])[::-1]
    return Curve(precision, confidence, means)


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the known values up to each place; 1 everywhere where none is known, 0 before the first known one."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    return np.nancumsum(values) / np.maximum(np.cumsum(known), 1)
