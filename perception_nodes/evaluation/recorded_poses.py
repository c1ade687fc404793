"""Where base_link was in the map, from a bag's /tf."""

from __future__ import annotations

import numpy as np

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import Matrix, interpolate
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.transforms import read_transforms

MOST_BEYOND_NS = 100_000_000  # a pose is used so far before the first and after the last one


class RecordedPoses:
    """map_from_base at any time of a bag. Raises EvaluationError where /tf cannot be read."""

    def __init__(self, reader: BagReader, parent: str = "map", child: str = "base_link") -> None:
        self._path, self._link = reader.path, f"{parent} <- {child}"
        rows: dict[int, Matrix] = {}
        try:
            for _, kind, _, raw in reader.messages(["/tf"]) if "/tf" in reader.topics() else ():
                for link in read_transforms(reader.decode(raw, kind)):
                    if (link.parent, link.child) == (parent, child):
                        rows[link.stamp_ns] = link.parent_from_child
        except (BagError, MessageError) as error:
            raise EvaluationError(f"{reader.path}: /tf: {error}") from None
        self._stamps = np.array(sorted(rows), np.int64)
        self._poses = [rows[stamp] for stamp in self._stamps.tolist()]

    def __len__(self) -> int:
        return len(self._poses)

    def at(self, stamp_ns: int) -> Matrix:
        """map_from_base float64 [4, 4], interpolated. Raises EvaluationError for a time that /tf does not cover."""
        right = int(np.searchsorted(self._stamps, stamp_ns))
        ends = [i for i in (right - 1, right) if 0 <= i < len(self._stamps)]
        if not ends or min(abs(int(self._stamps[i]) - stamp_ns) for i in ends) > MOST_BEYOND_NS and len(ends) < 2:
            raise EvaluationError(
                f"{self._path}: /tf says nothing about {self._link} at {stamp_ns} ns. Record /tf with the ground truth"
            )
        if len(ends) < 2:
            return self._poses[ends[0]]
        first, last = int(self._stamps[ends[0]]), int(self._stamps[ends[1]])
        return interpolate(self._poses[ends[0]], self._poses[ends[1]], (stamp_ns - first) / (last - first))
