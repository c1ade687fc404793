"""The temporal shift's memory: channels of the frame before, moved into this frame's cells by the vehicle's motion."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.bevfusion.pool.association import Grid


def warped(past: Tensor, now_from_last: NDArray[np.float64], grid: Grid) -> Tensor:
    """past [1, C, X, Y] of the frame before -> the same places seen from this frame; what was outside is zero.

    now_from_last: float64 [4, 4] of the vehicle's level frames; its turn about z and its shift in x and y count.
    """
    last_from_now = np.linalg.inv(now_from_last)
    (x0, x1, step), (y0, y1, _) = grid.x, grid.y
    x, y = (torch.arange(n, dtype=torch.float32) + 0.5 for n in past.shape[2:])
    gx, gy = torch.meshgrid(x0 + x * step, y0 + y * step, indexing="ij")
    turn = torch.from_numpy(last_from_now[:2, :2].astype(np.float32))
    shift = torch.from_numpy(last_from_now[:2, 3].astype(np.float32))
    places = torch.stack([gx, gy], -1) @ turn.T + shift
    u = (places[..., 0] - x0) / (x1 - x0) * 2 - 1
    v = (places[..., 1] - y0) / (y1 - y0) * 2 - 1
    return F.grid_sample(past, torch.stack([v, u], -1)[None], mode="bilinear", align_corners=False)  # rows are x
