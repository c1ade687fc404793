"""PatchGAN discriminators of pix2pix and CycleGAN: one score for every patch (Isola et al., CVPR 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from models.gan.norms import PLAIN, has_bias


class NLayerDiscriminator(nn.Module):
    """`n_layers` 4x4 convolutions of stride 2, one of stride 1, and one to a single channel; keys `model.N`.

    n_layers 3: receptive field 70 x 70 px. A conditional one gets the condition and the picture joined along channels.
    """

    def __init__(self, input_nc: int = 3, ndf: int = 64, n_layers: int = 3, norm: str = "batch"):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers is {n_layers}: expected 1 or more")
        widths = [ndf * min(2**i, 8) for i in range(n_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, n_layers + 1):
            stride = 2 if i < n_layers else 1
            layers += [
                nn.Conv2d(widths[i - 1], widths[i], 4, stride, 1, bias=has_bias(norm)),
                PLAIN.norm(norm, widths[i]),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W] -> scores [N, 1, H', W'], positive for pictures taken for real."""
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """1x1 convolutions: every pixel judged by its colour alone (`netD pixel`); keys `net.N`."""

    def __init__(self, input_nc: int = 3, ndf: int = 64, norm: str = "batch"):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=has_bias(norm)),
            PLAIN.norm(norm, 2 * ndf),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * ndf, 1, 1, bias=has_bias(norm)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W] -> scores [N, 1, H, W]."""
        return self.net(x)
