"""Auxiliary motion loss: the features at strides 8, 16 and 32 also predict the optical flow since the frame before.

One label per frame holds little about motion. The flow is a target for every part of the picture and needs no labels:
it is computed by OpenCV's dense inverse search (Kroeger et al., ECCV 2016) on the augmented clips. A linear map per
stride predicts it from the features; these maps are used in training only and are not released. (Motion as a teacher
of RGB networks: Crasto et al., MARS, CVPR 2019; Stroud et al., D3D, WACV 2020.) A network without past frames cannot
learn it, but has the same loss, so that networks are compared at equal supervision.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

STRIDES = (8, 16, 32)
SCALE = 2.0  # square roots of pixels: motions of 4 px a frame become 1


def cell_flow(clips: NDArray[np.uint8], stride: int = STRIDES[0]) -> NDArray[np.float32]:
    """uint8 RGB [N, T, H, W, 3] -> px since the frame before, x and y, mean over cells of `stride` px: float32
    [N, T - 1, 2, H / stride, W / stride] (sides rounded up)."""
    import cv2

    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    count, frames, height, width = clips.shape[:4]
    cells = (-(-height // stride), -(-width // stride))
    out = np.empty((count, frames - 1, 2, *cells), np.float32)
    for clip, rows in zip(clips, out):
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in clip]
        for before, after, row in zip(grey, grey[1:], rows):
            flow = dis.calc(before, after, None)
            row[:] = cv2.resize(flow, cells[::-1], interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    return out


def compressed(flow: Tensor) -> Tensor:
    """Signed square roots over `SCALE`: a slow walker counts beside the road that rushes by."""
    return flow.sign() * flow.abs().sqrt() / SCALE


class MotionReader(nn.Module):
    """Linear maps from features at STRIDES to flow. channels: of the features, which are brought to one scale first:
    those of the early layers are large, and a map of large numbers overshoots at every step."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(c, 2, 1) for c in channels)
        for layer in self.maps:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """[B, C, h, w] per stride -> [B, 2, h, w] each."""
        return [read(nn.functional.group_norm(x, 1)) for read, x in zip(self.maps, features)]


def motion_loss(read: list[Tensor], flow: Tensor) -> Tensor:
    """Mean over strides of the smooth L1 distance between what was read, [N*T, 2, h, w] per stride, and the compressed
    flow of cells of stride 8, [N, T - 1, 2, H / 8, W / 8]; a clip's first frame has none."""
    count, steps = flow.shape[:2]
    losses = []
    for found in read:
        told = found.unflatten(0, (count, steps + 1))[:, 1:].flatten(0, 1)
        true = nn.functional.adaptive_avg_pool2d(flow.flatten(0, 1), told.shape[-2:])
        losses.append(nn.functional.smooth_l1_loss(told, compressed(true), beta=0.25))
    return torch.stack(losses).mean()
