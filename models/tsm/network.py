"""Clip networks: a backbone and a classifier per frame, the mean over the frames (Wang et al., TSN, ECCV 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from models.tsm.backbone import Backbone
from models.tsm.shift import ClipTime
from models.tsm.spec import TsmSpec


def frames_of(clip: Tensor, channels: int) -> Tensor:
    """Clips [N, T, C, H, W] -> frames [N*T, C, H, W]; ValueError where the shape is another."""
    if clip.ndim != 5 or clip.shape[2] != channels or 0 in clip.shape:
        raise ValueError(
            f"the clip has shape {tuple(clip.shape)}: expected [N, T, {channels}, H, W] with nothing empty"
        )
    return clip.flatten(0, 1)


class VideoNetwork(nn.Module):
    """Base of all networks over clips. spec: their numbers."""

    spec: TsmSpec
    base_model: Backbone

    def backbones(self) -> list[Backbone]:
        """The 2D networks inside."""
        return [self.base_model]

    def frame_logits(self, clip: Tensor) -> Tensor:
        """Clips [N, T, C, H, W] -> logits of every frame [N, T, K] ([N, ceil(T/2), K] with temporal pooling)."""
        raise NotImplementedError

    def forward(self, clip: Tensor) -> Tensor:
        """Clips [N, T, C, H, W] -> logits [N, K]: the mean over the frames, before any softmax."""
        return self.frame_logits(clip).mean(1)


class ClipNetwork(VideoNetwork):
    """TSM or TSN over clips of any length; keys `base_model.…` and `new_fc.…` as in the released checkpoints."""

    def __init__(self, spec: TsmSpec, base_model: Backbone):
        super().__init__()
        self.spec = spec
        self.base_model = base_model
        self.dropout = nn.Dropout(spec.dropout)
        self.new_fc = nn.Linear(base_model.feature_dim, spec.num_classes)
        nn.init.normal_(self.new_fc.weight, 0.0, 0.001)
        nn.init.zeros_(self.new_fc.bias)

    def frame_logits(self, clip: Tensor) -> Tensor:
        """See VideoNetwork."""
        return self.classify(self.features(clip)[-1], clip.shape[0])

    def classify(self, last: Tensor, clips: int) -> Tensor:
        """The last of `features` of so many clips -> logits of every frame [N, T, K]."""
        return self.new_fc(self.dropout(self.base_model.embed(last))).unflatten(0, (clips, -1))

    def features(self, clip: Tensor) -> list[Tensor]:
        """Clips [N, T, C, H, W] -> features of their frames at strides 8, 16, 32: [N*T, C', H', W'] each."""
        frames = frames_of(clip, self.spec.in_channels)
        return self.base_model.stages(frames, ClipTime(clip.shape[1], self.spec.direction))

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of the features at strides 8, 16 and 32."""
        return self.base_model.feature_channels
