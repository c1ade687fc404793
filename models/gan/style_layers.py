"""Layers of the StyleGAN2 generator in the layout that AnyCost GAN uses, with output widths chosen per call.

A layer takes the leading input channels that it is given and makes the leading `outputs` channels. The scale of a
modulated convolution always uses the full input width, so a sub-network is a slice of the full one.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from models.gan.style_ops import BLUR, EqualLinear, filter_2d, leaky, modulated_conv, upfirdn

# Channels at each resolution before the multiplier.
BASE_CHANNELS = {4: 4096, 8: 2048, 16: 1024, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}


def channels_at(resolution: int, multiplier: float, channel_max: int) -> int:
    """Width at a resolution: the multiplier counts before the cap."""
    return min(channel_max, int(BASE_CHANNELS[resolution] * multiplier))


class ConstantInput(nn.Module):
    """The learned 4x4 start, [1, C, 4, 4]."""

    def __init__(self, channels: int):
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int, outputs: int | None = None) -> Tensor:
        """[batch, outputs, 4, 4]."""
        return self.input[:, :outputs].expand(batch, -1, -1, -1)


class _Filter(nn.Module):
    """A fixed filter as a buffer called `kernel`."""

    def __init__(self, taps: tuple[int, ...], gain: float):
        super().__init__()
        self.register_buffer("kernel", filter_2d(taps, gain))
        self.kernel: Tensor


class ModulatedConv2d(nn.Module):
    """weight [1, out, in, k, k] · modulation: style vector to input scales · blur.kernel where it upsamples."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
        blur: tuple[int, ...] = BLUR,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, inputs, bias_init=1.0)
        self.scale, self.demodulate = 1 / sqrt(inputs * kernel_size**2), demodulate
        self.blur = _Filter(blur, 4.0) if upsample else None

    def forward(self, x: Tensor, w: Tensor, outputs: int | None = None) -> Tensor:
        """x [N, C, H, W] · w [N, style_dim] -> [N, outputs, H', W']."""
        inputs = x.shape[1]
        weight = self.weight[0, :outputs, :inputs] * self.scale
        style = self.modulation(w)[:, :inputs]
        return modulated_conv(x, weight, style, self.demodulate, None if self.blur is None else self.blur.kernel)


class _Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class _Bias(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise of a learned strength, bias and activation."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, upsample: bool = False, blur: tuple[int, ...] = BLUR):
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, upsample=upsample, blur=blur)
        self.noise = _Noise()
        self.activate = _Bias(outputs)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, outputs: int | None = None) -> Tensor:
        """x [N, C, H, W] · w [N, style_dim] · noise [N or 1, 1, H', W'], None: drawn -> [N, outputs, H', W']."""
        x = self.conv(x, w, outputs)
        if noise is None:
            noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
        x = x + self.noise.weight * noise
        return leaky(x + self.activate.bias[: x.shape[1], None, None])


class ToRGB(nn.Module):
    """Features to a picture by a modulated 1x1 convolution, added to the picture of the level below, enlarged by 2."""

    def __init__(self, inputs: int, style_dim: int, upsample: bool = True, blur: tuple[int, ...] = BLUR):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if upsample:
            self.upsample = _Filter(blur, 4.0)
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)

    def forward(self, x: Tensor, w: Tensor, below: Tensor | None = None) -> Tensor:
        """x [N, C, H, W] · w [N, style_dim] · below [N, 3, H / 2, W / 2] -> [N, 3, H, W]."""
        picture = self.conv(x, w) + self.bias
        if below is None:
            return picture
        size = self.upsample.kernel.shape[0]
        return picture + upfirdn(below, self.upsample.kernel, up=2, pad=((size - 1) // 2 + 1, (size - 2) // 2))
