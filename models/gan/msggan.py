"""MSG-GAN (Karnewar & Wang, CVPR 2020): pictures of all resolutions go from generator to discriminator at once.

Every block of the generator emits a picture; the discriminator joins each to its features of that resolution. Weights
are stored with unit variance and scaled by sqrt(2) / sqrt(fan-in) when they are used. Key layout of BMSG-GAN.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.style_ops import SLOPE, minibatch_stddev, pixel_norm


class ScaledConv(nn.Module):
    """Convolution with equalised learning rate; transposed: [in, out, k, k], of stride 1 without padding."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, padding: int = 0, transposed: bool = False):
        super().__init__()
        shape = (inputs, outputs) if transposed else (outputs, inputs)
        self.weight = nn.Parameter(torch.randn(*shape, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        fan_in = inputs if transposed else inputs * kernel_size**2
        self.scale, self.padding, self.transposed = sqrt(2) / sqrt(fan_in), padding, transposed

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W']."""
        if self.transposed:
            return F.conv_transpose2d(x, self.weight * self.scale, self.bias)
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class MsgGeneratorBlock(nn.Module):
    """Two 3x3 convolutions after doubling the size; the first block makes 4x4 px of the latent vector instead."""

    def __init__(self, inputs: int, outputs: int, first: bool):
        super().__init__()
        self.first = first
        self.conv_1 = ScaledConv(inputs, outputs, 4, transposed=True) if first else ScaledConv(inputs, outputs, 3, 1)
        self.conv_2 = ScaledConv(outputs, outputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, 2 H, 2 W]; pixel norm after each convolution, in the first block once."""
        if self.first:
            x = F.leaky_relu(self.conv_1(x), SLOPE)
        else:
            x = pixel_norm(F.leaky_relu(self.conv_1(F.interpolate(x, scale_factor=2, mode="nearest")), SLOPE), 1)
        return pixel_norm(F.leaky_relu(self.conv_2(x), SLOPE), 1)


class MsgGenerator(nn.Module):
    """depth: number of resolutions, the finest 4 · 2^(depth - 1) px · latent_size: length of z and width of the first
    four resolutions, halved at every further one."""

    def __init__(self, depth: int = 7, latent_size: int = 512):
        super().__init__()
        _check(depth, latent_size)
        widths = [latent_size >> max(0, i - 3) for i in range(depth)]
        self.layers = nn.ModuleList(
            MsgGeneratorBlock(widths[max(0, i - 1)], widths[i], first=i == 0) for i in range(depth)
        )
        self.rgb_converters = nn.ModuleList(ScaledConv(width, 3, 1) for width in widths)

    def forward(self, z: Tensor) -> list[Tensor]:
        """z float [N, latent_size], used as given -> pictures [N, 3, r, r] of r = 4, 8, …; not limited to [-1, 1]."""
        x, pictures = z[:, :, None, None], []
        for layer, to_rgb in zip(self.layers, self.rgb_converters):
            x = layer(x)
            pictures.append(to_rgb(x))
        return pictures


class MsgDiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions, then the mean of 2x2 px."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv_1 = ScaledConv(inputs, inputs, 3, 1)
        self.conv_2 = ScaledConv(inputs, outputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        x = F.leaky_relu(self.conv_1(x), SLOPE)
        return F.avg_pool2d(F.leaky_relu(self.conv_2(x), SLOPE), 2)


class MsgDiscriminatorHead(nn.Module):
    """Standard deviation over the whole batch as one more channel, a 3x3, a 4x4 and a 1x1 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_1 = ScaledConv(channels + 1, channels, 3, 1)
        self.conv_2 = ScaledConv(channels, channels, 4)
        self.conv_3 = ScaledConv(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 4, 4] -> scores [N]."""
        x = F.leaky_relu(self.conv_1(minibatch_stddev(x, len(x))), SLOPE)
        return self.conv_3(F.leaky_relu(self.conv_2(x), SLOPE)).flatten()


class MsgDiscriminator(nn.Module):
    """Judges the pictures of all resolutions together; arguments as in MsgGenerator."""

    def __init__(self, depth: int = 7, feature_size: int = 512):
        super().__init__()
        _check(depth, feature_size)
        # Block i works at 2^(i + 3) px. Half of its input are features of the finer block, half of its picture; the
        # finest block reads its picture alone.
        inputs = [feature_size >> max(0, i - 2) for i in range(depth - 1)]
        outputs = [feature_size >> max(1, i - 2) for i in range(depth - 1)]
        converters = [width // 2 for width in inputs[:-1]] + [inputs[-1]]
        self.rgb_to_features = nn.ModuleList(ScaledConv(3, width, 1) for width in converters)
        self.final_converter = ScaledConv(3, feature_size - outputs[0], 1)
        self.layers = nn.ModuleList(MsgDiscriminatorBlock(a, b) for a, b in zip(inputs, outputs))
        self.final_block = MsgDiscriminatorHead(feature_size)

    def forward(self, pictures: list[Tensor]) -> Tensor:
        """pictures float [N, 3, r, r] of r = 4, 8, … -> scores [N]."""
        if len(pictures) != len(self.layers) + 1:
            raise ValueError(f"{len(pictures)} resolutions were given: expected {len(self.layers) + 1}, 4 px first")
        x = self.layers[-1](self.rgb_to_features[-1](pictures[-1]))
        for i in range(len(self.layers) - 2, -1, -1):
            x = self.layers[i](torch.cat([self.rgb_to_features[i](pictures[i + 1]), x], 1))
        return self.final_block(torch.cat([self.final_converter(pictures[0]), x], 1))


def _check(depth: int, width: int) -> None:
    if depth < 3 or width < 4 or width % 2 ** max(1, depth - 3):
        raise ValueError(
            f"depth {depth} with width {width}: expected a depth of 3 or more and a width that can be halved"
        )
