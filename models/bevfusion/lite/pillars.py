"""Points to a BEV map of pillars: PointPillars' encoder (Lang et al., CVPR 2019), with the age of a point's sweep."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.lite.pillar_kernels import FEATURES, SCALES, describe, encode, pillar_max
from models.bevfusion.pool.association import Grid


class PillarEncoder(nn.Module):
    """A linear layer with batch norm and ReLU on each point, then the greatest value of each pillar.

    grid: x and y in m, one cell in z · channels: of the map.
    """

    def __init__(self, grid: Grid, channels: int):
        super().__init__()
        self.grid, self.channels = grid, channels
        self.linear = nn.Linear(FEATURES, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)

    def forward(self, points: Tensor, sample: Tensor, batch: int) -> Tensor:
        """points float32 [N, 5]: x, y, z (m), intensity (0..255), age (s) · sample int64 [N], rising
        -> [batch, C, X, Y], in memory channels last.

        Points outside the grid are left out; a pillar without points is zero.
        """
        columns, rows, _ = self.grid.cells
        low, high, step = self._bounds()
        cloud = np.ascontiguousarray(points.detach().numpy(), np.float32)
        features, cells = np.empty((len(cloud), FEATURES), np.float32), np.empty(len(cloud), np.int64)
        edges = np.searchsorted(sample.numpy(), np.arange(batch + 1))
        kept = 0
        for b, (first, last) in enumerate(zip(edges[:-1], edges[1:])):
            n = describe(
                cloud[first:last], low, high, step, columns, rows, np.array(SCALES, np.float32), features[kept:],
                cells[kept:],
            )  # fmt: skip
            cells[kept : kept + n] += b * columns * rows
            kept += n
        weight, bias = self._folded(features[:kept])
        found = pillar_max(weight, bias, features[:kept], cells[:kept], batch * columns * rows)
        return found.view(batch, columns, rows, self.channels).permute(0, 3, 1, 2)

    def _folded(self, features: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Linear layer and batch norm as one layer: weight [FEATURES, C], bias [C].

        In training the batch's statistics follow from the features' mean and covariance, since the layer is linear:
        mean(W f) = W mean(f), var(W f) = diag(W cov(f) W^T). No array of points times channels is needed.
        """
        norm, w = self.norm, self.linear.weight
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        if self.training and len(features) > 1:
            centre = features.mean(0, dtype=np.float64)
            covariance = features.T.astype(np.float64) @ features / len(features) - np.outer(centre, centre)
            mean = w @ torch.from_numpy(centre).to(w)
            variance = ((w @ torch.from_numpy(covariance).to(w)) * w).sum(1).clamp(min=0)
            self._follow(mean.detach(), variance.detach() * len(features) / (len(features) - 1))
        gain = norm.weight / torch.sqrt(variance + norm.eps)
        return (w * gain[:, None]).t(), norm.bias - mean * gain

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)

    def _bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
        x, y, z = self.grid.x, self.grid.y, self.grid.z
        return np.array([x[0], y[0], z[0]], np.float32), np.array([x[1], y[1], z[1]], np.float32), np.float32(x[2])

    @torch.no_grad()
    def infer(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """The map of one cloud as float32 [X * Y, C], as `forward` in eval mode, in one pass over the points."""
        weight, bias = (t.contiguous().numpy() for t in self._folded(np.zeros((0, FEATURES), np.float32)))
        columns, rows, _ = self.grid.cells
        low, high, step = self._bounds()
        out = np.zeros((columns * rows, self.channels), np.float32)
        encode(np.ascontiguousarray(points), low, high, step, rows, np.array(SCALES, np.float32), weight, bias, out)
        return out
