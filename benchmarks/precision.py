"""What fewer bits gain and cost: `python -m benchmarks.precision --json OUT`.

Labels of real SemanticKITTI sweeps by one model at every precision of the engine: mIoU against the ground truth, the
share of points whose label is that of float32, and the processor time of the network and of the whole step (least of
the repetitions, which take turns). Rows of the JSON: {"model", "precision", "miou", "miou10", "miou10_classes",
"agreement", "step_cpu_ms", "network_ms", "points"}.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import DEFAULT_SWEEPS, machine, progress, write_json

PRECISIONS = ("fp32", "int16", "int8")


def labelled_sweeps(folder: Path) -> list[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """(points float32 [N, 4], class uint8 [N]) of every labelled sweep below `folder`."""
    from perception_nodes.datasets.semantickitti import find_sequences, open_sequence

    out = []
    for sequence in map(open_sequence, find_sequences(folder)):
        for number in sequence.labels:
            points = sequence.sweep(number)
            out.append((points, sequence.label(number, len(points))[0]))
    return out


def compare(model: str, sweeps: list[Any], threads: int, repetitions: int) -> list[dict[str, Any]]:
    """Rows of one model."""
    from models.spvcnn.session import SegmentationSession
    from perception_nodes.classes import POINT_CLASSES
    from perception_nodes.evaluation.segmentation import common_mean, confusion, iou, mean_iou

    classes = len(POINT_CLASSES)
    sessions = {p: SegmentationSession.from_weights(model, p, threads) for p in PRECISIONS}
    matrices = {p: np.zeros((classes, classes + 1), np.int64) for p in PRECISIONS}
    same = dict.fromkeys(PRECISIONS, 0)
    cpu: dict[str, list[list[float]]] = {p: [] for p in PRECISIONS}
    network: dict[str, list[list[float]]] = {p: [] for p in PRECISIONS}
    for number, (points, truth) in enumerate(sweeps):
        xyz, intensity = np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3])
        for p in PRECISIONS:
            cpu[p].append([])
            network[p].append([])
        for turn in range(repetitions + 1):
            labels = {}
            for p, session in sessions.items():
                begin = time.process_time()
                labels[p] = session.step(xyz, intensity).label
                if turn:
                    cpu[p][-1].append(time.process_time() - begin)
                    network[p][-1].append(session.seconds["network"])
        for p in PRECISIONS:
            matrices[p] += confusion(truth, labels[p], classes)
            same[p] += int((labels[p] == labels["fp32"]).sum())
        progress(f"{model}: sweep {number + 1} of {len(sweeps)}")
    total = sum(len(points) for points, _ in sweeps)
    rows = []
    for p in PRECISIONS:
        values = iou(matrices[p])
        rows.append(
            {
                "model": model,
                "precision": sessions[p].engine,
                "miou": mean_iou(values),
                **common_mean({c.name: value for c, value in zip(POINT_CLASSES, values)}),
                "agreement": round(same[p] / total, 5),
                "step_cpu_ms": round(float(np.mean([min(t) for t in cpu[p]])) * 1e3, 2),
                "network_ms": round(float(np.mean([min(t) for t in network[p]])) * 1e3, 2),
                "points": total,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where the result goes")
    parser.add_argument("--sweeps", type=Path, default=DEFAULT_SWEEPS / "semantickitti", help="SemanticKITTI folder")
    parser.add_argument("--models", nargs="+", default=["spvnas-lite"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3, help="timed steps per sweep and precision")
    options = parser.parse_args()
    sweeps = labelled_sweeps(options.sweeps)
    rows: list[dict[str, Any]] = []
    for model in options.models:
        for row in compare(model, sweeps, options.threads, options.repetitions):
            rows.append(row)
            progress(
                f"  {row['precision']:40s} mIoU {row['miou']:.4f} ({row['miou10_classes']} common classes "
                f"{row['miou10']:.4f}), agreement "
                f"{row['agreement']:.4f}, step {row['step_cpu_ms']} ms of CPU"
            )
    write_json(options.json, {"machine": machine(), "rows": rows})
    progress(f"written: {options.json}")


if __name__ == "__main__":
    main()
