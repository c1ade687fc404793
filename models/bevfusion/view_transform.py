"""From pictures to the bird's-eye view: lift, splat, shoot (Philion and Fidler, ECCV 2020) and its depth-aware form.

Each pixel of the camera's features predicts a distribution over depth bins and a context vector; their product is
summed in the BEV cells that the frustum points fall into (`pool`). The depth-aware transform also sees the LiDAR's
points, projected into the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.bevfusion.blocks import conv_norm_relu
from models.bevfusion.geometry import CameraMatrices, cells_of, frustum_in_lidar, frustum_of
from models.bevfusion.pool import Association, BevPool, Grid, associate, bev_pool
from models.bevfusion.pool.association import frustum_pixels


class LSSTransform(nn.Module):
    """Lift, splat, shoot with one 1x1 convolution for depth and context.

    in_channels: of the camera's features · out_channels: of the BEV map · image_size, feature_size: (height, width) of
    the network's picture and of its features, px · grid: of the BEV map before `downsample` · depths: (from, to,
    step), m · downsample: 1, or 2 to halve the BEV map.
    """

    uses_points = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: Sequence[int],
        feature_size: Sequence[int],
        grid: Grid,
        depths: Sequence[float],
        downsample: int = 1,
    ):
        super().__init__()
        if downsample not in (1, 2):
            raise ValueError(f"downsample is {downsample}: expected 1 or 2")
        self.image_size, self.feature_size, self.grid = tuple(image_size), tuple(feature_size), grid
        self.channels = out_channels
        self.frustum: Tensor
        self.register_buffer("frustum", frustum_of(image_size, feature_size, depths), persistent=False)
        self.bins = len(self.frustum)
        self.pool = BevPool()
        self.depthnet = self._depthnet(in_channels)
        self.downsample: nn.Module = nn.Identity()
        if downsample == 2:
            self.downsample = nn.Sequential(
                *conv_norm_relu(out_channels, out_channels, 3),
                *conv_norm_relu(out_channels, out_channels, 3, stride=2),
                *conv_norm_relu(out_channels, out_channels, 3),
            )

    def _depthnet(self, in_channels: int) -> nn.Module:
        return nn.Conv2d(in_channels, self.bins + self.channels, 1)

    def lift(self, feats: Tensor, depth_image: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """feats [V, in_channels, H, W] of V pictures, depth_image [V, 1, height, width] for the depth-aware form ->
        (probabilities [V, D, W, H], context [V, W, H, C]).

        W before H: the pixels of one column fall into the same few cells, so that pooling reads memory in order.
        """
        found = self.depthnet(feats)
        depth = found[:, : self.bins].softmax(1)
        return depth.transpose(2, 3), found[:, self.bins :].permute(0, 3, 2, 1)

    def associate(self, matrices: CameraMatrices) -> Association:
        """Which frustum point, in the order of `lift`, falls into which cell; kept until the calibration changes."""
        return self.pool.association(matrices.arrays(), lambda: self.new_association(matrices))

    def new_association(self, matrices: CameraMatrices) -> Association:
        """The association itself, computed anew."""
        batch, views = matrices.lidar_from_camera.shape[:2]
        cells = cells_of(frustum_in_lidar(self.frustum, matrices), self.grid).transpose(3, 4)  # [B, N, D, W, H, 3]
        height, width = self.feature_size
        pixels = frustum_pixels(batch * views, self.bins, height * width)
        sample = torch.arange(batch).repeat_interleave(cells[0, ..., 0].numel())
        return associate(cells.reshape(-1, 3).numpy(), sample.numpy(), (batch, *self.grid.cells), pixels)

    def splat(self, depth: Tensor, context: Tensor, association: Association) -> Tensor:
        """What `lift` returned -> the BEV map [B, C, X, Y] before `downsample`."""
        return bev_pool(depth, context.reshape(-1, self.channels), association)

    def forward(self, feats: Tensor, matrices: CameraMatrices, depth_image: Tensor | None = None) -> Tensor:
        """feats [B, N, in_channels, H, W], depth_image [B, N, 1, height, width] -> BEV map [B, C, X, Y]."""
        flat = None if depth_image is None else depth_image.flatten(0, 1)
        depth, context = self.lift(feats.flatten(0, 1), flat)
        return self.downsample(self.splat(depth, context, self.associate(matrices)))


class DepthLSSTransform(LSSTransform):
    """The depth-aware transform of the detection model: the network also sees the LiDAR's points as a depth image."""

    uses_points = True

    def _depthnet(self, in_channels: int) -> nn.Module:
        self.dtransform = nn.Sequential(
            nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
            nn.Conv2d(8, 32, 5, stride=4, padding=2), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 5, stride=2, padding=2), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        )  # fmt: skip
        return nn.Sequential(
            *conv_norm_relu(in_channels + 64, in_channels, 3, bias=True),
            *conv_norm_relu(in_channels, in_channels, 3, bias=True),
            nn.Conv2d(in_channels, self.bins + self.channels, 1),
        )

    def lift(self, feats: Tensor, depth_image: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See LSSTransform; without a depth image (no LiDAR) the depth branch sees zeros."""
        if depth_image is None:
            depth_image = feats.new_zeros(len(feats), 1, *self.image_size)
        return super().lift(torch.cat([self.dtransform(depth_image), feats], 1))
