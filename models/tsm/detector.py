"""The video detector: one-stage, anchor-free, on the features of a uni-directional TSM backbone.

The detector's head uses single frames: past information comes only from the channels that the backbone shifts, as in
the paper's video detection experiment (Lin, Gan, Han: "TSM", ICCV 2019, section 5: a detector whose head is left as it
is, shift in the backbone only). Without shift the same parameters are a picture-by-picture detector, its twin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.facts import ModelError
from models.tsm.backbone import ResidualBlock
from models.tsm.builder import build_backbone
from models.tsm.detector_head import DenseHead, Pyramid, decode, places
from models.tsm.inverted_residual import InvertedResidual, InvertedResidualNet
from models.tsm.shift import ClipTime, Shifted, StepTime, Time, run
from models.tsm.sites import cache_shapes, shifted_sites
from models.tsm.spec import TsmSpec

STRIDES = (8, 16, 32)
EARLY = 4  # layers before the first stride-8 block: they see one picture and stay as ImageNet made them
BACKBONES = ("efficientnet-lite0", "mobilenetv2")

Caches = tuple[Tensor, ...]


@dataclass(frozen=True)
class DetectorSpec:
    """Numbers of a video detector. backbone: one of BACKBONES · mode: "online" shifts from the past, "none" does not ·
    num_classes · width: channels of pyramid and head · depth: layers of each of the head's two towers · fold_div:
    1/fold_div of the channels move. Raises ModelError on what does not exist."""

    backbone: str = "efficientnet-lite0"
    mode: str = "online"
    num_classes: int = 5
    width: int = 64
    depth: int = 2
    fold_div: int = 8

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ModelError(f"detector backbone {self.backbone!r} is unknown; known: {', '.join(BACKBONES)}")
        if self.mode not in ("online", "none"):
            raise ModelError(
                f"detector mode {self.mode!r} is unknown; known: online, none (detection looks at no future)"
            )
        for name in ("num_classes", "width", "depth", "fold_div"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"{name} is {value!r}: expected a whole number of 1 or more")

    def numbers(self) -> dict[str, Any]:
        """The fields, as `ModelFacts.network` holds them."""
        return asdict(self)


class TsmDetector(nn.Module):
    """Backbone, pyramid, head. Frames are float32 RGB, normalised as `ModelFacts.image` says; sides multiples of 32.

    Of its two outputs the logits are before the sigmoid, the codes are read by `detector_head.decode`; A places, K
    classes. The backbone's batch norms are part of its convolutions: training leaves them as ImageNet made them. Its
    first EARLY layers do not shift: a shift before weights that are not trained would only take channels from them.
    """

    def __init__(self, spec: DetectorSpec, backbone_state: Mapping[str, Tensor] | None = None):
        """`backbone_state`: weights of the 2D backbone with its batch norms, `models.tsm.imagenet.lite0_state()`."""
        super().__init__()
        self.spec = spec
        backbone = build_backbone(TsmSpec(spec.backbone, "none", spec.num_classes, architecture="tsn"))
        if not isinstance(backbone, InvertedResidualNet):
            raise ModelError(f"backbone {spec.backbone}: the detector needs one of {', '.join(BACKBONES)}")
        if backbone_state is not None:
            given = {k: v for k, v in backbone_state.items() if k.startswith("features.")}
            backbone.load_state_dict(given)
        del backbone.features[-1]  # the convolution before the classifier, which nobody asks here
        fold_norms(backbone.eval())
        if spec.mode == "online":
            insert_shift(backbone, spec.fold_div)
        self.backbone: InvertedResidualNet = backbone
        self.pyramid = Pyramid(backbone.feature_channels, spec.width)
        self.head = DenseHead(spec.width, spec.num_classes, len(STRIDES), spec.depth)
        self._sites = shifted_sites(backbone)

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Clips [N, T, 3, H, W] -> logits [N*T, A, K], codes [N*T, A, 4] of their frames, none of which sees a later
        one. Raises ValueError on other shapes."""
        if clip.ndim != 5 or clip.shape[2] != 3:
            raise ValueError(f"the clip has shape {tuple(clip.shape)}: expected [N, T, 3, H, W]")
        return self.from_early(self.early(clip.flatten(0, 1)), clip.shape[1])

    def early(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, H, W] -> what the first EARLY layers make of each, [B, C, H / 4, W / 4]."""
        height, width = frames.shape[-2:]
        if not torch.jit.is_tracing() and (height % STRIDES[-1] or width % STRIDES[-1]):
            raise ValueError(f"frames of {height} x {width} px: both sides must be multiples of {STRIDES[-1]}")
        for layer in self.backbone.features[:EARLY]:
            frames = run(layer, frames, ClipTime(1))
        return frames

    def from_early(self, x: Tensor, segments: int) -> tuple[Tensor, Tensor]:
        """The rest of `forward`; `segments`: frames of a clip."""
        return self._dense(x, ClipTime(segments, "past"))

    def step(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Tensor, Caches]:
        """frame [N, 3, H, W], caches [N, c, h, w] each -> logits [N, A, K], codes [N, A, 4], caches for the next
        frame."""
        if not torch.jit.is_tracing():
            expected = [(frame.shape[0], *s) for s in self.cache_shapes(*frame.shape[-2:])]
            if [tuple(c.shape) for c in caches] != expected:
                raise ValueError(
                    f"found caches {[tuple(c.shape) for c in caches]}, expected {expected} for frames "
                    f"{tuple(frame.shape)}; start from zero_caches(height, width, batch)"
                )
        time = StepTime(caches)
        logits, codes = self._dense(self.early(frame), time)
        return logits, codes, tuple(time.next)

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, rows, columns) of every cache for frames of height x width; none without shift."""
        return cache_shapes(self._sites, height, width)

    def zero_caches(self, height: int, width: int, batch: int = 1) -> Caches:
        """Caches before the first frame."""
        like = next(self.head.parameters())
        return tuple(like.new_zeros((batch, *shape)) for shape in self.cache_shapes(height, width))

    @property
    def depth(self) -> int:
        """Shifted layers: a frame's answer depends on so many frames before it."""
        return len(self._sites)

    def _dense(self, x: Tensor, time: Time) -> tuple[Tensor, Tensor]:
        return self.head(self.pyramid(self.backbone.stages(x, time, EARLY)))


def insert_shift(backbone: InvertedResidualNet, fold_div: int) -> None:
    """Puts the shift into every residual branch behind the EARLY layers."""
    for blocks, i, stride in backbone.shift_sites():
        if i >= EARLY:
            block = cast(ResidualBlock, blocks[i])
            block.wrap_branch(partial(_shifted, fold_div=fold_div, channels=block.in_channels, stride=stride))


def _shifted(net: nn.Module, fold_div: int, channels: int, stride: int) -> nn.Module:
    return Shifted(net, fold_div, channels, stride)


def fold_norms(backbone: InvertedResidualNet) -> None:
    """Makes each batch norm (in eval mode) part of the convolution before it; an identity stays in its place."""
    for block in backbone.features:
        layers = cast(nn.ModuleList, block.conv if isinstance(block, InvertedResidual) else block)
        for i in range(1, len(layers)):
            conv, norm = layers[i - 1], layers[i]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                layers[i - 1] = fuse_conv_bn_eval(conv, norm)
                layers[i] = nn.Identity()


class DetectorStep(nn.Module):
    """What a runtime compiles: tensors in, tensors out, boxes decoded.

    (frame [N, 3, H, W], *caches) -> (scores [N, A, K] 0..1, boxes [N, A, 4] x1 y1 x2 y2 px, *caches).
    """

    where: Tensor

    def __init__(self, detector: TsmDetector, height: int, width: int):
        super().__init__()
        self.detector = detector
        self.register_buffer("where", places(height, width, STRIDES), persistent=False)

    def forward(self, frame: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        logits, codes, kept = self.detector.step(frame, caches)
        return (logits.sigmoid(), decode(codes, self.where), *kept)
