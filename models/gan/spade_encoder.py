"""Image encoder of SPADE's variational form: a picture to mean and log variance of the latent vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.spade_discriminator import normed_conv


class SpadeEncoder(nn.Module):
    """3x3 convolutions of stride 2 with spectral and instance norm, then two linear layers.

    The picture is resized (bilinear) to 256 x 256 px, or to 128 x 128 where crop_size is below 256 and a layer less is
    built, so that 4 x 4 px remain.
    """

    def __init__(
        self, ngf: int = 64, z_dim: int = 256, crop_size: int = 256, norm: str = "spectralinstance", input_nc: int = 3
    ):
        super().__init__()
        widths = [ngf, 2 * ngf, 4 * ngf, 8 * ngf, 8 * ngf] + [8 * ngf] * (crop_size >= 256)
        self.depth, self.size = len(widths), 4 * 2 ** len(widths)
        for i, (inputs, outputs) in enumerate(zip([input_nc, *widths], widths)):
            self.add_module(f"layer{i + 1}", normed_conv(inputs, outputs, 3, 2, 1, norm))
        self.fc_mu = nn.Linear(16 * widths[-1], z_dim)
        self.fc_var = nn.Linear(16 * widths[-1], z_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x float [N, input_nc, H, W] in [-1, 1] -> (mean, log variance), each [N, z_dim]."""
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear")
        for i in range(self.depth):
            x = self.get_submodule(f"layer{i + 1}")(x if i == 0 else F.leaky_relu(x, 0.2))
        x = F.leaky_relu(x, 0.2).flatten(1)
        return self.fc_mu(x), self.fc_var(x)


def sample_latent(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z = mean + exp(log_variance / 2) times standard normal numbers, [N, z_dim]; differentiable."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + (0.5 * log_variance).exp() * noise
