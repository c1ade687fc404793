"""SPADE generators: a semantic map to a picture (GauGAN), in the layouts of NVlabs/SPADE and of GAN Compression.

fc makes a small grid of 16 c0 channels, of the downscaled map or of a latent vector; blocks head_0, G_middle_0,
G_middle_1, up_0 … up_3 (up_4) follow, with nearest upsampling by 2 between them; a 3x3 convolution and tanh end it.

The widths are eight numbers: fc 16 c0 · inner of head_0, G_middle_0, G_middle_1 16 c1, 16 c2, 16 c3 · outputs of up_0,
up_1, up_2, up_3 8 c4, 4 c5, 2 c6, c7. Hidden width of the block's SPADE layers: 2 c of the block (GAN Compression), or
128 in all (NVlabs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.norms import PLAIN, Kit
from models.gan.resnet_config import Config, parse_config
from models.gan.spade import SLOPE, SpadeBlock, SpadeStyle

UPSAMPLINGS = {"normal": 5, "more": 6, "most": 7}  # doublings from fc's grid to the picture
OFFICIAL_HIDDEN = 128
# Sub-networks that were published, by task; the first of ngf 48, the others of ngf 64.
PUBLISHED_SPADE: dict[str, Config] = {
    "cityscapes": (32, 40, 40, 32, 40, 24, 32, 24),
    "cityscapes-fast": (32, 32, 32, 48, 32, 24, 24, 32),
    "coco-fast": (40, 32, 32, 40, 32, 40, 24, 24),
}
SPADE_SEARCH_SPACES: dict[str, tuple[tuple[int, ...], ...]] = {
    "channels-48": ((48, 40, 32),) * 5 + ((48, 40, 32, 24),) * 3,
    "channels-64": ((64, 48, 40, 32),) * 5 + ((64, 48, 40, 32, 24),) * 3,
}


class BlockWidths(NamedTuple):
    """Channels of one block; `width` is its c. The blocks up_I halve their channels and learn their shortcut."""

    name: str
    inputs: int
    inner: int
    outputs: int
    width: int


def parse_spade_config(config: str | Sequence[int], most: int | None = None) -> Config:
    """Eight widths from "32_40_…", a published name or a sequence. Raises ValueError."""
    found = parse_config(PUBLISHED_SPADE.get(config, config) if isinstance(config, str) else config, most)
    if len(found) != 8:
        raise ValueError(f"config {config!r} has {len(found)} widths: expected 8")
    return found


def block_plans(config: Config, most: bool = False) -> list[BlockWidths]:
    """The blocks in order, for eight widths; `most`: with up_4, of half the last width."""
    trunk = 16 * config[0]
    plans = [
        BlockWidths(name, trunk, 16 * c, trunk, c)
        for name, c in zip(("head_0", "G_middle_0", "G_middle_1"), config[1:4])
    ]
    inputs = trunk
    for i, (factor, c) in enumerate(zip((8, 4, 2, 1), config[4:])):
        plans.append(BlockWidths(f"up_{i}", inputs, min(inputs, factor * c), factor * c, c))
        inputs = factor * c
    if most:
        plans.append(BlockWidths("up_4", inputs, config[7] // 2, config[7] // 2, config[7]))
    return plans


class SpadeGenerator(nn.Module):
    """The dense generator; with `hidden` 128 and a spectral norm it is NVlabs's, with `hidden` None GAN Compression's.

    semantic_nc: channels of the map · ngf: width · norm: see SpadeStyle.parse · upsampling: "normal", "more" or "most"
    · crop_size: width of the picture, px · aspect_ratio: width / height · z_dim: latent length (None: the map feeds fc)
    · config: widths of their own (sub-networks).
    """

    separable = False

    def __init__(
        self,
        semantic_nc: int,
        ngf: int = 64,
        norm: str = "spadesyncbatch3x3",
        upsampling: str = "more",
        crop_size: int = 512,
        aspect_ratio: float = 2.0,
        output_nc: int = 3,
        hidden: int | None = None,
        z_dim: int | None = None,
        config: str | Sequence[int] | None = None,
        separable_norm: str = "instance",
        kit: Kit = PLAIN,
    ):
        super().__init__()
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling {upsampling!r} is unknown: expected one of {', '.join(UPSAMPLINGS)}")
        columns = crop_size // 2 ** UPSAMPLINGS[upsampling]
        if columns < 1 or round(columns / aspect_ratio) < 1:
            raise ValueError(f"crop_size is {crop_size} px: too small for {UPSAMPLINGS[upsampling]} doublings")
        self.grid = (round(columns / aspect_ratio), columns)
        self.upsampling, self.semantic_nc, self.z_dim, self.hidden = upsampling, semantic_nc, z_dim, hidden
        self.config = parse_spade_config((ngf,) * 8 if config is None else config)
        style = SpadeStyle.parse(norm, self.separable, separable_norm, kit)
        trunk = 16 * self.config[0]
        self.fc: nn.Module = (
            kit.conv(semantic_nc, trunk, 3, padding=1)
            if z_dim is None
            else nn.Linear(z_dim, trunk * self.grid[0] * self.grid[1])
        )
        self.plans = block_plans(self.config, upsampling == "most")
        for plan in self.plans:
            width = 2 * plan.width if hidden is None else hidden
            learned = plan.name.startswith("up_")
            block = SpadeBlock(plan.inputs, plan.inner, plan.outputs, semantic_nc, width, style, learned)
            self.add_module(plan.name, block)
        self.conv_img = kit.conv(self.plans[-1].outputs, output_nc, 3, padding=1)

    def forward(self, semantics: Tensor, z: Tensor | None = None) -> Tensor:
        """semantics float [N, semantic_nc, H, W] (spade_input.py) -> pictures [N, output_nc, h, w] in [-1, 1], where
        w is crop_size and h is crop_size / aspect_ratio, whatever the map's size.

        z float [N, z_dim], for networks with a latent vector; None: drawn.
        """
        if semantics.shape[1] != self.semantic_nc:
            raise ValueError(f"the map has {semantics.shape[1]} channels: expected {self.semantic_nc}")
        if self.z_dim is None:
            x = self.fc(F.interpolate(semantics, size=self.grid, mode="nearest"))
        else:
            z = torch.randn(len(semantics), self.z_dim, device=semantics.device) if z is None else z
            x = self.fc(z).unflatten(1, (-1, *self.grid))  # [N, 16 c0, rows, columns]
        blocks: Any = self._modules
        for plan in self.plans:
            if plan.name.startswith("up_") or plan.name == "G_middle_0":
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            elif plan.name == "G_middle_1" and self.upsampling != "normal":
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = blocks[plan.name](x, semantics)
        return torch.tanh(self.conv_img(F.leaky_relu(x, SLOPE)))


class MobileSpadeGenerator(SpadeGenerator):
    """Gamma and beta by separable convolutions; all else stays dense. `config` makes it a sub-network."""

    separable = True
