"""The tone step: a learned 3-D look-up table of colours, chosen per picture (Zeng et al., TPAMI 2020).

A small network looks at a 32 x 32 px thumbnail and mixes a few tables; every pixel is then looked up in the mixture by
trilinear interpolation. Geometry cannot change: a pixel's new colour depends on its old one and on the whole picture's
tone. It costs less than a million multiply-accumulates and a look-up per pixel. `ToneResidual` adds a small residual by
convolutions, at a quarter of the resolution, for what colours alone cannot do (wet roads, haze by place).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

THUMBNAIL = 32


def identity_table(size: int) -> Tensor:
    """The table that leaves colours alone: float [3, size (blue), size (green), size (red)] in [-1, 1]."""
    steps = torch.linspace(-1, 1, size)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue])


def look_up(x: Tensor, tables: Tensor) -> Tensor:
    """x float [N, 3, H, W] in [-1, 1], RGB · tables [N, 3, S, S, S] as in identity_table -> [N, 3, H, W]."""
    grid = x.permute(0, 2, 3, 1)[:, None]  # [N, 1, H, W, 3]: red along the last axis of the table
    return F.grid_sample(tables, grid, mode="bilinear", padding_mode="border", align_corners=True)[:, :, 0]


class ToneLut(nn.Module):
    """tables: how many are mixed · size: entries per axis · width: channels of the network on the thumbnail.

    It starts as the identity. `change_cost` is a regulariser for training: tables should be smooth.
    """

    size_multiple = 1

    def __init__(self, tables: int = 3, size: int = 17, width: int = 16):
        super().__init__()
        if tables < 1 or size < 2:
            raise ValueError(f"{tables} tables of size {size}: expected 1 or more of size 2 or more")
        self.tables = nn.Parameter(torch.zeros(tables, 3, size, size, size))
        with torch.no_grad():
            self.tables[0] = identity_table(size)
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, width), (width, 2 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2)]
        self.look = nn.Sequential(*layers)
        self.mix = nn.Linear(2 * width, tables)
        nn.init.normal_(self.mix.weight, std=0.01)
        nn.init.zeros_(self.mix.bias)
        with torch.no_grad():
            self.mix.bias[0] = 1.0

    def weights(self, small: Tensor) -> Tensor:
        """How much of each table: thumbnails [N, 3, 32, 32] -> [N, tables]."""
        return self.mix(self.look(small).mean((2, 3)))

    def table(self, x: Tensor) -> Tensor:
        """The mixed table of each picture: x float [N, 3, H, W] in [-1, 1] -> [N, 3, S, S, S]."""
        small = F.interpolate(x, size=(THUMBNAIL, THUMBNAIL), mode="area")
        return torch.einsum("nk,kcbgr->ncbgr", self.weights(small), self.tables)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, 3, H, W] in [-1, 1], RGB -> the same shape, in [-1, 1]."""
        return look_up(x, self.table(x)).clamp(-1, 1)

    def change_cost(self) -> Tensor:
        """Mean squared second difference along the three axes of the tables: 0 for linear ones."""
        differences = [self.tables.diff(n=2, dim=d).square().mean() for d in (2, 3, 4)]
        return torch.stack(differences).mean()


class BlockResidual(nn.Module):
    """A change of the picture, made at a quarter of its resolution: 4 x 4 px blocks become channels. Starts at zero.

    width: channels inside · blocks: separable residual blocks.
    """

    size_multiple = 4

    def __init__(self, width: int = 24, blocks: int = 2):
        super().__init__()
        self.enter = nn.Conv2d(48, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, width, 1), nn.LeakyReLU(0.2)
            )
            for _ in range(blocks)
        )
        self.leave = nn.Conv2d(width, 48, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, 3, H, W], H and W multiples of 4 -> the change, of the same shape."""
        y = F.leaky_relu(self.enter(F.pixel_unshuffle(x, 4)), 0.2)
        for block in self.blocks:
            y = y + block(y)
        return F.pixel_shuffle(self.leave(y), 4)


class ToneResidual(nn.Module):
    """clamp(tone(x) + residual(tone(x))); arguments as in BlockResidual and ToneLut."""

    size_multiple = 4

    def __init__(self, width: int = 24, blocks: int = 2, tables: int = 3, size: int = 17):
        super().__init__()
        self.tone = ToneLut(tables, size)
        self.residual = BlockResidual(width, blocks)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, 3, H, W] in [-1, 1], H and W multiples of 4 -> the same shape, in [-1, 1]."""
        x = self.tone(x)
        return (x + self.residual(x)).clamp(-1, 1)
