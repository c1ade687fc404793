"""Small convolution stacks, one per predicted quantity, as both detection heads have them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from models.bevfusion.blocks import ConvModule

BOX_HEADS: dict[str, tuple[int, int]] = {"height": (1, 2), "dim": (3, 2), "rot": (2, 2), "vel": (2, 2)}


class PredictionHeads(nn.Module):
    """heads: name -> (outputs, convolutions) · hidden: width of all convolutions but the last · size: of the kernels ·
    dims: 1 for queries, 2 for maps. Children bear the heads' names.
    """

    def __init__(
        self, channels: int, heads: Mapping[str, tuple[int, int]], hidden: int = 64, size: int = 1, dims: int = 1
    ):
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
        self.names = tuple(heads)
        for name, (outputs, layers) in heads.items():
            widths = [channels] + [hidden] * (layers - 1)
            hiddens = [ConvModule(a, b, size, dims) for a, b in zip(widths[:-1], widths[1:])]
            self.add_module(name, nn.Sequential(*hiddens, conv(widths[-1], outputs, size, padding=size // 2)))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [B, channels, …] -> name -> [B, outputs, …]."""
        return {name: self.get_submodule(name)(x) for name in self.names}
