"""Inflated 3D networks: 2D kernels become kernels over time (Carreira and Zisserman, I3D, CVPR 2017).

Started from a 2D state dict, every time slice of a kernel is the 2D kernel divided by their number, so that a clip of
equal frames gives (but for the zeros around it) the features of one frame.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from models.tsm.backbone import Backbone, ResidualBlock
from models.tsm.inverted_residual import SameConv2d, same_pads
from models.tsm.shift import InTime, Time

TIME = 3  # frames under an inflated kernel


class TimeConv(InTime):
    """A convolution over `TIME` frames and a window of each; weight [C', C / groups, TIME, k, k], zeros outside."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.weight = nn.Parameter(inflated(conv.weight.detach(), TIME))
        self.stride, self.padding, self.groups = conv.stride[0], conv.padding, conv.groups
        self.same = isinstance(conv, SameConv2d)

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """Frames [N*T, C, H, W] -> [N*T, C', H', W']."""
        pad = (TIME // 2, *(int(p) for p in self.padding))
        if self.same:
            x, pad = F.pad(x, same_pads(x, self.weight.shape[-1], self.stride)), (TIME // 2, 0, 0)
        clip = x.unflatten(0, (-1, time.segments)).transpose(1, 2)  # [N, C, T, H, W]; no copy in channels_last
        out = F.conv3d(clip, self.weight, None, (1, self.stride, self.stride), pad, 1, self.groups)
        return out.transpose(1, 2).flatten(0, 1)


def inflated(kernel: Tensor, frames: int) -> Tensor:
    """[C', C, k, k] -> [C', C, frames, k, k], each slice kernel / frames."""
    return (kernel.unsqueeze(2) / frames).repeat(1, 1, frames, 1, 1)


def inflate_backbone(backbone: Backbone, kernel: str) -> None:
    """Turns convolutions into `TimeConv`.

    kernel "3x1x1": the first convolution of every block that TSM would shift, so that both see the same frames;
    "3x3x3": every convolution of a block whose kernel is wider than one pixel.
    """
    if kernel == "3x1x1":
        for blocks, i, _ in backbone.shift_sites():
            block = blocks[i]
            assert isinstance(block, ResidualBlock)
            block.wrap_branch(_inflate)
        return
    for module in list(backbone.modules()):
        if not isinstance(module, (ResidualBlock, nn.ModuleList)):
            continue
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child.kernel_size[0] > 1:
                setattr(module, name, TimeConv(child))


def _inflate(module: nn.Module) -> nn.Module:
    assert isinstance(module, nn.Conv2d)
    return TimeConv(module)


def inflate_state(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A 2D state dict made to fit `network`: kernels that are 5-D there are inflated, the rest is handed on."""
    own = network.state_dict()
    return {
        k: inflated(v, own[k].shape[2]) if k in own and own[k].ndim == 5 and v.ndim == 4 else v
        for k, v in state.items()
    }
