"""ResNet generators of CycleGAN and GAN Compression, in the official key layout `model.N`.

reflection pad, 7x7 convolution · two 3x3 convolutions of stride 2 · residual blocks · two transposed 3x3 convolutions
of stride 2 · reflection pad, 7x7 convolution, tanh. A norm and a ReLU follow every convolution outside the blocks but
the last. Johnson et al. (ECCV 2016), Zhu et al. (ICCV 2017), Li et al. (CVPR 2020).

ResnetGenerator         dense blocks: the teacher
MobileResnetGenerator   separable convolutions in the blocks
SubMobileResnetGenerator   the same with a width of its own at each of eight positions (resnet_config.py)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from models.gan.norms import PLAIN, Kit, has_bias
from models.gan.resnet_config import Config, inner_width, parse_config
from models.gan.separable import SeparableConv2d

BlockConv = Callable[[int, int], nn.Module]


class ResnetBlock(nn.Module):
    """x + conv_block(x): pad, conv to `inner`, norm, ReLU, dropout, pad, conv back to `channels`, norm."""

    def __init__(self, channels: int, inner: int, conv: BlockConv, norm: str, dropout: float, kit: Kit):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            conv(channels, inner),
            kit.norm(norm, inner),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            conv(inner, channels),
            kit.norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        return x + self.conv_block(x)


def resnet_layers(
    input_nc: int,
    output_nc: int,
    config: Config,
    n_blocks: int,
    norm: str,
    dropout: float,
    separable: bool,
    kit: Kit = PLAIN,
) -> nn.Sequential:
    """The whole network as one Sequential, whose positions are the official key numbers."""
    if min(input_nc, output_nc, n_blocks) < 1:
        raise ValueError(f"{input_nc} -> {output_nc} channels with {n_blocks} blocks: expected 1 or more of each")
    bias = has_bias(norm)
    stem, down, trunk = config[0], 2 * config[1], 4 * config[2]
    up, last = 2 * config[-2], config[-1]

    def block_conv(inputs: int, outputs: int) -> nn.Module:
        if separable:
            return SeparableConv2d(inputs, outputs, 3, bias=bias, norm=norm, kit=kit)
        return kit.conv(inputs, outputs, 3, bias=bias)

    def strided(inputs: int, outputs: int) -> list[nn.Module]:
        conv = kit.conv(inputs, outputs, 3, stride=2, padding=1, bias=bias)
        return [conv, kit.norm(norm, outputs), nn.ReLU()]

    def transposed(inputs: int, outputs: int) -> list[nn.Module]:
        conv = kit.conv_transpose(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
        return [conv, kit.norm(norm, outputs), nn.ReLU()]

    return nn.Sequential(
        nn.ReflectionPad2d(3),
        kit.conv(input_nc, stem, 7, bias=bias),
        kit.norm(norm, stem),
        nn.ReLU(),
        *strided(stem, down),
        *strided(down, trunk),
        *(ResnetBlock(trunk, inner_width(config, i), block_conv, norm, dropout, kit) for i in range(n_blocks)),
        *transposed(trunk, up),
        *transposed(up, last),
        nn.ReflectionPad2d(3),
        kit.conv(last, output_nc, 7),
        nn.Tanh(),
    )


class ResnetGenerator(nn.Module):
    """The teacher: `resnet_9blocks` with ngf 64 has 11.4 M parameters. The input is clamped to [-1, 1].

    ngf: width of the stem · norm: see norms.py · dropout: rate inside the blocks.
    """

    separable, clamps = False, True
    size_multiple = 4

    def __init__(
        self,
        input_nc: int = 3,
        output_nc: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        norm: str = "instance",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.config: Config = parse_config((ngf,) * 8)
        self.model = resnet_layers(input_nc, output_nc, self.config, n_blocks, norm, dropout, self.separable)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W], H and W multiples of 4 -> [N, output_nc, H, W] in [-1, 1]."""
        return self.model(x.clamp(-1.0, 1.0) if self.clamps else x)


class MobileResnetGenerator(ResnetGenerator):
    """Separable convolutions in the blocks; unlike the teacher it does not clamp its input."""

    separable, clamps = True, False


class SubMobileResnetGenerator(nn.Module):
    """The mobile generator with widths of its own; the input is clamped to [-1, 1].

    config: eight widths, "16_16_32_16_32_32_16_16" or a published name such as "horse2zebra".
    """

    size_multiple = 4

    def __init__(
        self,
        input_nc: int = 3,
        output_nc: int = 3,
        config: str | Sequence[int] = "horse2zebra",
        n_blocks: int = 9,
        norm: str = "instance",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.config: Config = parse_config(config)
        self.model = resnet_layers(input_nc, output_nc, self.config, n_blocks, norm, dropout, separable=True)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W], H and W multiples of 4 -> [N, output_nc, H, W] in [-1, 1]."""
        return self.model(x.clamp(-1.0, 1.0))
