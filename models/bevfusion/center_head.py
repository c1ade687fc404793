"""CenterPoint's detection head (Yin et al., CVPR 2021): per task a class heatmap and box values at its peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.bevfusion.blocks import ConvModule
from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.nms import circle_nms, rotated_nms
from models.bevfusion.prediction_heads import BOX_HEADS, PredictionHeads

HEATMAP_BIAS = -2.19  # a first guess of 10 % for every cell


@dataclass(frozen=True)
class Task:
    """Classes that share a heatmap branch, and how their boxes are thinned out.

    classes: how many · squared_distance: m², of circle suppression; None: suppression by the overlap of the boxes ·
    scales: per class, how much its boxes are enlarged for the overlap.
    """

    classes: int
    squared_distance: float | None = None
    scales: tuple[float, ...] = ()


# The released camera-only detector: car; truck, construction vehicle; bus, trailer; barrier; motorcycle, bicycle;
# pedestrian, traffic cone.
NUSCENES_TASKS = (
    Task(1, squared_distance=4.0),
    Task(2, scales=(1.0, 1.0)),
    Task(2, scales=(1.0, 1.0)),
    Task(1, squared_distance=1.0),
    Task(2, scales=(1.0, 1.0)),
    Task(2, scales=(2.5, 4.0)),
)


class CenterHead(nn.Module):
    """in_channels: of the decoder's BEV map · channels: shared by the tasks · candidates: peaks per task before
    suppression · most: boxes per task · overlap: largest intersection over union of two boxes of a task.
    """

    def __init__(
        self,
        in_channels: int,
        coder: BoxCoder,
        tasks: Sequence[Task] = NUSCENES_TASKS,
        channels: int = 64,
        candidates: int = 500,
        most: int = 83,
        overlap: float = 0.2,
    ):
        super().__init__()
        self.coder, self.tasks = coder, tuple(tasks)
        self.candidates, self.most, self.overlap = candidates, most, overlap
        self.shared_conv = ConvModule(in_channels, channels, 3)
        self.task_heads = nn.ModuleList()
        for task in tasks:
            heads = PredictionHeads(
                channels, {"reg": (2, 2), **BOX_HEADS, "heatmap": (task.classes, 2)}, channels, size=3, dims=2
            )
            nn.init.constant_(heads.get_parameter("heatmap.1.bias"), HEATMAP_BIAS)
            self.task_heads.append(heads)

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        """x [B, in_channels, X, Y] -> per task reg [B, 2, X, Y] (cells from the cell's corner), height, dim (log), rot
        (sin, cos), vel, heatmap (logits).
        """
        shared = self.shared_conv(x)
        return [head(shared) for head in self.task_heads]

    def decode(self, found: list[dict[str, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per sample (boxes [N, 9] in rows of `box_coder`, scores [N], labels [N]), task after task."""
        out = []
        for b in range(len(found[0]["heatmap"])):
            parts, offset = [], 0
            for task, maps in zip(self.tasks, found):
                boxes, scores, labels = self._task(task, {name: m[b] for name, m in maps.items()})
                parts.append((boxes, scores, labels + offset))
                offset += task.classes
            boxes, scores, labels = (torch.cat(p) for p in zip(*parts))
            out.append((boxes, scores, labels))
        return out

    def _task(self, task: Task, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        heat = maps["heatmap"].sigmoid().flatten(1)  # [classes, X * Y]
        columns = maps["heatmap"].shape[2]
        scores, best = heat.flatten().topk(min(self.candidates, heat.numel()))
        labels, cell = best // heat.shape[1], best % heat.shape[1]

        def at(name: str) -> Tensor:
            return maps[name].flatten(1)[:, cell]

        center = torch.stack([cell // columns, cell % columns]) + at("reg")
        boxes = self.coder.decode(*(v[None] for v in (center, at("height"), at("dim"), at("rot"), at("vel"))))[0]
        # the range applies to the centre's height here, not to the bottom's
        middle = torch.cat([boxes[:, :2], at("height").t(), boxes[:, 3:]], 1)
        kept = self.coder.keep(middle, scores)
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        plain = boxes.detach().numpy()
        if task.squared_distance is not None:
            rows = circle_nms(plain[:, :2], scores.detach().numpy(), task.squared_distance, self.most)
        else:
            bev = plain[:, [0, 1, 3, 4, 6]].copy()
            bev[:, 2:4] *= np.array(task.scales, np.float32)[labels.numpy()][:, None]
            rows = rotated_nms(bev, scores.detach().numpy(), self.overlap, self.most)
        keep = torch.from_numpy(rows)
        return boxes[keep], scores[keep], labels[keep]
