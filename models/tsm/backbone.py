"""What every 2D backbone offers to the builder, to the clip networks and to the step networks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.tsm.shift import InTime, Time

Site = tuple[nn.ModuleList, int, int]  # (list of blocks, position in it, image pixels per pixel of the block's input)


class ResidualBlock(InTime):
    """A block of a backbone; `in_channels` wide at its input."""

    in_channels: int

    def wrap_branch(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Puts `wrap` around the first layer of the residual branch."""
        raise NotImplementedError


class Backbone(InTime):
    """Frames -> pooled features.

    feature_dim: of the pooled features · feature_channels: of the stages at strides 8, 16 and 32.
    """

    feature_dim: int
    feature_channels: tuple[int, ...]

    def shift_sites(self) -> list[Site]:
        """Blocks that shift in their residual branch."""
        raise NotImplementedError

    def whole_sites(self) -> list[Site]:
        """Blocks that shift whole, identity included."""
        return self.shift_sites()

    def stages(self, x: Tensor, time: Time) -> list[Tensor]:
        """Frames [B, C, H, W] -> features at strides 8, 16 and 32."""
        raise NotImplementedError

    def embed(self, last: Tensor) -> Tensor:
        """The last stage's features [B, C, H, W] -> pooled features [B, feature_dim]."""
        return last.mean((2, 3))

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """Frames [B, C, H, W] -> pooled features [B, feature_dim]."""
        return self.embed(self.stages(x, time)[-1])
