"""CycleGAN (Zhu et al., ICCV 2017): two generators, A -> B and B -> A, and a discriminator for each side.

Official names: G_A makes B of A and D_A judges B; G_B makes A of B and D_B judges A.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from models.gan.patchgan import NLayerDiscriminator
from models.gan.resnet import ResnetGenerator


class Cycle(NamedTuple):
    """Pictures of one pass, each [N, C, H, W]: translations, and both pictures after the way there and back."""

    fake_b: Tensor
    cycled_a: Tensor
    fake_a: Tensor
    cycled_b: Tensor


class CycleGan(nn.Module):
    """netG_A, netG_B: generators · netD_A, netD_B: their discriminators (not used by `forward`)."""

    def __init__(self, g_a: nn.Module, g_b: nn.Module, d_a: nn.Module, d_b: nn.Module):
        super().__init__()
        self.netG_A, self.netG_B, self.netD_A, self.netD_B = g_a, g_b, d_a, d_b

    def forward(self, a: Tensor, b: Tensor) -> Cycle:
        """a, b float [N, C, H, W] in [-1, 1]: unpaired pictures of the two sides."""
        fake_b, fake_a = self.netG_A(a), self.netG_B(b)
        return Cycle(fake_b, self.netG_B(fake_b), fake_a, self.netG_A(fake_a))


def build_cyclegan(
    channels_a: int = 3, channels_b: int = 3, ngf: int = 64, ndf: int = 64, n_blocks: int = 9
) -> CycleGan:
    """The published pair: ResNet generators and 70x70 PatchGANs, instance norm."""
    return CycleGan(
        ResnetGenerator(channels_a, channels_b, ngf, n_blocks),
        ResnetGenerator(channels_b, channels_a, ngf, n_blocks),
        NLayerDiscriminator(channels_b, ndf, norm="instance"),
        NLayerDiscriminator(channels_a, ndf, norm="instance"),
    )
