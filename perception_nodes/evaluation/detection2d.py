"""Detection in video: mean average precision, overall and by how fast things move in the picture.

Average precision (AP) of a class at an IoU threshold is COCO's: detections of all pictures in falling order of score,
each matched to the free true box of its class and picture that it overlaps most (greedy); the mean of the best
precision at 101 recalls. `map` is the mean over classes and IoU 0.50, 0.55 … 0.95; `map50` that at 0.50.

What does not count (neither as missed nor, where a detection lies on it, as false): true boxes whose `ignore` is set.
`hard_to_see` is the rule that this project sets it by: lower than 8 px or narrower than 3 px at the detector's input
size, or less than 30 % of the object visible. A detection that matches nothing and is itself that small does not count
either. At most 100 detections a picture count.

By motion, after ImageNet-VID's table (X. Zhu et al., "Flow-Guided Feature Aggregation", ICCV 2017): a box's motion IoU
is the mean IoU with the same object's boxes in the neighbouring pictures; slow > 0.9, medium 0.7 to 0.9, fast < 0.7.
There the neighbours are ±10 pictures at about 25 Hz; here those of the same ±0.4 s: ±4 at 10 Hz, ±2 at 5 Hz. True boxes
of another speed, or of unknown speed, do not count. A false detection has no speed: it counts for each speed by the
share of its class's true boxes that have this speed, so that precision is on one scale with the overall figure's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tsm.detector_boxes import pairwise_iou

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100  # detections of a picture that count
WINDOW_S = 0.4  # s to either side for the motion IoU
SPEEDS = ("slow", "medium", "fast")
LEAST_SIZE = (3.0, 8.0)  # px, width and height
LEAST_VISIBLE = 0.3
NO_DATA = "no data"


@dataclass(frozen=True, eq=False)
class TrueBoxes2D:
    """What is to be found in one picture: boxes float [M, 4] x1, y1, x2, y2 px · label int [M] · ignore bool [M] ·
    motion float [M] motion IoU, NaN where unknown. Raises ValueError on lengths that differ."""

    boxes: NDArray
    label: NDArray
    ignore: NDArray
    motion: NDArray

    def __post_init__(self) -> None:
        n = len(self.label)
        if self.boxes.shape != (n, 4) or len(self.ignore) != n or len(self.motion) != n:
            raise ValueError(
                f"found boxes {self.boxes.shape}, {len(self.ignore)} ignore flags and {len(self.motion)} motion IoUs; "
                f"{n} labels need [{n}, 4], {n} and {n}"
            )


def too_small(boxes: NDArray, least: tuple[float, float] = LEAST_SIZE) -> NDArray[np.bool_]:
    """Boxes [M, 4] narrower or lower than `least` (width, height) px."""
    return ((boxes[:, 2:] - boxes[:, :2]) < least).any(1)


def hard_to_see(boxes: NDArray, visible: NDArray, least: tuple[float, float] = LEAST_SIZE) -> NDArray[np.bool_]:
    """True boxes that do not count: boxes [M, 4] that are too small, or of which less than 30 % is `visible` (0..1)."""
    return too_small(boxes, least) | (visible < LEAST_VISIBLE)


def motion_ious(boxes: list[NDArray], tracks: list[NDArray], window: int) -> list[NDArray[np.float64]]:
    """Motion IoU of every box of a sequence of pictures: per picture boxes [M, 4] and track ids [M] -> [M].

    The mean over the pictures within ±`window` (WINDOW_S, counted in pictures) in which the track is present; NaN where
    it is in none of them.
    """
    total = [np.zeros(len(t)) for t in tracks]
    count = [np.zeros(len(t)) for t in tracks]
    for i in range(len(boxes)):
        for j in range(i + 1, min(i + window + 1, len(boxes))):
            _, a, b = np.intersect1d(tracks[i], tracks[j], return_indices=True)
            overlap = np.array([pairwise_iou(boxes[i][m : m + 1], boxes[j][n : n + 1])[0, 0] for m, n in zip(a, b)])
            if len(overlap):
                total[i][a] += overlap
                total[j][b] += overlap
                count[i][a] += 1
                count[j][b] += 1
    return [np.where(c > 0, t / np.maximum(c, 1), np.nan) for t, c in zip(total, count)]


def speed_of(motion: NDArray) -> NDArray:
    """Names of SPEEDS per motion IoU, "" where it is NaN: slow above 0.9, fast below 0.7, medium between."""
    names = np.where(motion > 0.9, "slow", np.where(motion < 0.7, "fast", "medium"))
    return np.where(np.isnan(motion), "", names)


@dataclass
class Detection2dScorer:
    """Collects pictures, then scores them. `names` are the class names by id; `least` px: see the module."""

    names: tuple[str, ...]
    least: tuple[float, float] = LEAST_SIZE
    pictures: int = 0
    _groups: dict[str, list[list[_Picture]]] = field(default_factory=dict)
    _judged: dict[tuple[str, int, str], _Ranked] = field(default_factory=dict)

    def add(self, truth: TrueBoxes2D, boxes: NDArray, label: NDArray, score: NDArray, group: str = "") -> None:
        """One picture: what there is, and what was found (boxes [N, 4] px, label [N], score [N]). `group`: the drive
        that it belongs to, for `interval_of_gain`."""
        self.pictures += 1
        self._judged.clear()
        best = np.argsort(-score, kind="stable")[:MOST]
        boxes, label, score = boxes[best], label[best], score[best]
        rows = self._groups.setdefault(group, [[] for _ in self.names])
        for c in range(len(self.names)):
            true, found = truth.label == c, label == c
            if true.any() or found.any():
                small = too_small(boxes[found], self.least)
                overlap = pairwise_iou(boxes[found].astype(float), truth.boxes[true].astype(float))
                rows[c].append(_Picture(overlap, score[found], small, truth.ignore[true], speed_of(truth.motion[true])))

    def summary(self) -> dict[str, Any]:
        """map, map50, ap and ap50 by class, counts of true boxes, and by_motion {speed: {map, map50, boxes}}; a score
        without a true box that counts is "no data"."""
        overall = self._table("")
        out = {k: _said(v) for k, v in _means(overall).items()}
        out["ap"] = {n: _said(a) for n, (a, _, _) in zip(self.names, overall)}
        out["ap50"] = {n: _said(a) for n, (_, a, _) in zip(self.names, overall)}
        out["boxes"] = {n: count for n, (_, _, count) in zip(self.names, overall)}
        out["pictures"] = self.pictures
        out["by_motion"] = {}
        for speed in SPEEDS:
            rows = self._table(speed)
            means = {k: _said(v) for k, v in _means(rows).items()}
            out["by_motion"][speed] = means | {"boxes": sum(count for _, _, count in rows)}
        return out

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(self._groups)

    def means(
        self, speed: str = "", groups: Sequence[str] | None = None, thresholds: int = len(THRESHOLDS)
    ) -> dict[str, float | None]:
        """map and map50 of a speed ("": all); of these groups only, each as often as it is named; map over the first
        `thresholds` of THRESHOLDS."""
        return _means(self._table(speed, groups, thresholds))

    def _table(
        self, speed: str, groups: Sequence[str] | None = None, thresholds: int = len(THRESHOLDS)
    ) -> list[tuple[float | None, float | None, int]]:
        """(AP, AP at 0.5, true boxes that count) of each class."""
        rows: list[tuple[float | None, float | None, int]] = []
        chosen = list(self._groups if groups is None else groups)
        for c in range(len(self.names)):
            counted = sum(self._flat(g, c, speed).counted for g in chosen)
            if counted == 0:
                rows.append((None, None, 0))
                continue
            share = counted / sum(self._flat(g, c, "").counted for g in chosen)
            values = average_precisions([self._flat(g, c, speed) for g in chosen], counted, share, thresholds)
            rows.append((float(np.mean(values)), values[0], counted))
        return rows

    def _flat(self, group: str, c: int, speed: str) -> _Ranked:
        """One class of one group, judged once."""
        key = (group, c, speed)
        if key not in self._judged:
            pictures = self._groups[group][c]
            score = np.concatenate([p.score for p in pictures]) if pictures else np.zeros(0)
            verdicts = [p.match(p.ignored(speed)) for p in pictures]
            verdict = np.concatenate(verdicts, 1) if pictures else np.zeros((len(THRESHOLDS), 0), np.int8)
            self._judged[key] = _Ranked(score, verdict, sum(int((~p.ignored(speed)).sum()) for p in pictures))
        return self._judged[key]


def interval_of_gain(
    new: Detection2dScorer, old: Detection2dScorer, speed: str = "", draws: int = 100, seed: int = 0
) -> tuple[float, float] | None:
    """90 % interval of map50 of `new` - `old`, from drawing the groups (drives) with replacement: what another choice
    of test drives might have shown. Both must have scored the same pictures. None without a score; ValueError for other
    groups."""
    if new.groups != old.groups:
        raise ValueError(f"{len(new.groups)} and {len(old.groups)} groups of pictures: expected the same ones")
    rng, gains = np.random.default_rng(seed), []
    for _ in range(draws):
        groups = [new.groups[i] for i in rng.integers(len(new.groups), size=len(new.groups))]
        a, b = (scorer.means(speed, groups, 1)["map50"] for scorer in (new, old))
        if a is not None and b is not None:
            gains.append(a - b)
    if not gains:
        return None
    low, high = np.quantile(gains, (0.05, 0.95))
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class _Picture:
    """One class in one picture: iou [N, M], score [N] falling, small bool [N], ignore bool [M], speed names [M]."""

    iou: NDArray
    score: NDArray
    small: NDArray
    ignore: NDArray
    speed: NDArray

    def ignored(self, speed: str) -> NDArray[np.bool_]:
        """True boxes that do not count for a speed ("": all)."""
        return self.ignore if not speed else self.ignore | (self.speed != speed)

    def match(self, ignored: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Per IoU threshold and detection [T, N]: 1 right, 0 false, -1 does not count."""
        least = np.array(THRESHOLDS)[:, None]
        every = np.arange(len(THRESHOLDS))
        verdict = np.zeros((len(THRESHOLDS), len(self.score)), np.int8)
        if self.iou.shape[1] == 0:
            verdict[:, self.small] = -1
            return verdict
        free = np.repeat(~ignored[None], len(THRESHOLDS), 0)  # [T, M]
        for i, row in enumerate(self.iou):
            good = np.where(free & (row >= least), row, -1.0)
            best = good.argmax(1)
            right = good[every, best] > 0
            free[every[right], best[right]] = False
            excused = self.small[i] | (ignored & (row >= least)).any(1)
            verdict[:, i] = np.where(right, 1, np.where(excused, -1, 0))
        return verdict


@dataclass(frozen=True, eq=False)
class _Ranked:
    """One class of many pictures: score [N], verdict int8 [T, N] of `_Picture.match`, how many true boxes count."""

    score: NDArray
    verdict: NDArray[np.int8]
    counted: int


def average_precisions(parts: list[_Ranked], counted: int, share: float, thresholds: int) -> list[float]:
    """AP of one class at the first `thresholds` of THRESHOLDS; `counted` true boxes, false detections weigh `share`."""
    order = np.argsort(-np.concatenate([p.score for p in parts]), kind="stable")
    verdicts = np.concatenate([p.verdict[:thresholds] for p in parts], 1)[:, order]
    return [_area(v[v >= 0] == 1, counted, share) for v in verdicts]


def _area(right: NDArray[np.bool_], counted: int, share: float) -> float:
    """Mean over RECALLS of the best precision at that recall or beyond; `right` in falling order of score."""
    if not right.any():
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.maximum(hits + np.cumsum(~right) * share, 1e-12)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / counted, RECALLS - 1e-12)
    return float(np.append(best, 0.0)[at].mean())


def _means(rows: list[tuple[float | None, float | None, int]]) -> dict[str, float | None]:
    whole = [a for a, _, _ in rows if a is not None]
    half = [a for _, a, _ in rows if a is not None]
    return {"map": float(np.mean(whole)), "map50": float(np.mean(half))} if whole else {"map": None, "map50": None}


def _said(value: float | None) -> Any:
    return NO_DATA if value is None else round(value, 4)
