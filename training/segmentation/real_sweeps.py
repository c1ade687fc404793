"""Scores on real sweeps, which no training has seen: SemanticKITTI by class, nuScenes and Argoverse 2 by boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE, POINT_CLASSES, point_class
from perception_nodes.datasets.argoverse2 import BOX_CLASS_OF, LIDAR_POSITION, open_argoverse_log
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import read_nuscenes_keyframe
from perception_nodes.datasets.semantickitti import find_sequences, open_sequence
from perception_nodes.evaluation.segmentation import common_mean
from training.segmentation.confusion import confusion, iou

Labeller = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.uint8]]
KINDS = {
    "vehicle": (("car", "truck", "bus", "trailer", "construction_vehicle"), ("car", "truck", "other-vehicle")),
    "person": (("pedestrian",), ("person",)),
    "two-wheeler": (("bicycle", "motorcycle"), ("bicycle", "motorcycle", "bicyclist", "motorcyclist")),
}
EGO_REACH = 3.0  # m around the sensor: returns of the car that carries it


def semantickitti_confusion(folder: Path, label: Labeller) -> torch.Tensor | None:
    """Counts int64 [19, 19] over every labelled sweep below `folder`; None where there is none."""
    try:
        sequences = [open_sequence(found) for found in find_sequences(folder)]
    except DatasetError:
        return None
    total = torch.zeros(len(POINT_CLASSES), len(POINT_CLASSES), dtype=torch.long)
    for sequence in sequences:
        for number in sequence.labels:
            points = sequence.sweep(number)
            truth, _ = sequence.label(number, len(points))
            found = label(np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3]))
            total += confusion(torch.from_numpy(found), torch.from_numpy(truth), len(total), IGNORE)
    return total if int(total.sum()) else None


def semantickitti_scores(matrix: torch.Tensor) -> dict[str, Any]:
    """miou10 and miou10_classes (see `common_mean`), miou, iou by class (classes that the truth holds)."""
    values = {c.name: float(v) for c, v in zip(POINT_CLASSES, iou(matrix)) if v == v}
    known = {name: round(v, 4) for name, v in values.items()}
    return {
        **common_mean(values, digits=4),
        "miou": round(float(np.mean(list(known.values()))), 4),
        "iou": known,
        "points": int(matrix.sum()),
    }


def inside(xyz: NDArray, centre: NDArray, size: NDArray, yaw: float) -> NDArray[np.bool_]:
    """Which points [N, 3] lie in one upright box (faces included), bool [N]."""
    offset = np.asarray(xyz, np.float64) - centre
    c, s = np.cos(yaw), np.sin(yaw)
    along, across = offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s
    return (np.abs(along) <= size[0] / 2) & (np.abs(across) <= size[1] / 2) & (np.abs(offset[:, 2]) <= size[2] / 2)


class BoxCounts:
    """Labels of points against annotated boxes, by kind, summed over sweeps. sweeps: how many were added."""

    def __init__(self) -> None:
        self.sweeps = 0
        # kind -> points inside its boxes, those given a class of the kind, labels of the kind, those outside every box
        self._counts = {kind: np.zeros(4, np.int64) for kind in KINDS}

    def add(self, xyz: NDArray, boxes: Any, category: list[str], sensor_xyz: NDArray, found: NDArray[np.uint8]) -> None:
        """Counts one sweep; the ego vehicle's own returns are not counted as labels outside the boxes.

        xyz: points in the frame of the boxes · sensor_xyz: the same points in the sensor's frame · found uint8 [N].
        """
        masks = {kind: np.zeros(len(found), bool) for kind in KINDS}
        anywhere = np.zeros(len(found), bool)
        far = np.linalg.norm(sensor_xyz[:, :2], axis=1) > EGO_REACH
        for i, name in enumerate(category):
            mask = inside(xyz, boxes.centre[i], boxes.size[i], float(boxes.yaw[i]))
            anywhere |= mask
            for kind, (names, _) in KINDS.items():
                if name in names:
                    masks[kind] |= mask
        for kind, (_, classes) in KINDS.items():
            said = np.isin(found, [point_class(c) for c in classes])
            sums = (masks[kind], masks[kind] & said, said & far, said & far & ~anywhere)
            self._counts[kind] += [int(mask.sum()) for mask in sums]
        self.sweeps += 1

    def scores(self) -> dict[str, dict[str, Any]]:
        """Per kind with a point in a box: `points` inside its boxes, `right`: the share of them given a class of that
        kind, `outside`: the share of the points given such a class that lie in no box."""
        out: dict[str, dict[str, Any]] = {}
        for kind, (points, right, said, outside) in self._counts.items():
            if points:
                share = round(float(outside / said), 4) if said else "no data"
                out[kind] = {"points": int(points), "right": round(float(right / points), 4), "outside": share}
        return out


def boxed_sweeps(data: Path) -> Iterator[tuple[str, Any, Any, Any, Any, list[str]]]:
    """(name, xyz and intensity as the network takes them, xyz and boxes in one frame, categories) of what is there."""
    try:
        frame = read_nuscenes_keyframe(data / "nuscenes_keyframe")
        level, boxes = frame.upright_boxes()
        yield "nuscenes", frame.xyz, frame.intensity, level, boxes, [str(c) for c in boxes.category]
    except DatasetError:
        pass
    try:
        for sweep in open_argoverse_log(data / "argoverse2").sweeps():
            category = [BOX_CLASS_OF.get(str(c), "") for c in sweep.boxes.category]
            seen = sweep.xyz - np.float32(LIDAR_POSITION)  # as spvcnn_node does with the converted bag
            yield "argoverse2", seen, sweep.intensity, sweep.xyz, sweep.boxes, category
    except DatasetError:
        pass


def real_scores(data: Path, label: Labeller) -> tuple[dict[str, Any], torch.Tensor | None]:
    """(scores, SemanticKITTI's confusion matrix or None); empty where `data` holds nothing."""
    out: dict[str, Any] = {}
    matrix = semantickitti_confusion(data / "semantickitti", label)
    if matrix is not None:
        out.update(semantickitti_scores(matrix))
    counts: dict[str, BoxCounts] = {}
    for name, xyz, intensity, level, boxes, category in boxed_sweeps(data):
        found = label(np.ascontiguousarray(xyz, np.float32), intensity)
        counts.setdefault(name, BoxCounts()).add(level, boxes, category, np.asarray(xyz), found)
    if counts:
        out["boxes"] = {name: count.scores() for name, count in counts.items()}
        out["box_sweeps"] = {name: count.sweeps for name, count in counts.items()}
    return out, matrix
