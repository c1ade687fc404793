"""StyleGAN2 generator in the key layout of StyleGAN2-ADA (Karras et al., NeurIPS 2020), with or without classes.

mapping: z (and the embedded class) to w · synthesis.bR: two modulated convolutions and a picture at resolution R, added
to the one below ("skip" architecture). Weights are stored with unit variance.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from models.gan.style_ops import EqualLinear, check_resolution, filter_2d, leaky, modulated_conv, pixel_norm, upfirdn

NOISE_MODES = ("const", "random", "none")


class Mapping(nn.Module):
    """z_dim 0: the class alone is mapped (as in the discriminator) · c_dim 0: no class · w_avg: running mean of w."""

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_layers: int = 8, track: bool = True):
        super().__init__()
        if z_dim < 1 and c_dim < 1:
            raise ValueError("the mapping has neither z nor a class to map: z_dim or c_dim must be 1 or more")
        self.z_dim, self.c_dim, self.num_layers = z_dim, c_dim, num_layers
        if c_dim:
            self.embed = EqualLinear(c_dim, w_dim)
        inputs = z_dim + (w_dim if c_dim else 0)
        for i in range(num_layers):
            self.add_module(f"fc{i}", EqualLinear(inputs if i == 0 else w_dim, w_dim, 0.01, activate=True))
        if track:
            self.register_buffer("w_avg", torch.zeros(w_dim))
            self.w_avg: Tensor

    def forward(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        """z [N, z_dim] · c one-hot [N, c_dim] -> w [N, w_dim]."""
        parts = []
        if self.z_dim:
            if z is None:
                raise ValueError(f"z is missing: expected [N, {self.z_dim}]")
            parts.append(pixel_norm(z, 1))
        if self.c_dim:
            if c is None:
                raise ValueError(f"the network has {self.c_dim} classes: give c, one-hot [N, {self.c_dim}]")
            parts.append(pixel_norm(self.embed(c), 1))
        x = torch.cat(parts, 1)
        for i in range(self.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x

    @torch.no_grad()
    def track(self, w: Tensor, beta: float = 0.995) -> None:
        """Moves w_avg towards the mean of w [N, w_dim]: once per training step of the generator."""
        self.w_avg.copy_(w.mean(0).lerp(self.w_avg, beta))


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias and activation."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, up: bool, conv_clamp: float | None):
        super().__init__()
        self.affine = EqualLinear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", filter_2d())
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.resample_filter: Tensor
        self.noise_const: Tensor
        self.up, self.clamp = up, conv_clamp

    def forward(self, x: Tensor, w: Tensor, noise_mode: str) -> Tensor:
        """x [N, inputs, H, W] · w [N, w_dim] -> [N, outputs, H', W']."""
        up = 4 * self.resample_filter if self.up else None
        x = modulated_conv(x, self.weight, self.affine(w), demodulate=True, up=up)
        if noise_mode == "random":
            noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            x = x + noise * self.noise_strength
        elif noise_mode == "const":
            x = x + self.noise_const * self.noise_strength
        return clamped(leaky(x + self.bias[:, None, None]), self.clamp)


class ToRgb(nn.Module):
    """Features to a picture by a modulated 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, conv_clamp: float | None):
        super().__init__()
        self.affine = EqualLinear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain, self.clamp = 1 / sqrt(inputs), conv_clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, inputs, H, W] · w [N, w_dim] -> [N, outputs, H, W]."""
        x = modulated_conv(x, self.weight, self.affine(w) * self.gain, demodulate=False)
        return clamped(x + self.bias[:, None, None], self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution; inputs 0: it starts from the learned constant [C, 4, 4]."""

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, img_channels: int, conv_clamp: float | None
    ):
        super().__init__()
        self.first = inputs == 0
        self.register_buffer("resample_filter", filter_2d())
        self.resample_filter: Tensor
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, True, conv_clamp)
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, False, conv_clamp)
        self.torgb = ToRgb(outputs, img_channels, w_dim, conv_clamp)

    def forward(self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise_mode: str) -> tuple[Tensor, Tensor]:
        """x [N, inputs, h, w] · img [N, img_channels, h, w] · ws [N, 2 or 3, w_dim] -> both at twice the size."""
        if self.first or x is None:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = self.conv0(x, ws[:, -3], noise_mode)
        x = self.conv1(x, ws[:, -2], noise_mode)
        picture = self.torgb(x, ws[:, -1])
        if img is not None:
            picture = picture + upfirdn(img, 4 * self.resample_filter, up=2, pad=(2, 1))
        return x, picture


class Synthesis(nn.Module):
    """Blocks b4, b8, … bR."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        levels = check_resolution(img_resolution)
        self.sides = [2**i for i in range(2, levels + 1)]
        self.num_ws = 2 * levels - 2
        inputs = 0
        for side in self.sides:
            outputs = min(channel_base // side, channel_max)
            block = SynthesisBlock(inputs, outputs, w_dim, side, img_channels, conv_clamp)
            self.add_module(f"b{side}", block)
            inputs = outputs

    def forward(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        """ws [N, num_ws, w_dim] -> [N, img_channels, R, R]. A block's picture reads the first w of the next block."""
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode {noise_mode!r} is unknown: expected one of {', '.join(NOISE_MODES)}")
        x: Any = None
        img: Any = None
        for i, side in enumerate(self.sides):
            first, after = (0, 2) if i == 0 else (2 * i - 1, 2 * i + 2)
            x, img = self.get_submodule(f"b{side}")(x, img, ws[:, first:after], noise_mode)
        return img


class StyleGan2AdaGenerator(nn.Module):
    """Constructor arguments as in the official code; c_dim 0 is unconditional.

    channel_base, channel_max: width at resolution R is min(channel_base // R, channel_max).
    """

    def __init__(
        self,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        img_resolution: int = 256,
        img_channels: int = 3,
        num_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        self.synthesis = Synthesis(w_dim, img_resolution, img_channels, channel_base, channel_max, conv_clamp)
        self.mapping = Mapping(z_dim, c_dim, w_dim, num_layers)

    def style(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] · c one-hot [N, c_dim] -> ws [N, num_ws, w_dim], drawn towards w_avg by truncation_psi."""
        w = self.mapping(z, c)
        if truncation_psi != 1:
            w = self.mapping.w_avg.lerp(w, truncation_psi)
        return w[:, None].expand(-1, self.synthesis.num_ws, -1)

    def forward(
        self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0, noise_mode: str = "random"
    ) -> Tensor:
        """z [N, z_dim] · c one-hot [N, c_dim] -> pictures [N, img_channels, R, R], roughly in [-1, 1]."""
        return self.synthesis(self.style(z, c, truncation_psi), noise_mode)


def clamped(x: Tensor, limit: float | None) -> Tensor:
    """x within ±limit; None: unchanged."""
    return x if limit is None else x.clamp(-limit, limit)
