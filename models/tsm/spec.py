"""What a video network is made of, as plain numbers: `TsmSpec`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from models.facts import ModelError

ARCHITECTURES = ("tsm", "tsn", "tsm-i3d", "tsm-two-stream", "tsm-lstm")
BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenetv2", "efficientnet-lite0")
MODES = ("offline", "online", "none")
PLACES = ("blockres", "block", "inplace")
INFLATE = ("3x1x1", "3x3x3")
FLOW_CHANNELS = 10


@dataclass(frozen=True)
class TsmSpec:
    """Numbers of one video network. Raises ModelError where they contradict each other.

    architecture: tsm, or a baseline: tsn (2D frames, mode none), tsm-i3d (2D kernels inflated along time),
        tsm-two-stream (one network sees RGB, one optical flow), tsm-lstm (a recurrent head over frame features).
    backbone: a key of BACKBONES.
    mode: "offline" shifts both ways (needs the whole clip), "online" from the past only, "none" does not shift.
    place: "blockres" shifts the residual branch only; "block" the whole block, identity included, which the paper calls
        in-place and compares in its ablation; "inplace" is another name for "block".
    fold_div: 1/fold_div of the channels move in each direction.
    segments: frames of a training clip; networks take clips of any length.
    tpool, non_local: temporal max-pooling before layer2, non-local blocks (ResNets with bottlenecks); not online.
    dropout: before the classifier · width: multiplier of the channels · in_channels: of a frame: 3, 10 for flow, 13 for
        two streams · hidden: width of the recurrent layer · inflate: kernels of tsm-i3d, "3x1x1" where TSM would shift
        or "3x3x3" wherever a block looks around.
    """

    backbone: str = "mobilenetv2"
    mode: str = "online"
    num_classes: int = 12
    segments: int = 8
    fold_div: int = 8
    place: str = "blockres"
    dropout: float = 0.5
    width: float = 1.0
    tpool: bool = False
    non_local: bool = False
    in_channels: int = 3
    hidden: int = 512
    inflate: str = "3x1x1"
    architecture: str = "tsm"

    def __post_init__(self) -> None:
        for name, known in (
            ("architecture", ARCHITECTURES),
            ("backbone", BACKBONES),
            ("mode", MODES),
            ("place", PLACES),
            ("inflate", INFLATE),
        ):
            if getattr(self, name) not in known:
                raise ModelError(f"{name} {getattr(self, name)!r} is unknown; known: {', '.join(known)}")
        for name in ("num_classes", "segments", "fold_div", "in_channels", "hidden"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"{name} is {value!r}: expected a whole number of 1 or more")
        if not 0.0 <= self.dropout < 1.0:
            raise ModelError(f"dropout is {self.dropout}: expected 0 or more and less than 1")
        if not 0.0 < self.width <= 8.0:
            raise ModelError(f"width is {self.width}: expected more than 0 and at most 8")
        if self.architecture in ("tsn", "tsm-i3d") and self.mode != "none":
            raise ModelError(f"architecture {self.architecture} shifts nothing: expected mode none, found {self.mode}")
        if self.architecture == "tsm" and self.mode == "none":
            raise ModelError("architecture tsm needs mode online or offline; without a shift it is called tsn")
        if (self.tpool or self.non_local) and not self.backbone.startswith("resnet"):
            raise ModelError(f"tpool and non_local exist for ResNets, not for {self.backbone}")
        if self.non_local and self.backbone != "resnet50":
            raise ModelError(f"non_local exists for resnet50, not for {self.backbone}")
        if self.architecture == "tsm-two-stream" and self.in_channels != 3 + FLOW_CHANNELS:
            raise ModelError(f"two streams see 3 + {FLOW_CHANNELS} channels, in_channels is {self.in_channels}")
        if (self.tpool or self.non_local) and (self.mode == "online" or self.architecture == "tsm-lstm"):
            raise ModelError("tpool and non_local look at later frames: they do not go with frame-by-frame networks")

    @property
    def direction(self) -> str:
        """The shift's direction: "both" or "past"."""
        return "both" if self.mode == "offline" else "past"

    def numbers(self) -> dict[str, Any]:
        """The fields without the architecture, as `ModelFacts.network` holds them."""
        return {k: v for k, v in asdict(self).items() if k != "architecture"}
