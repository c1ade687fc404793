"""The released PVCNN networks for S3DIS and ShapeNet, and PointNet in the same layout (Liu et al., NeurIPS 2019).

A plan is a tuple of Block(width, repeats, resolution): PVConvs where there is a resolution, shared MLPs where there is
none. Every block's output is kept; together with a description of the whole cloud they make up what the classifier
reads at each point. The width multiplier scales every width but the classes, rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.pvcnn.grid import Grids, check_coords
from models.pvcnn.layers import PointLinear, PVConv, SharedMLP


class Block(NamedTuple):
    """`repeats` layers of `width` channels; resolution None: shared MLPs on the points alone."""

    width: int
    repeats: int
    resolution: int | None


S3DIS_PLAN = (Block(64, 1, 32), Block(64, 2, 16), Block(128, 1, 16), Block(1024, 1, None))
SHAPENET_PLAN = (Block(64, 1, 32), Block(128, 2, 16), Block(512, 1, None), Block(2048, 1, None))
POINTNET_PLAN = (Block(64, 3, None), Block(128, 1, None), Block(1024, 1, None))


def point_layers(
    plan: Sequence[Block], in_channels: int, width: float, resolution: float, with_se: bool, normalize: bool
) -> tuple[nn.ModuleList, list[int]]:
    """(layers, output channels of each) of a plan; `resolution` multiplies the blocks' resolutions, rounded down."""
    layers, channels = nn.ModuleList(), []
    for block in plan:
        outputs = _scaled(block.width, width)
        for _ in range(block.repeats):
            if block.resolution is None:
                layers.append(SharedMLP(in_channels, outputs))
            else:
                grid = max(1, int(resolution * block.resolution))
                layers.append(PVConv(in_channels, outputs, 3, grid, with_se=with_se, normalize=normalize))
            in_channels = outputs
            channels.append(outputs)
    return layers, channels


def point_classifier(in_channels: int, plan: Sequence[float], classes: int, width: float) -> nn.Sequential:
    """Shared MLPs with dropouts (entries below 1 are their rates), then a 1x1 convolution to `classes`."""
    layers: list[nn.Module] = []
    for entry in plan:
        if entry < 1:
            layers.append(nn.Dropout(entry))
        else:
            layers.append(SharedMLP(in_channels, _scaled(int(entry), width)))
            in_channels = _scaled(int(entry), width)
    return nn.Sequential(*layers, PointLinear(in_channels, classes))


def classify(classifier: nn.Sequential, before: Tensor | None, found: list[Tensor], after: Tensor) -> Tensor:
    """Logits [B, classes, N] from what was found at the points and what is known of the whole cloud ([B, C])."""
    points = torch.cat([f.transpose(1, 2) for f in found], 2).transpose(1, 2)
    first = classifier[0]
    assert isinstance(first, SharedMLP) and isinstance(first.layers[0], PointLinear)
    return classifier[1:](first.layers[1:](first.layers[0].split(before, points, after)))


def _scaled(channels: int, width: float) -> int:
    scaled = int(width * channels)
    if scaled < 1:
        raise ValueError(f"width multiplier {width} leaves no channel of {channels}: expected at least {1 / channels}")
    return scaled


class PointNetwork(nn.Module):
    """What the networks share: the layers on points, and checks of what comes in. `in_channels`: xyz and features."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        if num_classes < 1 or in_channels < 3:
            raise ValueError(f"{num_classes} classes from {in_channels} channels: expected 1 or more from 3 or more")
        self.num_classes, self.in_channels = num_classes, in_channels
        self.point_features = nn.ModuleList()

    def points(self, features: Tensor) -> list[Tensor]:
        """Outputs of all layers, each [B, C, N], of features [B, in_channels, N] whose first three are x, y, z."""
        grids = Grids(features[:, :3])
        found = []
        for layer in self.point_features:
            features = layer(features, grids) if isinstance(layer, PVConv) else layer(features)
            found.append(features)
        return found

    def check(self, inputs: Tensor, channels: int) -> None:
        """ValueError unless inputs is a finite float [B, channels, N]."""
        if inputs.ndim != 3 or inputs.shape[1] != channels:
            raise ValueError(f"points have shape {list(inputs.shape)}: expected [clouds, {channels}, points]")
        check_coords(inputs[:, :3])


class PVCNN(PointNetwork):
    """The S3DIS network: the cloud is described by an MLP on the maxima of the last layer.

    extra_feature_channels: inputs beside x, y, z (S3DIS: colour and place in the room) · width_multiplier,
    voxel_resolution_multiplier: see `point_layers` · with_se, normalize: of its PVConvs · plan: with POINTNET_PLAN it
    is a PointNet.
    """

    def __init__(
        self,
        num_classes: int,
        extra_feature_channels: int = 6,
        width_multiplier: float = 1.0,
        voxel_resolution_multiplier: float = 1.0,
        with_se: bool = False,
        normalize: bool = True,
        plan: Sequence[Block] = S3DIS_PLAN,
    ):
        super().__init__(num_classes, 3 + extra_feature_channels)
        w = width_multiplier
        self.point_features, channels = point_layers(
            plan, self.in_channels, w, voxel_resolution_multiplier, with_se, normalize
        )
        widths = [channels[-1], _scaled(256, w), _scaled(128, w)]
        self.cloud_features = nn.Sequential(
            *[nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(True)) for a, b in zip(widths[:-1], widths[1:])]
        )
        self.classifier = point_classifier(sum(channels) + widths[-1], (512, 0.3, 256, 0.3), num_classes, w)

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [B, 3 + extra, N]: x, y, z and features -> logits [B, num_classes, N]."""
        self.check(inputs, self.in_channels)
        found = self.points(inputs)
        cloud = self.cloud_features(found[-1].amax(2))  # [B, C]
        return classify(self.classifier, None, found, cloud)


class ShapePVCNN(PointNetwork):
    """The ShapeNet part network: the cloud is described by its kind (one-hot) and the maxima of the last layer;
    squeeze-excitation; coordinates taken as they are (clouds in the unit ball)."""

    def __init__(
        self,
        num_classes: int,
        num_shapes: int,
        extra_feature_channels: int = 3,
        width_multiplier: float = 1.0,
        voxel_resolution_multiplier: float = 1.0,
        with_se: bool = True,
        normalize: bool = False,
        plan: Sequence[Block] = SHAPENET_PLAN,
    ):
        super().__init__(num_classes, 3 + extra_feature_channels)
        self.num_shapes = num_shapes
        w = width_multiplier
        self.point_features, channels = point_layers(
            plan, self.in_channels, w, voxel_resolution_multiplier, with_se, normalize
        )
        read = num_shapes + sum(channels) + channels[-1]
        self.classifier = point_classifier(read, (256, 0.2, 256, 0.2, 128), num_classes, w)

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [B, 3 + extra + num_shapes, N]: x, y, z, features, one-hot shape -> logits [B, num_classes, N]."""
        self.check(inputs, self.in_channels + self.num_shapes)
        found = self.points(inputs[:, : self.in_channels])
        kind = inputs[:, self.in_channels :]
        if bool((kind == kind[:, :, :1]).all()):
            return classify(self.classifier, kind[:, :, 0], found, found[-1].amax(2))
        most = found[-1].amax(2, keepdim=True).expand(-1, -1, inputs.shape[2])
        return self.classifier(torch.cat([kind, *found, most], 1))  # a cloud of several kinds of things


def pointnet(num_classes: int, extra_feature_channels: int = 6, width_multiplier: float = 1.0) -> PVCNN:
    """PointNet for segmentation in the released comparison's layout: PVCNN without any voxel branch."""
    return PVCNN(num_classes, extra_feature_channels, width_multiplier, plan=POINTNET_PLAN)
