"""The uni-directional network frame by frame; its caches are the first channels of the frame before, layer by layer.

Feeding T frames one by one, starting from zero caches, gives the frame logits of the clip network on these T frames.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from models.facts import ModelError
from models.tsm.network import ClipNetwork
from models.tsm.shift import StepTime
from models.tsm.sites import cache_shapes, shifted_sites
from models.tsm.spec import TsmSpec
from models.tsm.step import Caches, StepNetwork


def streams(spec: TsmSpec) -> bool:
    """True where a clip network of this spec needs no later frame, so that `OnlineTsm` can run it."""
    return spec.architecture in ("tsm", "tsn") and spec.mode != "offline" and not (spec.tpool or spec.non_local)


class OnlineTsm(StepNetwork):
    """One step of a clip network. Networks without shift (TSN) have no caches and work as well.

    Raises ModelError for networks that look ahead.
    """

    def __init__(self, network: ClipNetwork):
        super().__init__()
        spec = network.spec
        if not streams(spec):
            raise ModelError(
                f"architecture {spec.architecture} in mode {spec.mode} needs later frames or another step: frame by "
                "frame run tsm in mode online, and tsn; models.tsm.convert makes online weights of offline ones"
            )
        self.network = network
        self.spec = spec
        self._sites = shifted_sites(network)
        self.depth = len(self._sites)

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of the features at strides 8, 16 and 32."""
        return self.network.feature_channels

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, rows, columns) of every cache for frames of height x width."""
        return cache_shapes(self._sites, height, width)

    def forward(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Caches]:
        """frame [N, C, H, W], caches [N, c, h, w] each -> (logits [N, K], new caches)."""
        self.check(frame, caches)
        time = StepTime(caches)
        features = self.network.base_model(frame, time)
        return self.network.new_fc(self.network.dropout(features)), tuple(time.next)

    def features(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[list[Tensor], Caches]:
        """(features at strides 8, 16, 32 [N, C', H', W'], new caches); the classifier does not run."""
        self.check(frame, caches)
        time = StepTime(caches)
        return self.network.base_model.stages(frame, time), tuple(time.next)
