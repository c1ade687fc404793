"""Temporal pooling: half the frames from one stage on."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.tsm.shift import ClipTime, Time


class TemporalPool(nn.Module):
    """Max-pooling of three frames with stride two in front of a stage; the stage's keys stand under `.net`."""

    def __init__(self, net: nn.ModuleList):
        super().__init__()
        self.net = net

    def pool(self, x: Tensor, time: Time) -> tuple[Tensor, Time]:
        """Frames [N*T, C, H, W] -> ([N*ceil(T/2), C, H, W], the time they are in)."""
        clip = x.unflatten(0, (-1, time.segments)).transpose(1, 2)  # [N, C, T, H, W]
        out = F.max_pool3d(clip, (3, 1, 1), (2, 1, 1), (1, 0, 0)).transpose(1, 2)  # [N, ceil(T/2), C, H, W]
        direction = time.direction if isinstance(time, ClipTime) else "both"
        return out.flatten(0, 1), ClipTime(out.shape[1], direction)
