"""Multi-scale PatchGAN of SPADE and its image encoder's layers (Park et al., CVPR 2019; Wang et al., CVPR 2018)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.norms import PLAIN
from models.gan.spectral import SpectralConv2d


def normed_conv(
    inputs: int, outputs: int, kernel: int, stride: int, padding: int, norm: str = "spectralinstance"
) -> nn.Module:
    """A convolution and its norm, by the official spelling: "spectral" before "instance", "batch", "syncbatch" or
    "none". A convolution before a norm has no bias; with "none" it stands alone and keeps it."""
    kind = norm.removeprefix("spectral").removeprefix("sync") or "none"
    if kind not in ("instance", "batch", "none"):
        raise ValueError(f"norm {norm!r} is unknown: expected [spectral]{{instance,batch,syncbatch,none}}")
    make: Any = SpectralConv2d if norm.startswith("spectral") else nn.Conv2d
    conv = make(inputs, outputs, kernel, stride=stride, padding=padding, bias=kind == "none")
    return conv if kind == "none" else nn.Sequential(conv, PLAIN.norm(kind, outputs))


class SpadePatchDiscriminator(nn.Module):
    """One scale: 4x4 convolutions with padding 2, of stride 2 but for the last two; keys `model0.0`, `model1.0.0`, …"""

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 4, norm: str = "spectralinstance"):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers is {n_layers}: expected 1 or more")
        self.model0 = nn.Sequential(nn.Conv2d(input_nc, ndf, 4, 2, 2), nn.LeakyReLU(0.2))
        width = ndf
        for i in range(1, n_layers):
            wider, stride = min(2 * width, 512), 1 if i == n_layers - 1 else 2
            layer = nn.Sequential(normed_conv(width, wider, 4, stride, 2, norm), nn.LeakyReLU(0.2))
            self.add_module(f"model{i}", layer)
            width = wider
        self.add_module(f"model{n_layers}", nn.Sequential(nn.Conv2d(width, 1, 4, 1, 2)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """x float [N, input_nc, H, W] -> features of every layer; the last is the score map [N, 1, H', W']."""
        found = []
        for layer in self.children():
            x = layer(x)
            found.append(x)
        return found


class MultiscaleDiscriminator(nn.Module):
    """`num_d` discriminators, each on the picture averaged down by 2 once more; keys `discriminator_I.…`.

    input_nc: channels of the semantic map and the picture, joined in this order.
    """

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 4, num_d: int = 2, norm: str = "spectralinstance"):
        super().__init__()
        for i in range(num_d):
            self.add_module(f"discriminator_{i}", SpadePatchDiscriminator(input_nc, ndf, n_layers, norm))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """x float [N, input_nc, H, W] -> per scale the features of every layer, finest scale first."""
        found = []
        for discriminator in self.children():
            found.append(discriminator(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return found
