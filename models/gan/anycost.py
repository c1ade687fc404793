"""StyleGAN2 generator with elastic channels and resolutions (AnyCost GAN, Lin et al., CVPR 2021), its key layout.

At full width and resolution it is the StyleGAN2 generator (Karras et al., CVPR 2020; config-f: multiplier 2, cap 512).
Any sub-network takes the leading channels of each layer; a lower resolution stops after the block that makes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.gan.style_layers import ConstantInput, StyledConv, ToRGB, channels_at
from models.gan.style_ops import BLUR, EqualLinear, check_resolution, pixel_norm

RATIOS = (0.25, 0.5, 0.75, 1.0)
Channels = tuple[int, ...]


class _PixelNorm(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        """z over its root mean square, along the last axis."""
        return pixel_norm(z, -1)


class AnycostGenerator(nn.Module):
    """`forward(z)` makes pictures; `mapping` (z to w), `spread` and `synthesis` are its stages.

    resolution: px, a power of two of 8 … 1024 · style_dim: length of z and w · n_mlp: layers of the mapping ·
    channel_multiplier, channel_max: see style_layers.channels_at · n_style: number of w vectors.
    """

    def __init__(
        self,
        resolution: int,
        style_dim: int = 512,
        n_mlp: int = 8,
        channel_multiplier: float = 2.0,
        channel_max: int = 512,
        blur_kernel: Sequence[int] = BLUR,
        lr_mlp: float = 0.01,
    ):
        super().__init__()
        levels, taps = check_resolution(resolution), tuple(blur_kernel)
        self.resolution, self.style_dim = resolution, style_dim
        self.channel_multiplier, self.channel_max = channel_multiplier, channel_max
        self.n_style = 2 * levels - 2
        mapping = [EqualLinear(style_dim, style_dim, lr_mlp, activate=True) for _ in range(n_mlp)]
        self.style = nn.Sequential(_PixelNorm(), *mapping)
        widths = self.channels(1.0)
        self.input = ConstantInput(widths[0])
        self.conv1 = StyledConv(widths[0], widths[1], style_dim, blur=taps)
        self.to_rgb1 = ToRGB(widths[1], style_dim, upsample=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for i in range(2, len(widths), 2):
            self.convs.append(StyledConv(widths[i - 1], widths[i], style_dim, upsample=True, blur=taps))
            self.convs.append(StyledConv(widths[i], widths[i + 1], style_dim, blur=taps))
            self.to_rgbs.append(ToRGB(widths[i + 1], style_dim, blur=taps))
        self.noises = nn.Module()
        for k in range(len(widths) - 1):
            side = 2 ** ((k + 5) // 2)
            self.noises.register_buffer(f"noise_{k}", torch.randn(1, 1, side, side))

    def channels(self, ratio: float) -> Channels:
        """Widths of a uniform ratio, in the order constant input, conv1, convs.0, convs.1, …"""
        if not 0 < ratio <= 1:
            raise ValueError(f"channel ratio is {ratio}: expected a number in (0, 1], usually one of {RATIOS}")
        sides = [2**i for i in range(2, self.resolution.bit_length())]
        return tuple(
            channels_at(side, self.channel_multiplier * ratio, self.channel_max) for side in sides for _ in (0, 1)
        )

    def mapping(self, z: Tensor) -> Tensor:
        """z [..., style_dim] -> w of the same shape."""
        return self.style(z)

    def mean_w(self, count: int = 4096, generator: torch.Generator | None = None) -> Tensor:
        """Mean of w over random z, [1, style_dim]: what truncation draws towards."""
        z = torch.randn(count, self.style_dim, generator=generator, device=self.input.input.device)
        return self.mapping(z).mean(0, keepdim=True)

    def spread(self, w: Tensor, inject_index: int | None = None) -> Tensor:
        """w [N, style_dim] or [N, 1, 2 or n_style, style_dim] -> [N, n_style, style_dim].

        Of two vectors, the first serves the layers before inject_index and the second the rest (style mixing); None: it
        is drawn from 1 … n_style - 1.
        """
        w = w[:, None] if w.ndim == 2 else w
        if w.shape[1] == 1:
            return w.expand(-1, self.n_style, -1)
        if w.shape[1] == 2:
            if inject_index is None:
                inject_index = int(torch.randint(1, self.n_style, ()))
            first, second = (w[:, i : i + 1].expand(-1, self.n_style, -1) for i in (0, 1))
            return torch.cat([first[:, :inject_index], second[:, inject_index:]], 1)
        if w.shape[1] != self.n_style:
            raise ValueError(f"{w.shape[1]} style vectors were given: expected 1, 2 or {self.n_style}")
        return w

    def synthesis(
        self,
        w: Tensor,
        channels: Sequence[int] | None = None,
        resolution: int | None = None,
        random_noise: bool = False,
    ) -> list[Tensor]:
        """Pictures of all levels from 4x4 up to `resolution`; the last is the result.

        w [N, n_style, style_dim] · channels: see `channels` (None: all) · resolution: px (None: the full one) ·
        random_noise: new noise instead of the stored one.
        """
        widths = self._check(channels, resolution)
        noises: list[Tensor | None] = [None if random_noise else n for n in self.noises.buffers()]
        x = self.input(len(w), widths[0])
        x = self.conv1(x, w[:, 0], noises[0], widths[1])
        pictures = [self.to_rgb1(x, w[:, 1])]
        for i, to_rgb in enumerate(self.to_rgbs):
            if pictures[-1].shape[-1] == resolution:
                break
            for k in (2 * i, 2 * i + 1):
                x = self.convs[k](x, w[:, k + 1], noises[k + 1], widths[k + 2])
            pictures.append(to_rgb(x, w[:, 2 * i + 3], pictures[-1]))
        return pictures

    def _check(self, channels: Sequence[int] | None, resolution: int | None) -> Channels:
        full = self.channels(1.0)
        found = full if channels is None else tuple(int(c) for c in channels)
        if len(found) != len(full) or any(not 1 <= a <= b for a, b in zip(found, full)):
            raise ValueError(f"channels are {list(found)}: expected {len(full)} widths of at most {list(full)}")
        if resolution is not None and not (check_resolution(resolution, 4) and resolution <= self.resolution):
            raise ValueError(f"resolution is {resolution} px: expected at most {self.resolution}")
        return found

    def forward(
        self,
        z: Tensor,
        channels: Sequence[int] | None = None,
        resolution: int | None = None,
        inject_index: int | None = None,
        truncation: float = 1.0,
        mean_w: Tensor | None = None,
        input_is_w: bool = False,
        random_noise: bool = False,
    ) -> Tensor:
        """z [N, style_dim] or [N, 1, 2 or n_style, style_dim] (w where input_is_w) -> pictures [N, 3, r, r], roughly in
        [-1, 1] (not clamped).

        truncation: w becomes mean_w + truncation (w - mean_w) · the rest as in `spread` and `synthesis`.
        """
        w = z if input_is_w else self.mapping(z)
        if truncation < 1:
            if mean_w is None:
                raise ValueError("truncation below 1 needs mean_w; make it with `generator.mean_w()`")
            w = mean_w + truncation * (w - mean_w)
        return self.synthesis(self.spread(w, inject_index), channels, resolution, random_noise)[-1]
