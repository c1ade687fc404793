"""What the camera branch is pre-trained on: 2-D boxes, pixel classes and depth, each a small head on its map.

Boxes: a heatmap per class whose peaks are object centres (X. Zhou et al., "Objects as Points", 2019), and at each cell
the distances to the box's four sides (Z. Liu et al., "TTFNet", AAAI 2020, eq. 4). Depth: a distribution over
`DepthBins`; this head serves the view transform of bevfusion-lite too. Pixel classes: logits per cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.lite.camera import STRIDE, CameraBranch, Separable
from models.bevfusion.lite.depth_bins import DepthBins

SIDE_SCALE = 16.0  # px: what a regressed distance of 1 means
RARE = -2.19  # bias of the heatmaps: a probability of 0.1 at the start, as in "Focal Loss" (Lin et al., ICCV 2017)


@dataclass(frozen=True)
class CameraOutputs:
    """heat [N, K, h, w] logits of object centres · sides [N, 4, h, w] px from the cell's centre to left, top, right,
    bottom · pixels [N, P, h, w] logits of pixel classes · depth [N, bins + 1, h, w] logits; h = H/8, w = W/8."""

    heat: Tensor
    sides: Tensor
    pixels: Tensor
    depth: Tensor


class CameraLite(nn.Module):
    """The camera branch with its pre-training heads.

    boxes, pixels: numbers of box and pixel classes · bins: of depth · channels: of the branch's map.
    """

    def __init__(self, boxes: int, pixels: int, bins: DepthBins, channels: int = 64):
        super().__init__()
        self.bins = bins
        self.branch = CameraBranch(channels)
        self.heat = _head(channels, boxes)
        self.sides = _head(channels, 4)
        self.pixels = _head(channels, pixels)
        self.depth = _head(channels, bins.classes)
        nn.init.constant_(self.heat[-1].bias, RARE)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures float32 [N, 3, H, W], normalised -> (heat, sides, pixels, depth) as in CameraOutputs."""
        return self._answer(self.branch(x))

    def from_early(self, early: Tensor) -> CameraOutputs:
        """The same from what `branch.backbone.early` gave."""
        return CameraOutputs(*self._answer(self.branch.neck(*self.branch.backbone.late(early))))

    def _answer(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sides = F.softplus(self.sides(features)) * SIDE_SCALE
        return self.heat(features), sides, self.pixels(features), self.depth(features)


def _head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Separable(channels, channels), nn.Conv2d(channels, outputs, 1))


@dataclass(frozen=True)
class Boxes2D:
    """What was found in one picture: box float32 [D, 4] x1, y1, x2, y2 px · label int64 [D] · score float32 [D]."""

    box: Tensor
    label: Tensor
    score: Tensor


def cell_centres(height: int, width: int) -> Tensor:
    """Pixel coordinates (x, y) of the cells' centres, float32 [2, height, width]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([x, y]).float() + 0.5) * STRIDE


def boxes_of(sides: Tensor) -> Tensor:
    """Distances [N, 4, h, w] px -> boxes [N, 4, h, w]: x1, y1, x2, y2 px."""
    centre = cell_centres(*sides.shape[-2:]).to(sides)
    return torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], 1)


@torch.no_grad()
def decode_boxes(
    heat: Tensor, sides: Tensor, most: int = 100, least: float = 0.05, overlap: float = 0.6
) -> list[Boxes2D]:
    """Peaks of the heatmaps, best first: at most `most` a picture, scores from `least` on.

    A cell is a peak where none of its eight neighbours of the same class is higher. Of two boxes of one class that
    overlap by more than `overlap` (IoU) the better one is kept.
    """
    score = heat.float().sigmoid()
    score = score * (F.max_pool2d(score, 3, 1, 1) == score)
    boxes = boxes_of(sides.float()).flatten(2)  # [N, 4, h * w]
    size = score.shape[-2] * score.shape[-1]
    found = []
    for values, box in zip(score.flatten(1), boxes):
        best, where = values.topk(min(most, len(values)))
        kept = best >= least
        best, label, where = best[kept], where[kept] // size, where[kept] % size
        one = Boxes2D(box[:, where].T.contiguous(), label, best)
        rows = _suppress(one, overlap)
        found.append(Boxes2D(one.box[rows], one.label[rows], one.score[rows]))
    return found


def _suppress(found: Boxes2D, overlap: float) -> Tensor:
    """Rows that stay, in order."""
    box, label = found.box, found.label
    area = (box[:, 2:] - box[:, :2]).clamp(min=0).prod(1)
    low = torch.maximum(box[:, None, :2], box[None, :, :2])
    high = torch.minimum(box[:, None, 2:], box[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)
    iou = common / (area[:, None] + area[None] - common).clamp(min=1e-9)
    near = (iou > overlap) & (label[:, None] == label[None])
    alive = torch.ones(len(box), dtype=torch.bool)
    for i in range(len(box)):
        if alive[i]:
            alive[i + 1 :] &= ~near[i, i + 1 :]
    return alive.nonzero()[:, 0]
