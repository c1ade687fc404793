"""Features of EfficientNet-Lite0 (ImageNet weights): what scores and perceptual losses compare pictures by.

No package carries the Inception or VGG weights of the published scores. Figures that come from these features carry
`lite0` in their names, and they cannot be compared with published figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.tsm.efficientnet_lite import efficientnet_lite0
from models.tsm.imagenet import lite0_state
from models.tsm.shift import ClipTime

SIDE = 224  # px, at which the network was trained
TO_NETWORK, OFFSET = 127.5 / 128.0, 0.5 / 128.0  # -1..1 to (value - 127) / 128


class LiteFeatures(nn.Module):
    """Frozen features; gradients flow to the pictures. Raises ModelError where the weights are not installed."""

    def __init__(self) -> None:
        super().__init__()
        network = efficientnet_lite0()
        given = lite0_state()
        network.load_state_dict({k: v for k, v in given.items() if k.startswith("features.")})
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> LiteFeatures:
        """Stays in eval mode: the batch norms are frozen."""
        return super().train(False)

    def stages(self, pictures: Tensor, deepest: int = 3) -> list[Tensor]:
        """pictures float [N, 3, H, W] in -1..1, at their own size -> features at strides 8, 16 and 32 (the first
        `deepest` of them), each [N, C, h, w]."""
        return self.network.stages(pictures * TO_NETWORK + OFFSET, ClipTime(1))[:deepest]

    def pooled(self, pictures: Tensor) -> Tensor:
        """pictures float [N, 3, H, W] in -1..1, resized to 224 x 224 px -> [N, 1280]."""
        if pictures.shape[2:] != (SIDE, SIDE):
            pictures = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        return self.network.embed(self.stages(pictures)[-1])


def perceptual_loss(
    features: LiteFeatures, output: Tensor, target: Tensor, weights: Sequence[float] = (1, 1)
) -> Tensor:
    """Weighted mean absolute difference of features at strides 8 and 16: the place of SPADE's VGG loss. No gradient
    flows into the target."""
    with torch.no_grad():
        wanted = features.stages(target, len(weights))
    found = features.stages(output, len(weights))
    return torch.stack([w * F.l1_loss(f, t) for w, f, t in zip(weights, found, wanted)]).sum()


def perceptual_distance(features: LiteFeatures, a: Tensor, b: Tensor) -> Tensor:
    """LPIPS-like distance of pictures [N, 3, H, W] in -1..1 -> [N]: features of unit length at every place, squared
    differences summed over channels, averaged over places, then over strides 8, 16 and 32 (Zhang et al., CVPR 2018,
    equation 1 with equal weights). Differentiable."""
    distances = []
    for one, other in zip(features.stages(a), features.stages(b)):
        difference = F.normalize(one, dim=1) - F.normalize(other, dim=1)
        distances.append(difference.square().sum(1).mean((1, 2)))
    return torch.stack(distances).mean(0)
