"""Multi-resolution training of AnyCost GAN: pyramids of real pictures, and consistency with the full generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def picture_pyramid(pictures: Tensor, resolutions: Sequence[int]) -> list[Tensor]:
    """Real pictures [N, C, R, R] at each of the resolutions (averages of blocks); R must be a multiple of each."""
    side = pictures.shape[-1]
    wrong = [r for r in resolutions if r < 1 or side % r]
    if wrong:
        raise ValueError(f"resolution {wrong[0]} px does not divide the picture's {side} px")
    return [F.avg_pool2d(pictures, side // r) if r < side else pictures for r in resolutions]


def consistency_loss(student: Sequence[Tensor], teacher: Tensor) -> Tensor:
    """Mean squared difference between a sub-network's pictures and the full generator's, summed over resolutions.

    student: pictures [N, C, r, r] from the same latent vectors and noise · teacher [N, C, R, R], scaled to each r by
    bilinear interpolation with aligned corners, as published; no gradient flows into it. The published loss adds LPIPS;
    its weight is 2.
    """
    teacher = teacher.detach()
    losses = []
    for picture in student:
        target = teacher
        if picture.shape[-1] != teacher.shape[-1]:
            target = F.interpolate(teacher, size=picture.shape[2:], mode="bilinear", align_corners=True)
        losses.append(F.mse_loss(picture, target))
    return torch.stack(losses).sum()
