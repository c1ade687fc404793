"""Scores of a BEV network on moments of the driving world: the nuScenes detection metrics, and map IoU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.bevfusion.lite.decode import decode_boxes
from models.bevfusion.lite.network import BevFusionLite, LiteOutputs
from perception_nodes.evaluation.detection3d import Detection3dScorer
from perception_nodes.evaluation.map_iou import MapIouScorer
from perception_nodes.messages.detections import Detections3D
from perception_nodes.simulator.scenarios import random_scenario
from training.bevfusion.frames import BOX_NAMES, MAP_NAMES, Moment


def truth_of(moment: Moment) -> Detections3D:
    """The boxes with at least one return, as the protocol counts them."""
    k = moment.count > 0
    boxes, names = moment.boxes[k].astype(np.float64), [BOX_NAMES[i] for i in moment.label[k]]
    return Detections3D.build(
        "base_link", 0, boxes[:, :3], boxes[:, 3:6], boxes[:, 6], names, velocity=boxes[:, 7:9], points=moment.count[k]
    )


class BevScorer:
    """Collects what a network says of moments, then scores it."""

    def __init__(self) -> None:
        self.boxes, self.layers = Detection3dScorer(), MapIouScorer(MAP_NAMES)

    def add(self, moment: Moment, said: Detections3D, percent: NDArray[np.int8]) -> None:
        """One moment. percent int8 [6, X, Y]: probability of the map classes on the head's grid."""
        self.boxes.add(truth_of(moment), said)
        side = [(have - want) // 2 for have, want in zip(moment.masks.shape[1:], percent.shape[1:])]
        mask = moment.masks[:, side[0] : side[0] + percent.shape[1], side[1] : side[1] + percent.shape[2]]
        for name, cells, true in zip(MAP_NAMES, percent, mask):
            self.layers.add(name, cells, true == 1, true != 255)

    def brief(self) -> dict[str, Any]:
        """{map_present: mAP of the classes that occur, map_miou, frames, boxes: of all classes}."""
        found = self.summary()
        return {key: found[key] for key in ("map_present", "map_miou", "frames")} | {
            "boxes": sum(found["boxes"].values())
        }

    def summary(self) -> dict[str, Any]:
        """{map, nds, map_present, nds_present, map_miou, map_iou, ap, errors, frames, boxes, by_range, vehicles}."""
        boxes = self.boxes
        official, present = boxes.official(), boxes.official(boxes.present()) if boxes.present() else None
        iou = {name: v for name, v in self.layers.metrics()["iou"].items() if isinstance(v, float)}
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
            "by_range": {ring: {"map": row["map"], "boxes": row["boxes"]} for ring, row in boxes.by_range().items()},
            "vehicles": boxes.vehicles(),
        }


@torch.inference_mode()
def score(
    answer: Callable[[Any], LiteOutputs],
    network: BevFusionLite,
    worlds: Iterable[Sequence[Any]],
    conditions: Sequence[Sequence[str]] = (),
    moment_of: Callable[[Any], Moment] = lambda sample: sample,
) -> dict[str, Any]:
    """`BevScorer.summary` of a network in eval mode.

    worlds: what `answer` takes, of each world · moment_of: the moment of one of them, by default itself ·
    conditions: of each world, e.g. ("night", "rain"); then `conditions` holds `BevScorer.brief` of each one.
    """
    whole, parts = BevScorer(), {name: BevScorer() for name in sorted({n for names in conditions for n in names})}
    for i, world in enumerate(worlds):
        scorers = [whole, *(parts[name] for name in (conditions[i] if conditions else ()))]
        for sample in world:
            found = answer(sample)
            said = decode_boxes(network.boxes.split(found.boxes), network.coarse, BOX_NAMES)
            names = [BOX_NAMES[i] for i in said.label]
            boxes = Detections3D.build(
                "base_link", 0, said.centre, said.size, said.yaw, names, velocity=said.velocity, score=said.score
            )
            percent = (found.map[0].sigmoid().numpy() * 100).round().astype(np.int8)
            for scorer in scorers:
                scorer.add(moment_of(sample), boxes, percent)
    out = whole.summary()
    return {**out, "conditions": {name: part.brief() for name, part in parts.items()}} if parts else out


def conditions_of(seed: int) -> tuple[str, str]:
    """(daytime, weather) of the world of a seed."""
    conditions = random_scenario(seed).conditions
    return conditions.daytime, conditions.weather
