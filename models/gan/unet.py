"""U-Net generator of pix2pix (Isola et al., CVPR 2017), in the official nested key layout `model.model.…`.

Every level halves the picture with a 4x4 convolution, runs the level below, and doubles it again; its input is joined
to its output along the channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.gan.norms import PLAIN, has_bias


class UnetLevel(nn.Module):
    """One level around the one below it (`inside`; None: the innermost).

    outer: channels of its output before the skip is joined · inner: channels below · input_nc: of its input (None: as
    `outer`) · outermost: no norm and no skip, tanh at its end.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        inside: UnetLevel | None,
        norm: str,
        input_nc: int | None = None,
        outermost: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.outermost = outermost
        bias = has_bias(norm)
        down: list[nn.Module] = [nn.Conv2d(outer if input_nc is None else input_nc, inner, 4, 2, 1, bias=bias)]
        joined = inner if inside is None else 2 * inner  # the level below hands up its input too
        up: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=bias or outermost)]
        middle: list[nn.Module] = [] if inside is None else [inside]
        if outermost:
            up.append(nn.Tanh())
        else:
            down.insert(0, nn.LeakyReLU(0.2))
            if inside is not None:
                down.append(PLAIN.norm(norm, inner))
            up.append(PLAIN.norm(norm, outer))
            if dropout > 0:
                up.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*down, *middle, *up)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, outer, H, W] (outermost) or [N, C + outer, H, W]: the input, then the output."""
        y = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UnetGenerator(nn.Module):
    """num_downs 8 (54.4 M parameters at ngf 64) is `unet_256`, 7 is `unet_128`.

    dropout: rate in the inner levels of 8 ngf channels (0.5 in pix2pix, where it stays on at test time as the noise).
    """

    def __init__(
        self,
        input_nc: int = 3,
        output_nc: int = 3,
        num_downs: int = 8,
        ngf: int = 64,
        norm: str = "batch",
        dropout: float = 0.0,
    ):
        super().__init__()
        if num_downs < 5:
            raise ValueError(f"num_downs is {num_downs}: expected 5 or more")
        self.size_multiple = 2**num_downs
        level = UnetLevel(8 * ngf, 8 * ngf, None, norm)
        for _ in range(num_downs - 5):
            level = UnetLevel(8 * ngf, 8 * ngf, level, norm, dropout=dropout)
        for width in (4 * ngf, 2 * ngf, ngf):
            level = UnetLevel(width, 2 * width, level, norm)
        self.model = UnetLevel(output_nc, ngf, level, norm, input_nc, outermost=True)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W], H and W multiples of 2^num_downs -> [N, output_nc, H, W] in [-1, 1]."""
        step = self.size_multiple
        if x.shape[-2] % step or x.shape[-1] % step:
            raise ValueError(f"picture is {x.shape[-2]} x {x.shape[-1]} px: expected multiples of {step}")
        return self.model(x)
