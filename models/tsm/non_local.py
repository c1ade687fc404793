"""Non-local blocks (Wang et al., CVPR 2018): attention over all places and frames of a clip, embedded Gaussian form."""

from __future__ import annotations

from torch import Tensor, nn

from models.tsm.shift import InTime, Time, run


class NonLocal3d(nn.Module):
    """x + W(softmax(theta(x)' phi(x)) g(x)) over clips [N, C, T, H, W]; keys and values are pooled 2x2 in space.

    The last normalisation starts at zero, so that a fresh block changes nothing.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 2)
        self.g = nn.Sequential(nn.Conv3d(channels, inner, 1), nn.MaxPool3d((1, 2, 2)))
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv3d(channels, inner, 1), nn.MaxPool3d((1, 2, 2)))
        norm = nn.BatchNorm3d(channels)
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)
        self.W = nn.Sequential(nn.Conv3d(inner, channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, T, H, W] -> the same shape."""
        query = self.theta(x).flatten(2).transpose(1, 2)  # [N, THW, C/2]
        key = self.phi(x).flatten(2)  # [N, C/2, T(H/2)(W/2)]
        value = self.g(x).flatten(2).transpose(1, 2)  # [N, T(H/2)(W/2), C/2]
        mixed = (query @ key).softmax(-1) @ value  # [N, THW, C/2]
        return x + self.W(mixed.transpose(1, 2).unflatten(2, x.shape[2:]))


class WithNonLocal(InTime):
    """A block followed by a non-local block; keys `.block` and `.nl` as in the released checkpoints."""

    def __init__(self, block: nn.Module, channels: int):
        super().__init__()
        self.block = block
        self.nl = NonLocal3d(channels)

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """Frames [N*T, C, H, W] -> [N*T, C', H', W']."""
        clip = run(self.block, x, time).unflatten(0, (-1, time.segments)).transpose(1, 2)  # [N, C, T, H, W]
        return self.nl(clip).transpose(1, 2).flatten(0, 1)
