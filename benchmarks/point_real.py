"""Models on real sweeps, by class, beam pattern and range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .common import progress

RINGS = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, np.inf))


def real_table(sessions: dict[str, Any], data: Path) -> dict[str, Any]:
    """Every model on the real sweeps: SemanticKITTI by class and range, nuScenes' and Argoverse 2's boxes by kind and
    range; the beam pattern is the data's own."""
    from perception_nodes.classes import POINT_CLASSES
    from perception_nodes.datasets.errors import DatasetError
    from perception_nodes.datasets.semantickitti import find_sequences, open_sequence
    from perception_nodes.evaluation.segmentation import SegmentationScorer
    from training.segmentation.real_sweeps import BoxCounts, boxed_sweeps

    classes = tuple(c.name for c in POINT_CLASSES)
    out: dict[str, Any] = {}
    for name, session in sessions.items():
        row: dict[str, Any] = {}
        scorer = SegmentationScorer(classes)
        try:
            for sequence in map(open_sequence, find_sequences(data / "semantickitti")):
                for number in sequence.labels:
                    points = sequence.sweep(number)
                    xyz = np.ascontiguousarray(points[:, :3])
                    found = session.step(xyz, np.ascontiguousarray(points[:, 3])).label
                    scorer.add(xyz, sequence.label(number, len(points))[0], found, "64-beam")
            row["semantickitti"] = {k: v for k, v in scorer.metrics().items() if k != "confusion"}
        except DatasetError as error:
            row["semantickitti"] = f"no data ({error})"
        by_range: dict[str, dict[str, BoxCounts]] = {}
        for which, xyz, intensity, level, boxes, category in boxed_sweeps(data):
            xyz = np.ascontiguousarray(xyz, np.float32)
            found = session.step(xyz, intensity).label
            counts = by_range.setdefault(which, {})
            counts.setdefault("all", BoxCounts()).add(level, boxes, category, xyz, found)
            distance = np.linalg.norm(xyz[:, :2], axis=1)
            for low, high in RINGS:
                ring = (distance >= low) & (distance < high)
                label = f"{low:g}-{high:g} m" if np.isfinite(high) else f"over {low:g} m"
                part = counts.setdefault(label, BoxCounts())
                part.add(np.asarray(level)[ring], boxes, category, xyz[ring], found[ring])
        row |= {which: {label: part.scores() for label, part in parts.items()} for which, parts in by_range.items()}
        out[name] = row
        progress(f"real sweeps: {name}")
    return out
