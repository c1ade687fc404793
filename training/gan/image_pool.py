"""History of generated pictures for the discriminator (Shrivastava et al., CVPR 2017; CycleGAN keeps 50)."""

from __future__ import annotations

import random

import torch
from torch import Tensor


class ImagePool:
    """size: pictures kept; 0: none · rng: decides with probability 1/2 whether an older picture is handed out."""

    def __init__(self, size: int = 50, rng: random.Random | None = None):
        if size < 0:
            raise ValueError(f"pool size is {size}: expected 0 or more")
        self.size, self.rng = size, rng or random.Random(0)
        self.kept: list[Tensor] = []

    def query(self, pictures: Tensor) -> Tensor:
        """pictures [N, C, H, W] -> as many, detached: until the pool is full they pass and are kept; then each is, with
        probability 1/2, exchanged for a random one of the pool."""
        out = []
        for picture in pictures.detach():
            if len(self.kept) < self.size:
                self.kept.append(picture.clone())
                out.append(picture)
            elif self.size and self.rng.random() > 0.5:
                at = self.rng.randrange(self.size)
                out.append(self.kept[at])
                self.kept[at] = picture.clone()
            else:
                out.append(picture)
        return torch.stack(out)
