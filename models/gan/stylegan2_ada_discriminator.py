"""StyleGAN2-ADA's discriminator ("resnet" architecture) in its key layout; with classes it is a projection
discriminator: the score is the inner product of the features with the mapped class over sqrt(cmap_dim)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.style_ops import EqualLinear, check_resolution, filter_2d, leaky, minibatch_stddev, upfirdn
from models.gan.stylegan2_ada import Mapping, clamped


class AdaConv(nn.Module):
    """Convolution of unit-variance weights, optionally after halving the size; with a bias it also activates."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        bias: bool = True,
        down: bool = False,
        gain: float = 1.0,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", filter_2d())
        self.resample_filter: Tensor
        self.scale, self.down, self.gain = 1 / sqrt(inputs * kernel_size**2), down, gain
        self.clamp = None if conv_clamp is None else conv_clamp * gain

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W']."""
        weight, half = self.weight * self.scale, self.weight.shape[2] // 2
        if self.down:
            x = upfirdn(x, self.resample_filter, pad=(half + 1, half + 1))
            x = F.conv2d(x, weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=half)
        if self.bias is not None:
            x = leaky(x + self.bias[:, None, None])
        return clamped(x * self.gain, self.clamp)


class AdaDiscriminatorBlock(nn.Module):
    """conv1(conv0(x)) + skip(x), each scaled by sqrt(1/2), half the size; the first block reads the picture."""

    def __init__(self, inputs: int, middle: int, outputs: int, img_channels: int, conv_clamp: float | None):
        super().__init__()
        self.register_buffer("resample_filter", filter_2d())
        if inputs == 0:
            self.fromrgb = AdaConv(img_channels, middle, 1, conv_clamp=conv_clamp)
        self.first = inputs == 0
        half = sqrt(0.5)
        self.conv0 = AdaConv(middle, middle, 3, conv_clamp=conv_clamp)
        self.conv1 = AdaConv(middle, outputs, 3, down=True, gain=half, conv_clamp=conv_clamp)
        self.skip = AdaConv(middle, outputs, 1, bias=False, down=True, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs or img_channels, H, W] -> [N, outputs, H / 2, W / 2]."""
        x = self.fromrgb(x) if self.first else x
        return self.skip(x) + self.conv1(self.conv0(x))


class AdaEpilogue(nn.Module):
    """Minibatch standard deviation, convolution, linear layers; cmap_dim 0: one score."""

    def __init__(self, channels: int, cmap_dim: int, mbstd_group_size: int, conv_clamp: float | None):
        super().__init__()
        self.group, self.cmap_dim = mbstd_group_size, cmap_dim
        self.conv = AdaConv(channels + 1, channels, 3, conv_clamp=conv_clamp)
        self.fc = EqualLinear(channels * 16, channels, activate=True)
        self.out = EqualLinear(channels, cmap_dim if cmap_dim else 1)

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        """x [N, C, 4, 4] · cmap [N, cmap_dim] -> [N, 1]."""
        x = self.out(self.fc(self.conv(minibatch_stddev(x, self.group)).flatten(1)))
        return x if cmap is None else (x * cmap).sum(1, keepdim=True) / sqrt(self.cmap_dim)


class StyleGan2AdaDiscriminator(nn.Module):
    """Constructor arguments as in the official code; c_dim 0 is unconditional."""

    def __init__(
        self,
        c_dim: int = 0,
        img_resolution: int = 256,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        num_layers: int = 8,
        mbstd_group_size: int = 4,
    ):
        super().__init__()
        levels = check_resolution(img_resolution)
        self.c_dim = c_dim
        self.sides = [2**i for i in range(levels, 2, -1)]

        def width(side: int) -> int:
            return min(channel_base // side, channel_max)

        for i, side in enumerate(self.sides):
            inputs = 0 if i == 0 else width(side)
            block = AdaDiscriminatorBlock(inputs, width(side), width(side // 2), img_channels, conv_clamp)
            self.add_module(f"b{side}", block)
        cmap_dim = width(4) if c_dim else 0
        if c_dim:
            self.mapping = Mapping(0, c_dim, cmap_dim, num_layers, track=False)
        self.b4 = AdaEpilogue(width(4), cmap_dim, mbstd_group_size, conv_clamp)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """img float [N, img_channels, R, R] · c one-hot [N, c_dim] -> scores [N, 1]."""
        x = img
        for side in self.sides:
            x = self.get_submodule(f"b{side}")(x)
        return self.b4(x, self.mapping(None, c) if self.c_dim else None)
