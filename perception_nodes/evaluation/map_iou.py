"""Map segmentation in bird's-eye view: IoU per class at the best of seven thresholds, accumulated over a set.

The metric of BEVFusion's map segmentation (Liu et al., ICRA 2023): true and false cells of all frames are added up for
each class and threshold 0.35, 0.40 ... 0.65; a class counts with its best IoU; the mean over classes is the mIoU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.evaluation.segmentation import NO_DATA

THRESHOLDS = (35, 40, 45, 50, 55, 60, 65)  # per cent, as an OccupancyGrid holds them


@dataclass
class MapIouScorer:
    """Collects grids, then scores them. names: the classes."""

    names: tuple[str, ...]
    frames: int = 0
    _counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # class -> [3, T] true, false, missed cells

    def add(self, name: str, percent: NDArray[np.int8], truth: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        """One class of one frame: percent int8 0..100 (-1: not said, counts as 0), truth bool, known bool (cells of
        unknown truth do not count), all of one shape. Raises ValueError for another one."""
        if not percent.shape == truth.shape == known.shape:
            raise ValueError(f"found grids of {percent.shape}, {truth.shape} and {known.shape}; one shape was expected")
        said, true = percent[known], truth[known]
        rows = self._counts.setdefault(name, np.zeros((3, len(THRESHOLDS)), np.int64))
        rows += counted(said, true)

    def iou(self, name: str) -> NDArray[np.float64] | None:
        """IoU at each threshold [T]; None where the truth holds no cell of the class."""
        if name not in self._counts:
            return None
        right, false, missed = self._counts[name]
        return right / (right + false + missed) if (right + missed).any() else None

    def curve(self, name: str) -> list[list[float]]:
        """[recall, precision] at each threshold, rising thresholds; where nothing is said, precision is 1."""
        right, false, missed = self._counts[name]
        said, true = right + false, right + missed
        precision = np.divide(right, said, out=np.ones(len(said)), where=said > 0)
        recall = right / np.maximum(true, 1)
        return [[round(float(r), 4), round(float(p), 4)] for r, p in zip(recall, precision)]

    def metrics(self) -> dict[str, Any]:
        """`map` of metrics.json: miou, iou, threshold, iou_at and recall_precision by class, frames."""
        rows = {name: self.iou(name) for name in self.names}
        known = {name: row for name, row in rows.items() if row is not None}
        best = {name: float(row.max()) for name, row in known.items()}
        return {
            "miou": round(float(np.mean(list(best.values()))), 6) if best else NO_DATA,
            "iou": {name: round(best[name], 6) if name in best else NO_DATA for name in self.names},
            "threshold": {name: THRESHOLDS[int(row.argmax())] / 100 for name, row in known.items()},
            "iou_at": {
                name: {f"{t / 100:.2f}": round(float(v), 6) for t, v in zip(THRESHOLDS, row)}
                for name, row in known.items()
            },
            "recall_precision": {name: self.curve(name) for name in known},
            "frames": self.frames,
        }


def counted(percent: NDArray[np.int8], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [3, T]: true, false and missed cells at each threshold."""
    of_true = np.array([(percent[truth] >= t).sum() for t in THRESHOLDS], np.int64)
    of_all = np.array([(percent >= t).sum() for t in THRESHOLDS], np.int64)
    return np.stack([of_true, of_all - of_true, int(truth.sum()) - of_true])
