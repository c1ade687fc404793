"""What SPVCNN and SPVNAS share: a sparse U-Net with a high-resolution point branch (Tang et al., "Searching Efficient
3D Architectures with Sparse Point-Voxel Convolution", ECCV 2020).

The point branch meets the voxels three times: after the stem (stride 1), after the last down stage (stride 16) and
after the second up stage (stride 4); its last output, at stride 1, is what the classifier sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.sparse import Level, MapSet, PointMap, SparseTensor, build_maps, devoxelize, point_to_voxel
from models.spvcnn.blocks import Layers, climb, descend


@dataclass
class PointView:
    """Where the points meet the voxels.

    maps: PointMap by stride (4, 16, and 1 unless `points_are_voxels`) · points_are_voxels: one point per voxel, in the
    voxels' order, at its integer coordinates: then the exchange at stride 1 is the identity.
    """

    maps: Mapping[int, PointMap]
    points_are_voxels: bool


class PointVoxelNetwork(nn.Module):
    """The forward pass; layers come from the class that inherits: `stem`, `down_layers()`, `up_layers()`,
    `point_transforms` (three, on [points, channels]), `dropout`, `classifier`.

    pres, vres: point and voxel resolution (any common unit). Equal: the input voxels are the points and the network's
    voxels. Else the input's integer coordinates times pres / vres are the points' places among coarser (or finer)
    voxels, whose features are the means of their points'.
    """

    pres: float = 0.05
    vres: float = 0.05
    stem: Any
    classifier: Any
    point_transforms: nn.ModuleList
    dropout: nn.Dropout

    def down_layers(self) -> list[Layers]:
        """The four down stages, each its strided convolution and its residual blocks."""
        raise NotImplementedError

    def up_layers(self) -> list[Layers]:
        """The four up stages, each its transposed convolution and the residual blocks behind the concatenation."""
        raise NotImplementedError

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
        down, up = self.down_layers(), self.up_layers()
        x0 = self.stem(x)
        z0 = x0.feats if view.points_are_voxels else devoxelize(x0, view.maps[1])
        skips = [x0 if view.points_are_voxels else point_to_voxel(z0, view.maps[1], x0.level)]
        for layers in down:
            skips.append(descend(layers, skips[-1]))

        x4 = skips.pop()
        z1 = self._at_points(x4, view.maps[16]) + self.point_transforms[0](z0).float()  # [N, c4]
        y = point_to_voxel(z1, view.maps[16], x4.level)
        y = y.with_feats(self.dropout(y.feats))
        y = climb(up[0], y, skips[3])
        y = climb(up[1], y, skips[2])

        z2 = self._at_points(y, view.maps[4]) + self.point_transforms[1](z1).float()  # [N, c6]
        y = point_to_voxel(z2, view.maps[4], y.level)
        y = y.with_feats(self.dropout(y.feats))
        y = climb(up[2], y, skips[1])
        y = climb(up[3], y, x0)

        last = y.feats if view.points_are_voxels else devoxelize(y, view.maps[1])
        return self.classifier(last + self.point_transforms[2](z2))
