"""Boxes from the box head's maps: peaks of the heatmap, and suppression of worse boxes nearby."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.bevfusion.pool.association import Grid
from models.bevfusion.results import Detections3D

MOST, LEAST = 200, 0.02  # boxes of a frame, and the minimum score
# m between the centres of two boxes of one class, below which the worse one is left out; by the classes' order
APART = (2.0, 2.5, 2.5, 3.0, 3.0, 1.0, 0.8, 0.8, 0.35, 0.3)


@torch.inference_mode()
def decode_boxes(maps: dict[str, Tensor], grid: Grid, classes: tuple[str, ...]) -> Detections3D:
    """maps: of one sample (B = 1), see `BoxHead.split` -> boxes, best first, in the frame of the grid."""
    heat = maps["heatmap"].float().sigmoid()
    heat = (heat * (F.max_pool2d(heat, 3, 1, 1) == heat))[0].flatten(1)
    score, best = heat.flatten().topk(min(MOST, heat.numel()))
    kept = score >= LEAST
    score, best = score[kept], best[kept]
    label, cell = best // heat.shape[1], best % heat.shape[1]
    columns = maps["heatmap"].shape[3]
    at = {name: m[0].float().flatten(1)[:, cell].numpy().T for name, m in maps.items() if name != "heatmap"}
    place = np.stack([(cell // columns).numpy(), (cell % columns).numpy()], 1) + at["reg"]
    centre = place * grid.step[:2] + np.array([grid.x[0], grid.y[0]], np.float32)
    rows = apart(centre, label.numpy())
    return Detections3D(
        np.column_stack([centre, at["height"]])[rows].astype(np.float32),
        np.exp(np.clip(at["dim"][rows], -4, 4)).astype(np.float32),
        np.arctan2(at["rot"][rows, 0], at["rot"][rows, 1]).astype(np.float32),
        at["vel"][rows].astype(np.float32),
        score.numpy()[rows].astype(np.float32),
        label.numpy()[rows].astype(np.int64),
        classes,
    )


def apart(centre: NDArray[np.floating], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows that stay of centres [N, 2], best first: none nearer than APART to a better one of its class."""
    kept: list[int] = []
    for i in range(len(centre)):
        rivals = [k for k in kept if label[k] == label[i]]
        if not rivals or (np.hypot(*(centre[rivals] - centre[i]).T) >= APART[label[i]]).all():
            kept.append(i)
    return np.array(kept, np.int64)
