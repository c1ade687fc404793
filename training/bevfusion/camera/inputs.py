"""Pictures as the backbone takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.tsm.imagenet import MEAN, STD
from training.bevfusion.camera.pictures import Picture


def normalised(pictures: Sequence[Picture]) -> Tensor:
    """Pictures of one size -> float32 [N, 3, H, W] as the backbone takes them, channels last in memory."""
    images = torch.from_numpy(np.stack([p.rgb for p in pictures]))
    mean, std = torch.tensor(MEAN) * 255, torch.tensor(STD) * 255
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)
