"""Once-for-all super network of the mobile ResNet generator (GAN Compression): sub-networks that share weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from models.gan.elastic import ELASTIC, copy_slices, set_width
from models.gan.resnet import SubMobileResnetGenerator, resnet_layers
from models.gan.resnet_config import Config, inner_width, parse_config

FIRST_BLOCK = 10  # position of the first residual block in `model`


class SuperMobileResnetGenerator(nn.Module):
    """`select(config)` chooses the sub-network of the next calls; `extract(config)` makes it a network of its own.

    ngf: the widest width of each position. The input is clamped to [-1, 1].
    """

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
        self.numbers: dict[str, Any] = {"input_nc": input_nc, "output_nc": output_nc, "n_blocks": n_blocks}
        self.numbers |= {"norm": norm, "dropout": dropout}
        self.ngf, self.n_blocks = ngf, n_blocks
        self.config: Config = parse_config((ngf,) * 8)
        self.model = resnet_layers(input_nc, output_nc, self.config, n_blocks, norm, dropout, True, ELASTIC)

    def select(self, config: str | Sequence[int]) -> None:
        """Chooses the widths of the calls to come. ValueError where one exceeds ngf."""
        self.config = chosen = parse_config(config, self.ngf)
        layers: Any = self.model
        for position, width in ((1, chosen[0]), (4, 2 * chosen[1]), (7, 4 * chosen[2])):
            set_width(layers[position], width)
        for i in range(self.n_blocks):
            block = layers[FIRST_BLOCK + i].conv_block
            set_width(block[1], inner_width(chosen, i))
            set_width(block[6], 4 * chosen[2])
        after = FIRST_BLOCK + self.n_blocks
        set_width(layers[after], 2 * chosen[-2])
        set_width(layers[after + 3], chosen[-1])

    def extract(self, config: str | Sequence[int]) -> SubMobileResnetGenerator:
        """The sub-network as a network of its own, with copies of the leading slices."""
        student = SubMobileResnetGenerator(config=parse_config(config, self.ngf), **self.numbers)
        copy_slices(self, student)
        return student.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, input_nc, H, W], H and W multiples of 4 -> [N, output_nc, H, W] in [-1, 1]."""
        return self.model(x.clamp(-1.0, 1.0))
