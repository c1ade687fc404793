"""Convolution, batch norm and ReLU with the parameter names of the released checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

Norm = Callable[[int], nn.BatchNorm2d]


def second_norm(channels: int) -> nn.BatchNorm2d:
    """The norm of SECOND and its FPN; every other 2-D norm of the model has torch's numbers."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def conv_norm_relu(
    inputs: int, outputs: int, size: int, stride: int = 1, bias: bool = False, norm: Norm = nn.BatchNorm2d
) -> list[nn.Module]:
    """[Conv2d, BatchNorm2d, ReLU] for an nn.Sequential; the padding keeps the size at stride 1."""
    return [
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias),
        norm(outputs),
        nn.ReLU(inplace=True),
    ]


class ConvModule(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; children named `conv` and `bn`. `dims` is 1 or 2."""

    def __init__(self, inputs: int, outputs: int, size: int, dims: int = 2):
        conv, norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[dims - 1]
        parts: list[tuple[str, nn.Module]] = [
            ("conv", conv(inputs, outputs, size, padding=size // 2, bias=False)),
            ("bn", norm(outputs)),
            ("activate", nn.ReLU(inplace=True)),
        ]
        super().__init__(OrderedDict(parts))


class ConvFuser(nn.Sequential):
    """Fuses BEV maps: concatenation, 3x3 convolution, batch norm, ReLU.

    in_channels: of each map, the camera's first · out_channels: of the result.
    """

    def __init__(self, in_channels: tuple[int, ...] | list[int], out_channels: int):
        super().__init__(*conv_norm_relu(sum(in_channels), out_channels, 3))

    def forward(self, maps: Tensor) -> Tensor:
        """maps [B, sum(in_channels), X, Y], the concatenated maps -> [B, out_channels, X, Y]."""
        return super().forward(maps)
