"""The camera branch of bevfusion-lite: EfficientNet-Lite0 to stride 16, and a neck that gives one map at stride 8.

    pictures [N, 3, H, W] -> backbone: c8 [N, 40, H/8, W/8], c16 [N, 112, H/16, W/16] -> neck: [N, 64, H/8, W/8]

Why stride 8: at 704 x 256 px a car at 40 m is about 30 px long and a person 10 px wide, so that at stride 16 a person
has no cell of its own. The neck's layers at stride 8 are depthwise separable; together they take less than a tenth of
the backbone's multiplications. What a training on frozen features keeps of a picture is c8 and c16, not the neck's map.

Backbone: M. Tan and Q. Le, "EfficientNet", ICML 2019, in its Lite0 form. Neck: T.-Y. Lin et al., "Feature Pyramid
Networks", CVPR 2017, with one level.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.facts import ModelError
from models.tsm.efficientnet_lite import efficientnet_lite0
from models.tsm.inverted_residual import InvertedResidual

STRIDE = 8  # of the neck's map
CHANNELS_8, CHANNELS_16 = 40, 112  # of the backbone's maps
EARLY = 4  # layers (stem to stride 4) whose ImageNet weights are kept in training
_END_8, _END_16 = 5, 11  # layers of EfficientNet-Lite0 that end strides 8 and 16


class Backbone(nn.Module):
    """EfficientNet-Lite0 up to stride 16. `layers`: the stem, then inverted residuals, as in `features.*` of Lite0."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(list(efficientnet_lite0().features)[: _END_16 + 1])

    def early(self, x: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] -> what layer EARLY takes, [N, 24, H/4, W/4]."""
        for layer in self.layers[:EARLY]:
            x = _apply(layer, x)
        return x

    def late(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What `early` gave -> (c8 [N, 40, H/8, W/8], c16 [N, 112, H/16, W/16])."""
        c8 = x
        for i in range(EARLY, len(self.layers)):
            x = _apply(self.layers[i], x)
            if i == _END_8:
                c8 = x
        return c8, x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures float32 [N, 3, H, W], normalised, sides multiples of 16 -> (c8, c16)."""
        if x.shape[-2] % 16 or x.shape[-1] % 16:
            raise ModelError(f"pictures of {x.shape[-1]} x {x.shape[-2]} px: both sides must be multiples of 16")
        return self.late(self.early(x))


def _apply(layer: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(layer, InvertedResidual):
        return layer(x)
    y = x
    for part in layer.conv:
        y = part(y)
    return x + y if layer.residual else y


class Separable(nn.Sequential):
    """Depthwise 3 x 3, batch norm, pointwise to `outputs`, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Neck(nn.Module):
    """(c8, c16) -> one map [N, channels, H/8, W/8]: c16 doubled in size is added to c8, then two separable layers."""

    def __init__(self, channels: int = 64):
        super().__init__()
        self.from_8 = nn.Sequential(nn.Conv2d(CHANNELS_8, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.from_16 = nn.Sequential(nn.Conv2d(CHANNELS_16, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.mix = nn.Sequential(Separable(channels, channels), Separable(channels, channels))

    def forward(self, c8: Tensor, c16: Tensor) -> Tensor:
        """See the class."""
        top = F.interpolate(self.from_16(c16), scale_factor=2.0, mode="nearest")
        return self.mix(F.relu(self.from_8(c8) + top))


class CameraBranch(nn.Module):
    """Backbone and neck: pictures [N, 3, H, W] -> features [N, channels, H/8, W/8]."""

    def __init__(self, channels: int = 64):
        super().__init__()
        self.channels = channels
        self.backbone, self.neck = Backbone(), Neck(channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.neck(*self.backbone(x))
