"""The dense parts of a BEVFusion as modules that a runtime can compile: pictures to lifted features, BEV maps to heads.

Between them stand the sparse parts (voxels, pooling), which run in engines of their own. BEV maps travel as [B, X * Y,
C], as those engines write them, so that no runtime changes their layout on the way in.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.bevfusion.network import BEVFusion, CameraEncoder, Predictions
from models.bevfusion.transfusion_head import TransFusionHead

CENTER_NAMES = ("reg", "height", "dim", "rot", "vel", "heatmap")


class LiftStage(nn.Module):
    """Pictures [V, 3, H, W] (and depth images [V, 1, H, W]) -> (depth [V, D, W, H], context [V, W, H, C])."""

    def __init__(self, camera: CameraEncoder):
        super().__init__()
        self.camera = camera

    def forward(self, images: Tensor, *depth_images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; depth images only for the depth-aware transform."""
        return self.camera.lift(images, *depth_images)


class BevStage(nn.Module):
    """BEV maps of the encoders to everything that the heads compute densely.

    cells: (X, Y) of each encoder's map, the camera's (before its downsampling) first.
    """

    def __init__(self, network: BEVFusion, cells: Sequence[tuple[int, int]]):
        super().__init__()
        self.network, self.cells = network, tuple(cells)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """maps [B, X * Y, C] -> tensors that `predictions` reads."""
        network = self.network
        planes = [m.view(len(m), *xy, m.shape[2]).permute(0, 3, 1, 2) for m, xy in zip(maps, self.cells)]
        if network.camera is not None:
            planes[0] = network.camera.transform.downsample(planes[0])
        x = network.decode_bev(planes)
        out: list[Tensor] = []
        head = network.objects
        if isinstance(head, TransFusionHead):
            out += head.dense(x)
        elif head is not None:
            out += [found[name] for found in head(x) for name in CENTER_NAMES]
        if network.maps is not None:
            out.append(network.maps(x))
        return tuple(out)

    def predictions(self, outputs: Sequence[Tensor]) -> Predictions:
        """The heads' predictions from what `forward` returned."""
        head, found = self.network.objects, list(outputs)
        maps = found.pop() if self.network.maps is not None else None
        if head is None:
            return Predictions(None, maps)
        if isinstance(head, TransFusionHead):
            return Predictions(head.query(*found), maps)
        step = len(CENTER_NAMES)
        tasks = [dict(zip(CENTER_NAMES, found[i : i + step])) for i in range(0, len(found), step)]
        return Predictions(tasks, maps)
