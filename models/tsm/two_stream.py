"""Two-stream networks: one sees pictures, one sees optical flow (Simonyan and Zisserman, NIPS 2014)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from models.tsm.backbone import Backbone
from models.tsm.network import ClipNetwork, VideoNetwork, frames_of
from models.tsm.spec import FLOW_CHANNELS, TsmSpec


def stream_spec(spec: TsmSpec, channels: int) -> TsmSpec:
    """The spec of one of the two networks."""
    return replace(spec, architecture="tsn" if spec.mode == "none" else "tsm", in_channels=channels)


class TwoStream(VideoNetwork):
    """RGB and flow networks of the same kind; the mean of their logits.

    A frame has 3 + 10 channels: normalised RGB, then the stack of models/tsm/flow.py.
    """

    def __init__(self, spec: TsmSpec, rgb: ClipNetwork, flow: ClipNetwork):
        super().__init__()
        self.spec = spec
        self.rgb = rgb
        self.flow = flow

    def backbones(self) -> list[Backbone]:
        """See VideoNetwork."""
        return [self.rgb.base_model, self.flow.base_model]

    def frame_logits(self, clip: Tensor) -> Tensor:
        """See VideoNetwork."""
        frames_of(clip, 3 + FLOW_CHANNELS)
        return 0.5 * (self.rgb.frame_logits(clip[:, :, :3]) + self.flow.frame_logits(clip[:, :, 3:]))
