"""Operations that all StyleGAN2 networks share, whatever their key layout (Karras et al., CVPR 2020).

Equalised learning rate: stored weights have unit variance and are scaled when they are used, by 1 / sqrt(fan-in). The
leaky activation multiplies by sqrt(2), so that it keeps the variance.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
EPS = 1e-8
BLUR = (1, 3, 3, 1)


def pixel_norm(x: Tensor, dim: int) -> Tensor:
    """x over the root mean square along `dim`."""
    return x * torch.rsqrt(x.square().mean(dim, keepdim=True) + EPS)


def leaky(x: Tensor) -> Tensor:
    """sqrt(2) LeakyReLU(x), slope 0.2."""
    return F.leaky_relu(x, SLOPE) * sqrt(2)


class EqualLinear(nn.Module):
    """x W^T scaled by lr_mul / sqrt(inputs), plus lr_mul times the bias; then `leaky` where `activate`.

    The stored weight has variance 1 / lr_mul^2.
    """

    def __init__(self, inputs: int, outputs: int, lr_mul: float = 1.0, bias_init: float = 0.0, activate: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias_init)))
        self.scale, self.lr_mul, self.activate = lr_mul / sqrt(inputs), lr_mul, activate

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        x = F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)
        return leaky(x) if self.activate else x


def filter_2d(taps: tuple[int, ...] = BLUR, gain: float = 1.0) -> Tensor:
    """Outer product of the taps, its sum `gain`; float [k, k]."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel * (gain / kernel.sum())


def upfirdn(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Zeros between pixels (up), zero padding (before, after) on both axes, convolution of each channel with the
    kernel [k, k], every `down`-th pixel: [N, C, H, W] -> [N, C, H', W']."""
    n, c, h, w = x.shape
    if up > 1:
        x = F.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1)).reshape(n, c, h * up, w * up)
    x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    # One group a channel: twelve times as fast as a batch of N C pictures of one channel, forward and backward.
    channels = int(c)  # a plain number: an export needs the filter's shape
    taps = kernel.flip(0, 1)[None, None].to(x.dtype).expand(channels, -1, -1, -1)
    return F.conv2d(x, taps, stride=down, groups=channels)


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool, up: Tensor | None = None) -> Tensor:
    """Convolution whose weight is scaled per input channel by the style and then, per output channel, to unit norm
    (equations 1 and 3 of the paper). Scaling the input and the output instead of the weight gives the same.

    x [N, in, H, W] · weight [out, in, k, k] · style [N, in] · up: filter [k, k] of gain 4 for twice the size, None for
    the same size -> [N, out, H', W'].
    """
    x = x * style[:, :, None, None]
    if up is None:
        y = F.conv2d(x, weight, padding=weight.shape[2] // 2)
    else:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        before = (up.shape[0] - 2 - (weight.shape[2] - 1) + 1) // 2 + 1  # as if the picture was padded to its size
        after = (up.shape[0] - 2 - (weight.shape[2] - 1)) // 2 + 1
        y = upfirdn(y, up, pad=(before, after))
    if demodulate:
        energy = style.square() @ weight.square().sum((2, 3)).t()  # [N, out]
        y = y * torch.rsqrt(energy + EPS)[:, :, None, None]
    return y


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """x with one more channel: the standard deviation over a group of pictures, averaged over channels and pixels.

    x [N, C, H, W] -> [N, C + 1, H, W]. The group index is the slow axis of the batch. Where `group` does not divide N,
    the largest smaller number that does is taken.
    """
    n, c, h, w = x.shape
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    deviation = (x.reshape(size, -1, c, h, w).var(0, unbiased=False) + EPS).sqrt().mean((1, 2, 3))  # [N / size]
    return torch.cat([x, deviation.repeat(size)[:, None, None, None].expand(n, 1, h, w)], 1)


def check_resolution(resolution: int, least: int = 8) -> int:
    """log2 of the resolution. ValueError unless it is a power of two of at least `least` px."""
    levels = resolution.bit_length() - 1
    if resolution != 2**levels or resolution < least:
        raise ValueError(f"resolution is {resolution} px: expected a power of two, {least} or more")
    return levels
