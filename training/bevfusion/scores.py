"""Scores of a BEV network on moments of the driving world: the nuScenes detection metrics, and map IoU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from models.bevfusion.lite.decode import decode_boxes
from models.bevfusion.lite.network import BevFusionLite, LiteOutputs
from perception_nodes.evaluation.detection3d import Detection3dScorer
from perception_nodes.evaluation.map_iou import MapIouScorer
from perception_nodes.messages.detections import Detections3D
from training.bevfusion.frames import BOX_NAMES, MAP_NAMES, Moment


def truth_of(moment: Moment) -> Detections3D:
    """The boxes with at least one return, as the protocol counts them."""
    k = moment.count > 0
    boxes, names = moment.boxes[k].astype(np.float64), [BOX_NAMES[i] for i in moment.label[k]]
    return Detections3D.build(
        "base_link", 0, boxes[:, :3], boxes[:, 3:6], boxes[:, 6], names, velocity=boxes[:, 7:9], points=moment.count[k]
    )


@torch.inference_mode()
def score(
    answer: Callable[[Moment], LiteOutputs], network: BevFusionLite, worlds: Iterable[list[Moment]]
) -> dict[str, Any]:
    """{map, nds, map_present, nds_present, map_miou, map_iou, frames, boxes} of a network in eval mode."""
    boxes, layers = Detection3dScorer(), MapIouScorer(MAP_NAMES)
    for world in worlds:
        for moment in world:
            found = answer(moment)
            said = decode_boxes(network.boxes.split(found.boxes), network.coarse, BOX_NAMES)
            names = [BOX_NAMES[i] for i in said.label]
            boxes.add(truth_of(moment), Detections3D.build(
                "base_link", 0, said.centre, said.size, said.yaw, names, velocity=said.velocity, score=said.score
            ))  # fmt: skip
            side = [(have - want) // 2 for have, want in zip(moment.masks.shape[1:], found.map.shape[2:])]
            mask = moment.masks[:, side[0] : side[0] + found.map.shape[2], side[1] : side[1] + found.map.shape[3]]
            percent = (found.map[0].sigmoid().numpy() * 100).round().astype(np.int8)
            for name, cells, true in zip(MAP_NAMES, percent, mask):
                layers.add(name, cells, true == 1, true != 255)
    official, present = boxes.official(), boxes.official(boxes.present()) if boxes.present() else None
    iou = {name: v for name, v in layers.metrics()["iou"].items() if isinstance(v, float)}
    return {
        "map": official.map,
        "nds": official.nds,
        "map_present": present.map if present else 0.0,
        "nds_present": present.nds if present else 0.0,
        "map_miou": float(np.mean(list(iou.values()))) if iou else 0.0,
        "map_iou": iou,
        "ap": {name: float(np.mean(list(row.values()))) for name, row in official.ap.items()},
        "errors": [None if np.isnan(v) else float(v) for v in official.means],
        "frames": boxes.frames,
        "boxes": {name: boxes.boxes(name) for name in BOX_NAMES},
    }
