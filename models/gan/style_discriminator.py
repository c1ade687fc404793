"""StyleGAN2 discriminator and AnyCost's multi-resolution, generator-conditioned one, in AnyCost's key layout.

fromRGB, residual blocks down to 4x4, minibatch standard deviation, convolution, two linear layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.style_layers import channels_at
from models.gan.style_ops import BLUR, EqualLinear, check_resolution, filter_2d, leaky, minibatch_stddev, upfirdn


class _Blur(nn.Module):
    def __init__(self, kernel_size: int, taps: tuple[int, ...]):
        super().__init__()
        self.register_buffer("kernel", filter_2d(taps))
        self.kernel: Tensor
        missing = len(taps) - 2 + kernel_size - 1  # so that the strided convolution halves the size exactly
        self.pad = ((missing + 1) // 2, missing // 2)

    def forward(self, x: Tensor) -> Tensor:
        return upfirdn(x, self.kernel, pad=self.pad)


class _EqualConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int, padding: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.scale, self.stride, self.padding = 1 / sqrt(inputs * kernel_size**2), stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class AdaptiveModulate(nn.Module):
    """x (1 + A g) + B g: features scaled and shifted by the architecture vector g of the generator."""

    def __init__(self, channels: int, arch_length: int):
        super().__init__()
        self.weight_mapping = nn.Linear(arch_length, channels)
        self.bias_mapping = nn.Linear(arch_length, channels)

    def forward(self, x: Tensor, g_arch: Tensor) -> Tensor:
        """x [N, C, H, W] · g_arch [arch_length], one vector for the whole batch."""
        g = g_arch.reshape(1, -1)
        return x * (1 + self.weight_mapping(g)[:, :, None, None]) + self.bias_mapping(g)[:, :, None, None]


class _Activation(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return leaky(x + self.bias[:, None, None])


class ConvLayer(nn.Sequential):
    """[blur,] convolution [, modulation] [, bias and activation]; positions are the official key numbers."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        downsample: bool = False,
        activate: bool = True,
        arch_length: int = 0,
        blur: tuple[int, ...] = BLUR,
    ):
        layers: list[nn.Module] = [_Blur(kernel_size, blur)] if downsample else []
        stride, padding = (2, 0) if downsample else (1, kernel_size // 2)
        layers.append(_EqualConv(inputs, outputs, kernel_size, stride, padding))
        if arch_length:
            layers.append(AdaptiveModulate(outputs, arch_length))
        if activate:
            layers.append(_Activation(outputs))
        super().__init__(*layers)

    def forward(self, x: Tensor, g_arch: Tensor | None = None) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W']."""
        for layer in self:
            if not isinstance(layer, AdaptiveModulate):
                x = layer(x)
            elif g_arch is None:
                raise ValueError("this discriminator is conditioned on the generator: give it g_arch")
            else:
                x = layer(x, g_arch)
        return x


class ResBlock(nn.Module):
    """(conv2(conv1(x)) + skip(x)) / sqrt(2), half the size."""

    def __init__(self, inputs: int, outputs: int, arch_length: int = 0, blur: tuple[int, ...] = BLUR):
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3, arch_length=arch_length, blur=blur)
        self.conv2 = ConvLayer(inputs, outputs, 3, downsample=True, arch_length=arch_length, blur=blur)
        self.skip = ConvLayer(inputs, outputs, 1, True, activate=False, arch_length=arch_length, blur=blur)

    def forward(self, x: Tensor, g_arch: Tensor | None = None) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        return (self.conv2(self.conv1(x, g_arch), g_arch) + self.skip(x, g_arch)) / sqrt(2)


class _Head(nn.Module):
    """What follows the blocks in both discriminators."""

    def __init__(self, channels: int):
        super().__init__()
        self.final_conv = ConvLayer(channels + 1, channels, 3)
        self.final_linear = nn.Sequential(EqualLinear(channels * 16, channels, activate=True), EqualLinear(channels, 1))

    def score(self, x: Tensor) -> Tensor:
        """[N, C, 4, 4] -> [N, 1]."""
        return self.final_linear(self.final_conv(minibatch_stddev(x)).flatten(1))


class StyleGan2Discriminator(_Head):
    """One resolution; keys `convs.0` (fromRGB), `convs.1 …` (blocks), `final_conv`, `final_linear`."""

    def __init__(
        self,
        resolution: int,
        channel_multiplier: float = 2.0,
        channel_max: int = 512,
        blur_kernel: Sequence[int] = BLUR,
    ):
        widths = _widths(resolution, channel_multiplier, channel_max)
        super().__init__(widths[-1])
        taps = tuple(blur_kernel)
        blocks = [ResBlock(a, b, blur=taps) for a, b in zip(widths, widths[1:])]
        self.convs = nn.Sequential(ConvLayer(3, widths[0], 1), *blocks)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, 3, resolution, resolution] -> scores [N, 1]."""
        return self.score(self.convs(x))


class MultiResolutionDiscriminator(_Head):
    """Takes pictures of n_res resolutions, each entering at its own block; keys `convs.I` (fromRGB), `blocks.J`.

    modulate: the last two blocks are modulated by the generator's architecture vector of 4 (2 log2(resolution) - 2)
    numbers (one-hot channel ratio of each layer).
    """

    def __init__(
        self,
        resolution: int,
        channel_multiplier: float = 2.0,
        channel_max: int = 512,
        n_res: int = 4,
        modulate: bool = False,
        blur_kernel: Sequence[int] = BLUR,
    ):
        widths = _widths(resolution, channel_multiplier, channel_max)
        if not 1 <= n_res < len(widths):
            raise ValueError(f"n_res is {n_res}: expected 1 … {len(widths) - 1} at resolution {resolution}")
        super().__init__(widths[-1])
        self.resolution, self.n_res = resolution, n_res
        length, taps = 4 * (2 * int(log2(resolution)) - 2) if modulate else 0, tuple(blur_kernel)
        self.convs = nn.ModuleList(ConvLayer(3, widths[i], 1) for i in range(n_res))
        self.blocks = nn.ModuleList(
            ResBlock(a, b, length if i >= len(widths) - 3 else 0, taps)
            for i, (a, b) in enumerate(zip(widths, widths[1:]))
        )

    def forward(self, x: Tensor, g_arch: Tensor | None = None) -> Tensor:
        """x float [N, 3, r, r], r one of the n_res resolutions · g_arch float [length] -> scores [N, 1]."""
        known = [self.resolution // 2**i for i in range(self.n_res)]
        if x.shape[-1] not in known:
            raise ValueError(f"picture is {x.shape[-1]} px wide: expected one of {known}")
        first = known.index(x.shape[-1])
        x = self.convs[first](x)
        for block in list(self.blocks)[first:]:
            x = block(x, g_arch)
        return self.score(x)


def _widths(resolution: int, multiplier: float, channel_max: int) -> list[int]:
    """Channels at `resolution`, half of it, … 4 px."""
    levels = check_resolution(resolution)
    return [channels_at(2**i, multiplier, channel_max) for i in range(levels, 1, -1)]
