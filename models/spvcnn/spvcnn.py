"""SPVCNN: MinkUNet with a high-resolution point branch (Tang et al., "Searching Efficient 3D Architectures with Sparse
Point-Voxel Convolution", ECCV 2020).

The point branch meets the voxels three times: after the stem (stride 1), after the last down stage (stride 16) and
after the second up stage (stride 4); its last output, at stride 1, is what the classifier sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from models.sparse import Level, MapSet, PointMap, SparseTensor, build_maps, devoxelize, point_to_voxel
from models.spvcnn.minkunet import MinkUNet


@dataclass
class PointView:
    """Where the points meet the voxels.

    maps: PointMap by stride (4, 16, and 1 unless `points_are_voxels`) · points_are_voxels: one point per voxel, in the
    voxels' order, at its integer coordinates: then the exchange at stride 1 is the identity.
    """

    maps: Mapping[int, PointMap]
    points_are_voxels: bool


class SPVCNN(MinkUNet):
    """Logits per point.

    pres, vres: point and voxel resolution (any common unit). Equal: the input voxels are the points and the network's
    voxels. Else the input's integer coordinates times pres / vres are the points' places among coarser (or finer)
    voxels, whose features are the means of their points'.
    """

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        in_channels: int = 4,
        pres: float = 0.05,
        vres: float = 0.05,
        dropout: float = 0.3,
    ):
        super().__init__(num_classes, channels, in_channels, point_branch=True, dropout=dropout)
        self.pres, self.vres = pres, vres

    def view(self, x: SparseTensor) -> tuple[SparseTensor, PointView]:
        """The network's own voxels and how the rows of `x`, taken as points, lie among them."""
        coords = x.coords
        if self.pres == self.vres:
            maps = build_maps(
                x.level,
                points=coords[:, :3].numpy(),
                point_batch=coords[:, 3].numpy(),
                point_strides=(4, 16),
                point_voxel=torch.arange(len(coords), dtype=torch.int32).numpy(),
            )
            return x, PointView(maps.points, True)
        places = coords[:, :3].float() * self.pres / self.vres
        cells = torch.cat((torch.floor(places).int(), coords[:, 3:].int()), 1)
        unique, voxel = torch.unique(cells, dim=0, return_inverse=True)
        maps = build_maps(
            Level(unique.numpy()),
            points=places.numpy(),
            point_batch=coords[:, 3].numpy(),
            point_voxel=voxel.int().numpy(),
            point_strides=(1, 4, 16),
        )
        return point_to_voxel(x.feats, maps.points[1], maps.levels[0]), PointView(maps.points, False)

    def prepared(self, maps: MapSet) -> PointView:
        """The view of a cloud whose points are its voxels and whose maps (strides 4 and 16) were built elsewhere."""
        return PointView(maps.points, True)

    @staticmethod
    def _at_points(x: SparseTensor, points: PointMap) -> torch.Tensor:
        """Voxel features at the points, float32 also under autocast: sums over many points want its mantissa."""
        return devoxelize(x.with_feats(x.feats.float()), points)

    def forward(self, x: SparseTensor, view: PointView | None = None) -> torch.Tensor:
        """x: features [N, in_channels], one row per point (unique integer coordinates) -> logits [N, num_classes].

        view: from `prepared`, where the maps exist already and the points are the voxels of x.
        """
        if view is None:
            x, view = self.view(x)
        x0 = self.stem(x)
        z0 = x0.feats if view.points_are_voxels else devoxelize(x0, view.maps[1])
        x1_in = x0 if view.points_are_voxels else point_to_voxel(z0, view.maps[1], x0.level)
        x1 = self.stage1(x1_in)
        x2 = self.stage2(x1)
        x3 = self.stage3(x2)
        x4 = self.stage4(x3)

        z1 = self._at_points(x4, view.maps[16]) + self.point_transforms[0](z0).float()  # [N, c4]
        y = point_to_voxel(z1, view.maps[16], x4.level)
        y = y.with_feats(self.dropout(y.feats))
        y = self.climb(self.up1, y, x3)
        y = self.climb(self.up2, y, x2)

        z2 = self._at_points(y, view.maps[4]) + self.point_transforms[1](z1).float()  # [N, c6]
        y = point_to_voxel(z2, view.maps[4], y.level)
        y = y.with_feats(self.dropout(y.feats))
        y = self.climb(self.up3, y, x1)
        y = self.climb(self.up4, y, x0)

        last = y.feats if view.points_are_voxels else devoxelize(y, view.maps[1])
        return self.classifier(last + self.point_transforms[2](z2))
