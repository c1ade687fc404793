"""Scores of driving events, picture by picture and span by span, against the events that were under way.

Several events may be under way at once, and a network names one: a picture is right where the event named is one of
those under way, or "none" where none is. `top1` is the share of right pictures. Per event, over all pictures: recall
and precision of the name; average precision (area under the precision-recall curve of its score, Everingham et al.,
PASCAL VOC 2010, all points), and `map`, its mean over the events that occur. Per span (pictures in a row with an event
under way): it is hit where a picture in it, or within `GRACE_S` after it, carries its name; the latency is from the
span's first picture to the first such picture. What has no ground truth has no score ("no data"): absence is neither 0
nor 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.segmentation import NO_DATA, or_no_data
from perception_nodes.messages.events import CameraEvent
from perception_nodes.messages.states import HELD, WARMING_UP

NONE = "none"
GAP_S = 1.0  # pictures further apart belong to different spans
GRACE_S = 0.5  # a span is hit so long after its end: its last moments need time to be seen


@dataclass(frozen=True)
class Span:
    """An event under way from picture `first` to picture `last` (indices), both included."""

    name: str
    first: int
    last: int


@dataclass
class EventScorer:
    """Collects the pictures of one camera in order of time, then scores them. names: the classes in id order."""

    names: tuple[str, ...]
    stamps_ns: list[int] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    predicted: list[int] = field(default_factory=list)
    truth: list[frozenset[str] | None] = field(default_factory=list)
    cold: int = 0
    held: int = 0

    def add(self, event: CameraEvent, truth: frozenset[str] | None) -> None:
        """Counts one picture; truth: names of what is under way (empty: nothing), None where nobody knows.

        Pictures without an answer of their own (the network is warming up, or the answer is held) are counted apart.
        Raises EvaluationError for classes that do not fit.
        """
        strangers = sorted({*event.scores, *(truth or ())} - set(self.names))
        if strangers:
            raise EvaluationError(
                f"found events {', '.join(strangers)}, expected some of {', '.join(self.names)}: evaluate against "
                "ground truth with the same class table"
            )
        if event.state:
            self.held += event.state == HELD
            self.cold += event.state == WARMING_UP
            return
        self.stamps_ns.append(event.stamp_ns)
        self.scores.append([float(event.scores.get(name, 0.0)) for name in self.names])
        self.predicted.append(self.names.index(event.event))
        self.truth.append(None if truth is None else truth - {NONE})

    def under_way(self) -> NDArray[np.bool_]:
        """bool [T, K] of the pictures with ground truth unknown False; "none" where nothing is under way."""
        table = np.zeros((len(self.truth), len(self.names)), np.bool_)
        for row, truth in zip(table, self.truth):
            for i, name in enumerate(self.names):
                row[i] = truth is not None and (name in truth or (name == NONE and not truth))
        return table

    def known(self) -> NDArray[np.bool_]:
        """bool [T]: pictures with ground truth."""
        return np.array([t is not None for t in self.truth], np.bool_)

    def spans(self) -> list[Span]:
        """Spans of the ground truth, by event and time; a picture without ground truth ends them."""
        table, found = self.under_way(), []
        for i, name in enumerate(self.names):
            if name != NONE:
                found += [Span(name, first, last) for first, last in self._runs(table[:, i])]
        return found

    def metrics(self) -> dict[str, Any]:
        """`events` of metrics.json."""
        known, table = self.known(), self.under_way()
        frames = int(known.sum())
        head = {"frames": frames, "warming_up": self.cold, "held": self.held, "without_truth": int((~known).sum())}
        if not frames:
            return {"top1": NO_DATA, **head}
        predicted, scores = np.asarray(self.predicted), np.asarray(self.scores, np.float64)
        right = table[np.arange(len(table)), predicted]
        busy = known & ~table[:, self.names.index(NONE)] if NONE in self.names else known
        spans = self.spans()
        by_event = {name: self._event(i, name, known, table, predicted, scores, spans) for i, name in self._rows()}
        hits = [self._latency(span, predicted) for span in spans]
        came = [seconds for seconds in hits if seconds is not None]
        precisions = [row["ap"] for n, row in by_event.items() if n != NONE and isinstance(row["ap"], float)]
        minutes = (self.stamps_ns[-1] - self.stamps_ns[0]) / 60e9
        return {
            "top1": round(float(right[known].mean()), 6),
            "top1_in_events": or_no_data(float(right[busy].mean()) if busy.any() else None),
            "top1_without_event": or_no_data(float(right[known & ~busy].mean()) if (known & ~busy).any() else None),
            "map": or_no_data(float(np.mean(precisions)) if precisions else None),
            **head,
            "spans": {
                "count": len(spans),
                "hit": len(came),
                "hit_rate": or_no_data(len(came) / len(spans) if spans else None),
                "latency_s": or_no_data(float(median(came)) if came else None),
                "false_per_minute": or_no_data(self._false_spans(table, predicted) / minutes if minutes > 0 else None),
            },
            "by_event": by_event,
            "confusion": self._confusion(known, table, predicted),
        }

    def _runs(self, mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """(first, last) of each run of True without a gap of more than `GAP_S` in the stamps."""
        found = []
        gaps = np.flatnonzero(np.diff(self.stamps_ns) > GAP_S * 1e9) + 1
        for first, last in runs(mask):
            cuts = [int(g) for g in gaps if first < g <= last]
            found += list(zip([first, *cuts], [*(c - 1 for c in cuts), last]))
        return found

    def _rows(self) -> list[tuple[int, str]]:
        return list(enumerate(self.names))

    def _event(
        self,
        i: int,
        name: str,
        known: NDArray[np.bool_],
        table: NDArray[np.bool_],
        predicted: NDArray[np.int64],
        scores: NDArray[np.float64],
        spans: Sequence[Span],
    ) -> dict[str, Any]:
        truth, said = table[known, i], predicted[known] == i
        hits = int((truth & said).sum())
        own = [self._latency(span, predicted) for span in spans if span.name == name]
        came = [seconds for seconds in own if seconds is not None]
        return {
            "frames": int(truth.sum()),
            "recall": or_no_data(hits / int(truth.sum()) if truth.any() else None),
            "precision": or_no_data(hits / int(said.sum()) if said.any() and truth.any() else None),
            "ap": or_no_data(average_precision(scores[known, i], truth)),
            "spans": len(own),
            "spans_hit": len(came),
            "latency_s": or_no_data(float(median(came)) if came else None),
        }

    def _latency(self, span: Span, predicted: NDArray[np.int64]) -> float | None:
        """Seconds from a span's first picture to the first that names it; None where none does."""
        wanted, begin = self.names.index(span.name), self.stamps_ns[span.first]
        end = self.stamps_ns[span.last] + GRACE_S * 1e9
        for i in range(span.first, len(predicted)):
            if self.stamps_ns[i] > end:
                return None
            if predicted[i] == wanted:
                return (self.stamps_ns[i] - begin) * 1e-9
        return None

    def _false_spans(self, table: NDArray[np.bool_], predicted: NDArray[np.int64]) -> int:
        """Runs of an event's name that touch no picture with that event under way, nor `GRACE_S` after one."""
        count = 0
        for i, name in self._rows():
            if name == NONE:
                continue
            truth = self._runs(table[:, i])
            ends = [self.stamps_ns[last] + GRACE_S * 1e9 for _, last in truth]
            begins = [self.stamps_ns[first] for first, _ in truth]
            for first, last in self._runs(predicted == i):
                start, stop = self.stamps_ns[first], self.stamps_ns[last]
                count += not any(b <= stop and start <= e for b, e in zip(begins, ends))
        return count

    def _confusion(
        self, known: NDArray[np.bool_], table: NDArray[np.bool_], predicted: NDArray[np.int64]
    ) -> dict[str, Any]:
        counts = np.zeros((len(self.names),) * 2, np.int64)
        for row, said in zip(table[known], predicted[known]):
            counts[said if row[said] else int(np.flatnonzero(row)[0]), said] += 1
        note = "ground truth; of several events under way the one that was named, else the first"
        return {"rows": note, "columns": list(self.names), "counts": counts.tolist()}


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]


def average_precision(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    """Area under the precision-recall curve, pictures of equal score together; None without a positive or a negative
    picture."""
    if not truth.any() or truth.all():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = truth[order]
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # last of each group of equal scores
    hits = np.cumsum(ranked)[ends]
    precision, recall = hits / (ends + 1), hits / ranked.sum()
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((np.maximum.accumulate(precision[::-1])[::-1] * steps).sum())
