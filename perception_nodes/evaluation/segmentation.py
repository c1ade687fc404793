"""Point-wise segmentation scores: confusion matrix, IoU per class, the same by range and by beam pattern.

IoU of a class = TP / (ground truth + predicted - TP) over all points whose ground truth is a class
(Behley et al., SemanticKITTI, ICCV 2019, eq. 1). A class without a ground-truth point has no IoU ("no data") and is
left out of the mean: absence is neither 0 nor 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE
from perception_nodes.evaluation.errors import EvaluationError

RANGE_EDGES_M = (0.0, 10.0, 20.0, 40.0, np.inf)

# The ten classes that are common in streets. A few sweeps need not hold all of them: the mean says over how many it is.
COMMON = (
    "road",
    "sidewalk",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "car",
    "person",
)

NO_DATA = "no data"


def confusion(truth: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """int64 [classes, classes + 1]: rows ground truth, columns prediction; the last column counts points that got no
    class. Points with ground truth IGNORE do not count. Both inputs integer [N]; raises ValueError on unequal lengths.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"found {truth.shape[0]} truth labels and {predicted.shape[0]} predictions, expected one each")
    counted = truth < classes
    column = np.minimum(predicted[counted].astype(np.int64), classes)
    cell = truth[counted].astype(np.int64) * (classes + 1) + column
    return np.bincount(cell, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def iou(matrix: NDArray[np.int64]) -> list[float | None]:
    """IoU per class of a confusion matrix; None where no ground-truth point exists."""
    classes = matrix.shape[0]
    hits = np.diagonal(matrix).astype(float)
    truth, predicted = matrix.sum(1), matrix[:, :classes].sum(0)
    return [float(hits[c] / (truth[c] + predicted[c] - hits[c])) if truth[c] else None for c in range(classes)]


def mean_iou(values: list[float | None]) -> float | None:
    """Mean over the classes that have one; None if there is none."""
    present = [v for v in values if v is not None]
    return float(np.mean(present)) if present else None


def common_mean(values: Mapping[str, float | None], digits: int = 6) -> dict[str, float | int | str]:
    """`miou10`: mean IoU over those of COMMON that have one ("no data" where none has); `miou10_classes`: how many.

    values: class -> IoU; None, or no entry, where the ground truth holds no point of the class.
    """
    present = [value for name in COMMON if (value := values.get(name)) is not None]
    mean = round(float(np.mean(present)), digits) if present else NO_DATA
    return {"miou10": mean, "miou10_classes": len(present)}


def common_words(metrics: Mapping[str, float | int | str]) -> str:
    """Over how many classes the mean of `common_mean` is, in words."""
    return f"{metrics.get('miou10_classes', 'an unknown number')} of the ten classes common in streets"


@dataclass
class SegmentationScorer:
    """Collects sweeps, then scores them. `names` are the class names in id order."""

    names: tuple[str, ...]
    sweeps: int = 0
    by_range: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    by_beams: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, xyz: NDArray, truth: NDArray, predicted: NDArray, beams: str | None = None) -> NDArray[np.int64]:
        """Count one sweep: xyz float [N, 3] m in the sensor frame, labels integer [N]; `beams` names the pattern
        ("64-beam"). Returns the sweep's own confusion matrix."""
        classes = len(self.names)
        distance = np.linalg.norm(np.nan_to_num(xyz[:, :2]), axis=1)
        total = np.zeros((classes, classes + 1), np.int64)
        for low, high in zip(RANGE_EDGES_M[:-1], RANGE_EDGES_M[1:]):
            inside = (distance >= low) & (distance < high)
            matrix = confusion(truth[inside], predicted[inside], classes)
            name = f"{low:g}-{high:g} m" if np.isfinite(high) else f"over {low:g} m"
            self.by_range[name] = self.by_range.get(name, 0) + matrix
            total += matrix
        if beams is not None:
            self.by_beams[beams] = self.by_beams.get(beams, 0) + total
        self.sweeps += 1
        return total

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix of everything added so far."""
        classes = len(self.names)
        return sum(self.by_range.values(), np.zeros((classes, classes + 1), np.int64))

    def metrics(self) -> dict:
        """`segmentation` of metrics.json: see docs/figures.md."""
        matrix = self.matrix
        if not matrix.sum():
            return {"miou": NO_DATA, "sweeps": self.sweeps, "points": 0}
        values = iou(matrix)
        return {
            "miou": or_no_data(mean_iou(values)),
            **common_mean(dict(zip(self.names, values))),
            "iou": {n: or_no_data(v) for n, v in zip(self.names, values)},
            "accuracy": float(np.trace(matrix[:, : len(self.names)]) / matrix.sum()),
            "points": int(matrix.sum()),
            "points_by_class": {n: int(row.sum()) for n, row in zip(self.names, matrix)},
            "sweeps": self.sweeps,
            "by_range": {k: summary(self.names, m) for k, m in self.by_range.items()},
            "by_beams": {k: summary(self.names, m) for k, m in self.by_beams.items()},
            "confusion": {"rows": "ground truth", "columns": [*self.names, "no class"], "counts": matrix.tolist()},
        }


def summary(names: tuple[str, ...], matrix: NDArray[np.int64]) -> dict:
    """miou and iou by class of one confusion matrix, "no data" where there is none."""
    values = iou(matrix)
    return {
        "miou": or_no_data(mean_iou(values)),
        "iou": {n: or_no_data(v) for n, v in zip(names, values)},
        "points": int(matrix.sum()),
    }


def or_no_data(value: float | None) -> float | str:
    """A score, or the words that stand for a missing one in metrics.json."""
    return NO_DATA if value is None else round(value, 6)


def map_labels(labels: NDArray, names: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.uint8]:
    """Labels of a table `names` as labels of the table `known`, matched by name.

    Raises EvaluationError naming the classes that `known` lacks (faults.md 20): what cannot be mapped is refused,
    never guessed.
    """
    strangers = [n for n in names if n not in known]
    if strangers:
        raise EvaluationError(
            f"found classes {', '.join(strangers)} in the output, expected some of {', '.join(known)}: "
            "evaluate against ground truth with the same class table"
        )
    table = np.full(256, IGNORE, np.uint8)
    table[: len(names)] = [known.index(n) for n in names]
    return table[np.asarray(labels, np.uint8)]
