"""CNN + LSTM: a 2D network per frame, a recurrent layer over their features (Donahue et al., LRCN, CVPR 2015)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.tsm.backbone import Backbone
from models.tsm.network import VideoNetwork, frames_of
from models.tsm.shift import ClipTime, StepTime
from models.tsm.sites import cache_shapes, shifted_sites
from models.tsm.spec import TsmSpec
from models.tsm.step import Caches, StepNetwork


class LstmNetwork(VideoNetwork):
    """Per-frame features, one LSTM over them, a classifier per frame, the mean over the frames."""

    def __init__(self, spec: TsmSpec, base_model: Backbone):
        super().__init__()
        self.spec = spec
        self.base_model = base_model
        self.lstm = nn.LSTM(base_model.feature_dim, spec.hidden, batch_first=True)
        self.dropout = nn.Dropout(spec.dropout)
        self.new_fc = nn.Linear(spec.hidden, spec.num_classes)

    def frame_logits(self, clip: Tensor) -> Tensor:
        """See VideoNetwork."""
        frames = frames_of(clip, self.spec.in_channels)
        features = self.base_model(frames, ClipTime(clip.shape[1], self.spec.direction))
        hidden, _ = self.lstm(features.unflatten(0, (clip.shape[0], -1)))  # [N, T, hidden]
        return self.new_fc(self.dropout(hidden))


class OnlineLstm(StepNetwork):
    """One step of an LstmNetwork: caches are those of its shifted layers (if any), then h and c, [N, hidden, 1, 1]."""

    def __init__(self, network: LstmNetwork):
        super().__init__()
        self.network = network
        self.spec = network.spec
        self._sites = shifted_sites(network)
        self.depth = network.spec.segments - 1  # it never forgets entirely; clips of this length it was trained on

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, rows, columns) of every cache for frames of height x width."""
        return [*cache_shapes(self._sites, height, width), *[(self.spec.hidden, 1, 1)] * 2]

    def forward(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Caches]:
        """frame [N, C, H, W], caches [N, c, h, w] each -> (logits [N, K], new caches)."""
        self.check(frame, caches)
        time = StepTime(caches[:-2])
        features = self.network.base_model(frame, time)
        past = tuple(c.flatten(2).permute(2, 0, 1).contiguous() for c in caches[-2:])  # [1, N, hidden]
        hidden, new = self.network.lstm(features.unsqueeze(1), past)
        logits = self.network.new_fc(self.network.dropout(hidden[:, 0]))
        return logits, (*time.next, *(s.permute(1, 2, 0).unsqueeze(3) for s in new))
