"""Frame by frame: the uni-directional network with its past in explicit caches.

Feeding T frames one by one, starting from zero caches, gives the frame logits of the clip network on these T frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.tsm.network import ClipNetwork
from models.tsm.shift import Shifted, StepTime
from models.tsm.spec import TsmSpec

Caches = tuple[Tensor, ...]


class OnlineTsm(nn.Module):
    """One step of a clip network: (frame, caches) -> (logits, caches for the next frame). Shares its parameters.

    A network without shift (TSN) has no caches and works as well. Raises ModelError for networks that look ahead.
    """

    def __init__(self, network: ClipNetwork):
        super().__init__()
        spec = network.spec
        if spec.mode == "offline" or spec.tpool or spec.non_local or spec.architecture not in ("tsm", "tsn"):
            raise ModelError(
                f"a network of architecture {spec.architecture}, mode {spec.mode} needs later frames or its own step: "
                "frame by frame run tsm in mode online, or tsn; models.tsm.convert makes online weights of offline ones"
            )
        self.network = network
        self._sites = [m for m in network.modules() if isinstance(m, Shifted) and m.fold]

    @property
    def spec(self) -> TsmSpec:
        """The network's numbers."""
        return self.network.spec

    @property
    def depth(self) -> int:
        """Shifted layers: frame t depends on the frames t-depth … t, and on zero caches until depth frames passed."""
        return len(self._sites)

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, rows, columns) of every cache for frames of height x width."""
        return [(m.fold, -(-height // m.stride), -(-width // m.stride)) for m in self._sites]

    def zero_caches(self, height: int, width: int, batch: int = 1) -> Caches:
        """Caches before the first frame, on the device and in the type of the parameters."""
        like = next(self.network.parameters())
        return tuple(like.new_zeros((batch, *shape)) for shape in self.cache_shapes(height, width))

    def forward(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, Caches]:
        """frame [N, C, H, W], caches [N, c, h, w] each -> (logits [N, K], new caches)."""
        time = self._time(frame, caches)
        features = self.network.base_model(frame, time)
        return self.network.new_fc(self.network.dropout(features)), tuple(time.next)

    def features(self, frame: Tensor, caches: Sequence[Tensor]) -> tuple[list[Tensor], Caches]:
        """(features at strides 8, 16, 32 [N, C', H', W'], new caches); the classifier does not run."""
        time = self._time(frame, caches)
        return self.network.base_model.stages(frame, time), tuple(time.next)

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of the features at strides 8, 16 and 32."""
        return self.network.feature_channels

    def _time(self, frame: Tensor, caches: Sequence[Tensor]) -> StepTime:
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return StepTime(caches)  # shapes are fixed by the example inputs
        channels = self.spec.in_channels
        if frame.ndim != 4 or frame.shape[1] != channels or 0 in frame.shape:
            raise ValueError(f"the frame has shape {tuple(frame.shape)}: expected [N, {channels}, H, W], nothing empty")
        expected = [(frame.shape[0], *s) for s in self.cache_shapes(frame.shape[2], frame.shape[3])]
        found = [tuple(c.shape) for c in caches]
        if found != expected:
            wrong = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), None)
            said = (
                f"{len(found)} caches, expected {len(expected)}"
                if wrong is None
                else f"cache {wrong} has shape {found[wrong]}, expected {expected[wrong]}"
            )
            raise ValueError(f"{said} for frames {tuple(frame.shape)}; start from zero_caches(height, width, batch)")
        return StepTime(caches)


class FlatStep(nn.Module):
    """The same with tensors only, for exporters: (frame, *caches) -> (logits, *caches)."""

    def __init__(self, step: nn.Module):
        super().__init__()
        self.step = step

    def forward(self, frame: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """frame [N, C, H, W], caches in order -> logits [N, K], new caches in order."""
        logits, kept = self.step(frame, caches)
        return (logits, *kept)
