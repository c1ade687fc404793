"""Result files of the nuScenes detection benchmark: the JSON that the official devkit reads.

    {"meta": {"use_camera": true, ...}, "results": {sample token: [{"translation", "size", "rotation", ...}]}}

Boxes are in nuScenes' global frame. There `size` is width, length, height, and `rotation` a quaternion w, x, y, z.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception_nodes.calibration.se3 import from_quaternion, to_quaternion, yaw_of
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.nuscenes_protocol import ATTRIBUTES, NUSCENES, attributes_by_speed
from perception_nodes.messages.clock import parse_json
from perception_nodes.messages.detections import Detections3D

META = ("use_camera", "use_lidar", "use_radar", "use_map", "use_external")
FRAME = "global"


def write_results(path: Path, frames: Mapping[str, Detections3D], **meta: bool) -> Path:
    """Write a result file; returns its path.

    Args:
        frames: sample token -> boxes in the global frame. Of each, the best 500 boxes of the ten classes are written;
            boxes without an attribute get one by their speed. An unknown velocity becomes 0, 0.
        meta: which of META the method used; the others are false.

    Raises:
        ValueError: names a key of `meta` that the format does not have.
    """
    unknown = sorted(set(meta) - set(META))
    if unknown:
        raise ValueError(f"the result format has no {', '.join(unknown)}; it has {', '.join(META)}")
    content = {
        "meta": {key: bool(meta.get(key, False)) for key in META},
        "results": {token: _rows(token, boxes) for token, boxes in frames.items()},
    }
    path.write_text(json.dumps(content, allow_nan=False) + "\n")
    return path


def read_results(path: Path) -> tuple[dict[str, Detections3D], dict[str, bool]]:
    """(sample token -> boxes in the global frame, meta) of a result file; raises EvaluationError."""
    try:
        content = parse_json(path.read_bytes())
    except OSError as err:
        raise EvaluationError(f"cannot read the result file {path}: {err.strerror or err}") from None
    except ValueError as err:
        raise EvaluationError(f"{path} is not JSON: {err}") from None
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        expected = '{"meta": ..., "results": {token: boxes}}'
        raise EvaluationError(f"{path} is not a nuScenes result file: expected {expected}")
    meta = content.get("meta")
    frames = {}
    for token, rows in content["results"].items():
        try:
            frames[token] = _boxes(rows)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
            raise EvaluationError(f"{path}: the boxes of sample {token}: {type(err).__name__} {err}") from None
    return frames, {key: bool(value) for key, value in meta.items()} if isinstance(meta, dict) else {}


def _rows(token: str, boxes: Detections3D) -> list[dict[str, Any]]:
    known = np.array([c in NUSCENES.class_range for c in boxes.category], bool)
    boxes = boxes.select(known)
    rows = []
    by_speed = attributes_by_speed(boxes)
    for i in np.argsort(-boxes.score, kind="stable")[: NUSCENES.max_boxes]:
        length, width, height = boxes.size[i].tolist()
        x, y, z, w = to_quaternion(boxes.pose(int(i))).tolist()
        rows.append(
            {
                "sample_token": token,
                "translation": boxes.centre[i].tolist(),
                "size": [width, length, height],
                "rotation": [w, x, y, z],
                "velocity": np.nan_to_num(boxes.velocity[i]).tolist(),
                "detection_name": boxes.category[i],
                "detection_score": float(boxes.score[i]),
                "attribute_name": boxes.attribute[i] or by_speed[i],
            }
        )
    return rows


def _boxes(rows: Any) -> Detections3D:
    yaw = []
    for row in rows:
        w, x, y, z = row["rotation"]
        yaw.append(yaw_of(from_quaternion((x, y, z, w))))
        if row["detection_name"] not in NUSCENES.class_range:
            raise ValueError(f"there is no class {row['detection_name']!r}")
        if row["attribute_name"] and row["attribute_name"] not in ATTRIBUTES:
            raise ValueError(f"there is no attribute {row['attribute_name']!r}")
    return Detections3D.build(
        FRAME,
        0,
        [row["translation"] for row in rows],
        [(length, width, height) for width, length, height in (row["size"] for row in rows)],
        yaw,
        [row["detection_name"] for row in rows],
        velocity=[row["velocity"] for row in rows],
        score=[row["detection_score"] for row in rows],
        attribute=[row["attribute_name"] for row in rows],
    )
