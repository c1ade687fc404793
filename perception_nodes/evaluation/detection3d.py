"""3-D detection scored as the nuScenes benchmark does it: mAP by centre distance, five true-positive errors, NDS.

AP of a class is the mean over four match distances (0.5, 1, 2, 4 m) of the area under the precision-recall curve above
10 % recall and 10 % precision. The errors of a class are those of the matches at 2 m, averaged over recall. NDS is
(5 mAP + sum over the five errors of max(0, 1 - error)) / 10 (Caesar et al., CVPR 2020, equations 2 and 3).

`map` and `nds` are the official figures: a class without a true box counts with AP 0 and errors 1. `map_present` and
`nds_present` leave such classes out. Where all ten classes occur the two are equal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.evaluation.detection3d_match import Curve, Matched, curve, match_class
from perception_nodes.evaluation.nuscenes_protocol import (
    ERRORS,
    HALF_TURN,
    NUSCENES,
    TWO_WHEELERS,
    UNDEFINED,
    VEHICLES,
    Protocol,
)
from perception_nodes.evaluation.segmentation import NO_DATA
from perception_nodes.messages.detections import Detections3D

RANGES_M = ((0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0), (40.0, 50.0))


class Scored3D(NamedTuple):
    """The official figures. ap: class -> distance -> AP · errors: class -> float64 [5], NaN where undefined · means:
    mean errors [5] over the classes · map, nds."""

    ap: dict[str, dict[float, float]]
    errors: dict[str, NDArray[np.float64]]
    means: NDArray[np.float64]
    map: float
    nds: float


class Detection3dScorer:
    """Collects frames, then scores them. All boxes of a frame are in one frame with the ego vehicle at its origin and z
    up (base_link)."""

    def __init__(self, protocol: Protocol = NUSCENES) -> None:
        self.protocol = protocol
        self.frames = 0
        self._rows: dict[str, list[Matched]] = {name: [] for name in protocol.class_range}
        self._vehicles: list[Matched] = []

    def add(self, truth: Detections3D, found: Detections3D, racks: Detections3D | None = None) -> None:
        """One frame: true boxes, found boxes, and bicycle racks, in which two-wheelers do not count.

        Boxes of other classes are left out. Raises ValueError for more found boxes than the protocol allows,
        or a score that is not finite.
        """
        if len(found) > self.protocol.max_boxes:
            raise ValueError(f"{len(found)} boxes in one frame; the protocol allows {self.protocol.max_boxes}")
        if not np.isfinite(found.score).all():
            raise ValueError(f"{int((~np.isfinite(found.score)).sum())} boxes have a score that is not a finite number")
        self.frames += 1
        truth, found = (countable(boxes, self.protocol, racks) for boxes in (truth, found))
        for name, rows in self._rows.items():
            self._match((name,), rows, truth, found)
        self._match(VEHICLES, self._vehicles, truth, found)

    def _match(self, names: tuple[str, ...], rows: list[Matched], truth: Detections3D, found: Detections3D) -> None:
        true, said = (boxes.select(np.array([c in names for c in boxes.category], bool)) for boxes in (truth, found))
        if len(true) or len(said):
            period = np.pi if names[0] in HALF_TURN else 2 * np.pi
            # The newest first: of equal scores the devkit takes the later frame first.
            rows.insert(0, match_class(true, said, self.protocol.distances, self.protocol.error_distance, period))

    def boxes(self, name: str) -> int:
        """True boxes of a class that count."""
        return sum(len(row.true_range) for row in self._rows[name])

    def present(self) -> tuple[str, ...]:
        """Classes with a true box that counts."""
        return tuple(name for name in self._rows if self.boxes(name))

    def curve(self, name: str, distance: float) -> Curve:
        """Precision, confidence and errors of a class over recall at a match distance of the protocol."""
        at = self.protocol.distances.index(distance)
        rows = self._rows[name]
        if not rows:
            return curve(np.zeros(0), np.zeros(0, bool), 0)
        score = np.concatenate([row.score for row in rows])
        right = np.concatenate([row.match[at] >= 0 for row in rows])
        errors = np.concatenate([row.errors for row in rows], 1) if distance == self.protocol.error_distance else None
        return curve(score, right, self.boxes(name), errors)

    def official(self, names: tuple[str, ...] | None = None) -> Scored3D:
        """The benchmark's figures over these classes (default: all ten)."""
        chosen = tuple(self._rows) if names is None else names
        ap: dict[str, dict[float, float]] = {}
        errors: dict[str, NDArray[np.float64]] = {}
        for name in chosen:
            curves = {d: self.curve(name, d) for d in self.protocol.distances}
            limits = (self.protocol.min_recall, self.protocol.min_precision)
            ap[name] = {d: c.average_precision(*limits) for d, c in curves.items()}
            errors[name] = curves[self.protocol.error_distance].mean_errors(self.protocol.min_recall)
            for undefined in UNDEFINED.get(name, ()):
                errors[name][ERRORS.index(undefined)] = np.nan
        means = mean_of_known(list(errors.values()))
        mean_ap = float(np.mean([np.mean(list(row.values())) for row in ap.values()]))
        scores = np.maximum(0.0, 1.0 - np.where(np.isnan(means), 1.0, means))
        weight = self.protocol.map_weight
        return Scored3D(ap, errors, means, mean_ap, float((weight * mean_ap + scores.sum()) / (weight + len(ERRORS))))

    def by_range(self) -> dict[str, dict[str, Any]]:
        """AP of each class in rings around the vehicle, m: {"0-10 m": {map, ap, boxes}}.

        Boxes are matched as in the whole. A matched box belongs to the ring of its true box, another one to the ring in
        which it lies.
        """
        out: dict[str, dict[str, Any]] = {}
        for low, high in RANGES_M:
            ap: dict[str, float | str] = {}
            boxes = 0
            for name, rows in self._rows.items():
                value, count = self._within(rows, low, high)
                boxes += count
                ap[name] = NO_DATA if value is None else rounded(value)
            known = [v for v in ap.values() if isinstance(v, float)]
            mean = rounded(float(np.mean(known))) if known else NO_DATA
            out[f"{low:g}-{high:g} m"] = {"map": mean, "ap": ap, "boxes": boxes}
        return out

    def vehicles(self, within_m: float = 40.0, min_points: int = 5, distance: float = 2.0) -> dict[str, Any]:
        """Vehicles of all kinds as one class: a truck that was called a car is found.

        True boxes beyond `within_m`, or with fewer known LiDAR points than `min_points`, count neither as missed nor,
        where a found box lies on them, as false.

        Returns:
            ap, recall (of all found boxes), recall_best_f1, precision_best_f1 and score_best_f1 (at the score with
            the best F1), boxes.
        """
        at = self.protocol.distances.index(distance)
        parts = []
        count = 0
        for row in self._vehicles:
            few = (row.true_points >= 0) & (row.true_points < min_points)
            counts = (row.true_range < within_m) & ~few
            parts.append(_counted(row, at, counts, row.found_range < within_m))
            count += int(counts.sum())
        if not count:
            return {"ap": NO_DATA, "recall": NO_DATA, "boxes": 0}
        score, right = (np.concatenate(columns) for columns in zip(*parts))
        value = curve(score, right, count).average_precision(self.protocol.min_recall, self.protocol.min_precision)
        out = {"ap": rounded(value), "recall": rounded(right.sum() / count), "boxes": count}
        return {**out, **_best_f1(score, right, count)}

    def best_scores(self, distance: float = 2.0) -> dict[str, float]:
        """Class -> the score at which its F1 is best; classes without a match are left out."""
        at = self.protocol.distances.index(distance)
        out = {}
        for name, rows in self._rows.items():
            if rows:
                score = np.concatenate([row.score for row in rows])
                right = np.concatenate([row.match[at] >= 0 for row in rows])
                found = _best_f1(score, right, self.boxes(name))
                if found:
                    out[name] = found["score_best_f1"]
        return out

    def metrics(self) -> dict[str, Any]:
        """`detection3d` of metrics.json."""
        present = self.present()
        counts = {name: self.boxes(name) for name in self._rows}
        out: dict[str, Any] = {"frames": self.frames, "boxes": counts, "absent": [n for n in counts if not counts[n]]}
        if not present:
            return {"map": NO_DATA, "nds": NO_DATA, **out}
        whole, part = self.official(), self.official(present)
        return {
            "map": rounded(whole.map),
            "nds": rounded(whole.nds),
            "map_present": rounded(part.map),
            "nds_present": rounded(part.nds),
            **{f"m{name}": rounded(value) for name, value in zip(ERRORS, whole.means)},
            "errors_present": dict(zip(ERRORS, map(rounded, part.means))),
            "ap": {n: rounded(float(np.mean(list(whole.ap[n].values())))) if counts[n] else NO_DATA for n in counts},
            "ap_at": {n: {f"{d:g}": rounded(v) for d, v in part.ap[n].items()} for n in present},
            "errors": {n: dict(zip(ERRORS, map(rounded, part.errors[n]))) for n in present},
            "by_range": self.by_range(),
            "vehicles": self.vehicles(),
            **out,
        }

    def _within(self, rows: list[Matched], low: float, high: float) -> tuple[float | None, int]:
        """(AP of one class in a ring, None without a true box; true boxes in it)."""

        def inside(ranges: NDArray[np.float64]) -> NDArray[np.bool_]:
            return (ranges >= low) & (ranges < high)

        count = sum(int(inside(row.true_range).sum()) for row in rows)
        if not count:
            return None, 0
        values = []
        for at in range(len(self.protocol.distances)):
            parts = [_counted(row, at, inside(row.true_range), inside(row.found_range)) for row in rows]
            score, right = (np.concatenate(columns) for columns in zip(*parts))
            part = curve(score, right, count)
            values.append(part.average_precision(self.protocol.min_recall, self.protocol.min_precision))
        return float(np.mean(values)), count


def countable(boxes: Detections3D, protocol: Protocol, racks: Detections3D | None = None) -> Detections3D:
    """The boxes that the benchmark counts: of its classes, within the class's range, not known to hold no LiDAR point,
    and two-wheelers outside bicycle racks."""
    limit = np.array([protocol.class_range.get(name, -1.0) for name in boxes.category])
    keep = (np.linalg.norm(boxes.centre[:, :2], axis=1) < limit) & (boxes.points != 0)
    if racks is not None and len(racks):
        wheels = np.array([name in TWO_WHEELERS for name in boxes.category], bool)
        keep &= ~(wheels & inside_any(boxes.centre, racks))
    return boxes.select(keep)


def inside_any(points: NDArray[np.float64], boxes: Detections3D) -> NDArray[np.bool_]:
    """bool [N]: points [N, 3] that lie in one of the boxes, faces included."""
    offset = points[:, None] - boxes.centre  # [N, B, 3]
    c, s = np.cos(boxes.yaw), np.sin(boxes.yaw)
    along, across = offset[..., 0] * c + offset[..., 1] * s, offset[..., 1] * c - offset[..., 0] * s
    local = np.stack([along, across, offset[..., 2]], -1)
    inside = np.max(np.abs(local) - boxes.size / 2, axis=-1) <= 0
    return np.asarray(inside.any(-1), bool)


def mean_of_known(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over the rows of what is not NaN, per column; NaN where nothing is."""
    values = np.array(rows)
    known = ~np.isnan(values)
    total = np.nansum(values, 0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def rounded(value: float) -> Any:
    """A figure of metrics.json; "no data" for NaN."""
    return NO_DATA if np.isnan(value) else round(float(value), 6)


def _counted(
    row: Matched, at: int, true_counts: NDArray[np.bool_], found_counts: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(score, right) of the found boxes that count where only some true boxes do."""
    matched = row.match[at] >= 0
    counts = found_counts.copy()
    counts[matched] = true_counts[row.match[at, matched]]
    return row.score[counts], matched[counts]


def _best_f1(score: NDArray[np.float64], right: NDArray[np.bool_], count: int) -> dict[str, float]:
    if not right.any():
        return {}
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + count)
    best = int(f1.argmax())
    return {
        "recall_best_f1": rounded(hits[best] / count),
        "precision_best_f1": rounded(hits[best] / (best + 1)),
        "score_best_f1": float(score[order][best]),
    }
