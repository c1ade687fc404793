"""Spatially-adaptive normalisation and the residual block around it (SPADE, Park et al., CVPR 2019, sections 3 and A).

    SPADE(x, m) = norm(x) (1 + gamma(m)) + beta(m)

norm has no scale and shift of its own; gamma and beta are maps that convolutions make of the semantic map m, resized to
x by nearest neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.norms import PLAIN, Kit
from models.gan.separable import SeparableConv2d
from models.gan.spectral import SpectralConv2d

SLOPE = 0.2


@dataclass(frozen=True)
class SpadeStyle:
    """How the layers are made.

    norm: "batch" or "instance", inside SPADE · kernel: of the convolutions on the map · spectral: spectral norm on the
    block's convolutions · separable: gamma and beta by separable convolutions · kit: plain or elastic layers.
    """

    norm: str = "batch"
    kernel: int = 3
    spectral: bool = False
    separable: bool = False
    separable_norm: str = "instance"
    kit: Kit = PLAIN

    @classmethod
    def parse(
        cls, text: str, separable: bool = False, separable_norm: str = "instance", kit: Kit = PLAIN
    ) -> SpadeStyle:
        """From the official spelling, e.g. "spectralspadesyncbatch3x3". ValueError where it is none."""
        found = re.fullmatch(r"(spectral)?spade(syncbatch|batch|instance)(\d)x\3", text)
        if found is None:
            raise ValueError(
                f"norm {text!r} is unknown: expected [spectral]spade{{syncbatch,batch,instance}}KxK, for example "
                "spectralspadesyncbatch3x3"
            )
        norm = found[2].removeprefix("sync")
        return cls(norm, int(found[3]), found[1] is not None, separable, separable_norm, kit)

    def conv(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Module:
        """A convolution of the block, its size kept by zero padding."""
        if self.spectral:
            return SpectralConv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
        return self.kit.conv(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def modulation(self, hidden: int, channels: int) -> nn.Module:
        """The convolution that makes gamma or beta."""
        padding = self.kernel // 2
        if self.separable:
            return SeparableConv2d(hidden, channels, self.kernel, padding, norm=self.separable_norm, kit=self.kit)
        return self.kit.conv(hidden, channels, self.kernel, padding=padding)


class SpadeNorm(nn.Module):
    """SPADE of `channels` channels by a map of `labels` channels; `hidden`: width between the two convolutions."""

    def __init__(self, channels: int, labels: int, hidden: int, style: SpadeStyle):
        super().__init__()
        kit = style.kit
        self.param_free_norm = (
            kit.instance_norm(channels) if style.norm == "instance" else kit.batch_norm(channels, affine=False)
        )
        self.mlp_shared = nn.Sequential(kit.conv(labels, hidden, style.kernel, padding=style.kernel // 2), nn.ReLU())
        self.mlp_gamma = style.modulation(hidden, channels)
        self.mlp_beta = style.modulation(hidden, channels)

    def forward(self, x: Tensor, semantics: Tensor) -> Tensor:
        """x [N, channels, H, W] · semantics [N, labels, h, w] -> the shape of x."""
        shared = self.mlp_shared(F.interpolate(semantics, size=x.shape[2:], mode="nearest"))
        return self.param_free_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """shortcut(x) + conv(act(SPADE(conv(act(SPADE(x)))))), act = LeakyReLU 0.2.

    inner: channels between the convolutions. A learned shortcut is SPADE and a 1x1 convolution without bias and without
    activation; None: where inputs and outputs differ. A sub-network whose super network has one keeps it.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        labels: int,
        hidden: int,
        style: SpadeStyle,
        learned_shortcut: bool | None = None,
    ):
        super().__init__()
        self.learned_shortcut = inputs != outputs if learned_shortcut is None else learned_shortcut
        self.conv_0 = style.conv(inputs, inner, 3)
        self.conv_1 = style.conv(inner, outputs, 3)
        self.norm_0 = SpadeNorm(inputs, labels, hidden, style)
        self.norm_1 = SpadeNorm(inner, labels, hidden, style)
        if self.learned_shortcut:
            self.conv_s = style.conv(inputs, outputs, 1, bias=False)
            self.norm_s = SpadeNorm(inputs, labels, hidden, style)

    def forward(self, x: Tensor, semantics: Tensor) -> Tensor:
        """x [N, inputs, H, W] · semantics [N, labels, h, w] -> [N, outputs, H, W]."""
        shortcut = self.conv_s(self.norm_s(x, semantics)) if self.learned_shortcut else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, semantics), SLOPE))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, semantics), SLOPE))
        return shortcut + y
