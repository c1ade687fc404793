"""Weather for LiDAR sweeps: which echoes are lost, which come from the air, how intensities change.

A small network looks at the range and the intensity of every echo. It gives the probabilities that the echo stays, is
lost, or comes from rain or fog in front of the surface, the factor of the intensity, and the mean distance of an echo
from the air. One draw from these probabilities makes the sweep (Nakashima et al., DUSty, IROS 2021, learn the drop
probability alone, on range images). It looks at each echo alone, so any pattern of rings works. Directions never
change: a point moves along its ray or is lost.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAY, LOST, AIR = range(3)  # what becomes of an echo
FARTHEST = 120.0  # m, of the range that the network sees
NEAREST = 0.8  # m, of an echo from the air
OUTPUTS = 5


class RangeStyle(nn.Module):
    """width: channels inside.

    forward: float [N, 2] of `range_features` -> [N, 5]: logits (STAY, LOST, AIR), log factor of the intensity, log
    of the mean distance of an echo from the air beyond NEAREST (m).
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.enter, self.middle = nn.Linear(2, width), nn.Linear(width, width)
        self.leave = nn.Linear(width, OUTPUTS)
        nn.init.zeros_(self.leave.weight)
        with torch.no_grad():
            self.leave.bias.copy_(torch.tensor([3.0, 0.0, 0.0, 0.0, 1.5]))

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.enter(x), 0.1)
        x = x + F.leaky_relu(self.middle(x), 0.1)
        return self.leave(x)


def range_features(distance: Tensor, intensity: Tensor) -> Tensor:
    """distance m and intensity 0..1, float [N] -> float [N, 2]: log of the range, root of the intensity."""
    log = torch.log1p(distance.clamp(0, FARTHEST)) / math.log1p(FARTHEST)
    return torch.stack([2 * log - 1, 2 * intensity.clamp(0, 1).sqrt() - 1], 1)
