"""Scores of the camera branch on pictures with full truth: 2-D boxes, pixel classes, depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.bevfusion.lite.build import PIXELS
from models.bevfusion.lite.camera_heads import Boxes2D, CameraLite, decode_boxes
from models.bevfusion.lite.depth_bins import FOCAL, DepthBins
from perception_nodes.evaluation.detection2d import Detection2dScorer, TrueBoxes2D, hard_to_see
from training.bevfusion.camera.augment import PLAIN, augmented
from training.bevfusion.camera.inputs import normalised
from training.bevfusion.camera.pictures import BOX_NAMES, IGNORE, Picture
from training.segmentation.confusion import confusion, iou

NEAREST, FARTHEST = 2.0, 60.0  # m: depths that are scored


@torch.no_grad()
def answers(network: CameraLite, picture: Picture) -> tuple[Boxes2D, Tensor, Tensor]:
    """(boxes, pixel classes uint8 [H/2, W/2], depth float32 [H/2, W/2] m) for a picture of any size, in its middle."""
    network.eval()
    heat, sides, pixels, depth = network(normalised([picture]))
    (boxes,) = decode_boxes(heat, sides)
    classes = F.interpolate(pixels, scale_factor=4.0, mode="bilinear", align_corners=False).argmax(1)[0]
    canonical = F.interpolate(network.bins.expected(depth)[:, None], scale_factor=4.0, mode="nearest")[0, 0]
    return boxes, classes.to(torch.uint8), canonical * (picture.focal / FOCAL)


def in_view(picture: Picture) -> Picture:
    """The middle of a stored picture at the network's size, otherwise unchanged."""
    return augmented(picture, PLAIN, np.random.default_rng(0))


class CameraScorer:
    """Collects pictures and answers, then scores them."""

    def __init__(self, bins: DepthBins):
        self.bins = bins
        self.boxes = Detection2dScorer(BOX_NAMES)
        self.matrix = torch.zeros(len(PIXELS), len(PIXELS), dtype=torch.long)
        self._errors: list[float] = []
        self._close: list[float] = []

    def add(self, picture: Picture, boxes: Boxes2D, pixels: Tensor, depth: Tensor) -> None:
        """One picture of the network's size, and what `answers` gave for it."""
        rows = picture.rows
        hard = hard_to_see(rows.box, rows.visible)
        truth = TrueBoxes2D(rows.box, rows.label, hard, np.full(len(rows), np.nan))
        world = picture.name.split("/")[0]
        self.boxes.add(truth, boxes.box.numpy(), boxes.label.numpy(), boxes.score.numpy(), world)
        true = torch.from_numpy(picture.pixels.copy())
        self.matrix += confusion(pixels.flatten().long(), true.flatten().long(), len(PIXELS), IGNORE)
        metres = torch.from_numpy(picture.depth)
        counted = (metres >= NEAREST) & (metres <= FARTHEST)
        if counted.any():
            ratio = depth[counted] / metres[counted]
            self._errors.append(float((ratio - 1).abs().mean()))
            self._close.append(float((torch.maximum(ratio, 1 / ratio) < 1.25).float().mean()))

    def summary(self) -> dict[str, Any]:
        """map50, map, ap50 by class, pixel_miou, pixel_iou by class, depth_abs_rel (mean of |found / true - 1| over a
        picture's pixels between 2 and 60 m, then over pictures), depth_within_25 (share of them), pictures."""
        boxes = self.boxes.summary()
        values = {name: round(float(v), 4) for name, v in zip(PIXELS, iou(self.matrix)) if v == v}
        return {
            "map50": boxes["map50"],
            "map": boxes["map"],
            "ap50": boxes["ap50"],
            "boxes": boxes["boxes"],
            "pixel_miou": round(float(np.mean(list(values.values()))), 4) if values else "no data",
            "pixel_iou": values,
            "depth_abs_rel": round(float(np.mean(self._errors)), 4) if self._errors else "no data",
            "depth_within_25": round(float(np.mean(self._close)), 4) if self._close else "no data",
            "pictures": boxes["pictures"],
        }
