"""Separable convolution of GAN Compression (Li et al., CVPR 2020): depthwise k x k, norm, pointwise 1 x 1."""

from __future__ import annotations

from torch import Tensor, nn

from models.gan.norms import PLAIN, Kit


class SeparableConv2d(nn.Module):
    """conv.0 depthwise [in, 1, k, k] · conv.1 norm of `in` channels · conv.2 pointwise [out, in, 1, 1]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        padding: int = 0,
        bias: bool = True,
        norm: str = "instance",
        kit: Kit = PLAIN,
    ):
        super().__init__()
        self.conv = nn.Sequential(
            kit.conv(in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=bias),
            kit.norm(norm, in_channels),
            kit.conv(in_channels, out_channels, 1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.conv(x)
