"""Points to a BEV map of pillars: PointPillars' encoder (Lang et al., CVPR 2019), with the age of a point's sweep."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.pool.association import Grid

SCALES = (1 / 50, 1 / 50, 1 / 3, 1 / 255, 10.0)  # of x, y, z, intensity, age
FEATURES = 9  # x, y, z, intensity, age, and offsets: x, y from the cell's centre, x, y from the pillar's mean


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
        """points float32 [N, 5]: x, y, z (m), intensity (0..255), age (s) · sample int64 [N] -> [batch, C, X, Y].

        Points outside the grid are left out; a pillar without points is zero.
        """
        (x, x_high, step), (y, y_high, _), (z, z_high, _) = self.grid.x, self.grid.y, self.grid.z
        low, high = points.new_tensor([x, y, z]), points.new_tensor([x_high, y_high, z_high])
        inside = ((points[:, :3] >= low) & (points[:, :3] < high)).all(1)
        points, sample = points[inside], sample[inside]
        columns, rows, _ = self.grid.cells
        place = ((points[:, :2] - low[:2]) / step).long().clamp_(min=0)
        place = torch.minimum(place, place.new_tensor([columns - 1, rows - 1]))
        cell = (sample * columns + place[:, 0]) * rows + place[:, 1]
        out = points.new_zeros(batch * columns * rows, self.channels)
        if len(points):
            features = self._features(points, cell, place, low, step, len(out))
            found = torch.relu(self.norm(self.linear(features)))
            out = out.scatter_reduce(0, cell[:, None].expand_as(found), found, "amax")  # not below zero after ReLU
        return out.view(batch, columns, rows, self.channels).permute(0, 3, 1, 2)

    @staticmethod
    def _features(points: Tensor, cell: Tensor, place: Tensor, low: Tensor, step: float, cells: int) -> Tensor:
        """[N, FEATURES], each about of size 1."""
        count = points.new_zeros(cells).index_add_(0, cell, torch.ones_like(points[:, 0]))
        mean = points.new_zeros(cells, 2).index_add_(0, cell, points[:, :2])[cell] / count[cell, None]
        centre = low[:2] + (place + 0.5) * step
        scaled = points * points.new_tensor(SCALES)
        return torch.cat([scaled, (points[:, :2] - centre) / step, (points[:, :2] - mean) / step], 1)

    @torch.no_grad()
    def infer(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """The map of one cloud as float32 [X * Y, C], as `forward` in eval mode, in one pass over the points."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        gain = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        weight = (self.linear.weight * gain[:, None]).t().contiguous().numpy()
        bias = (self.norm.bias - mean * gain).numpy()
        columns, rows, _ = self.grid.cells
        low = np.array([self.grid.x[0], self.grid.y[0], self.grid.z[0]], np.float32)
        high = np.array([self.grid.x[1], self.grid.y[1], self.grid.z[1]], np.float32)
        out = np.zeros((columns * rows, self.channels), np.float32)
        scales = np.array(SCALES, np.float32)
        _encode(np.ascontiguousarray(points), low, high, np.float32(self.grid.x[2]), rows, scales, weight, bias, out)
        return out


@njit(cache=True, nogil=True)
def _encode(points, low, high, step, rows, scales, weight, bias, out):
    """out [cells, C] gets the greatest ReLU(features @ weight + bias) of each cell's points."""
    cells = np.full(len(points), -1, np.int64)
    sums = np.zeros((len(out), 2), np.float32)
    counts = np.zeros(len(out), np.int32)
    columns = len(out) // rows
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if x >= low[0] and x < high[0] and y >= low[1] and y < high[1] and z >= low[2] and z < high[2]:
            column = min(int((x - low[0]) / step), columns - 1)
            row = min(int((y - low[1]) / step), rows - 1)
            cell = column * rows + row
            cells[i] = cell
            sums[cell, 0] += x
            sums[cell, 1] += y
            counts[cell] += 1
    features = np.empty(9, np.float32)
    total = np.empty(len(bias), np.float32)
    for i in range(len(points)):
        cell = cells[i]
        if cell < 0:
            continue
        for c in range(5):
            features[c] = points[i, c] * scales[c]
        features[5] = (points[i, 0] - (low[0] + (cell // rows + np.float32(0.5)) * step)) / step
        features[6] = (points[i, 1] - (low[1] + (cell % rows + np.float32(0.5)) * step)) / step
        features[7] = (points[i, 0] - sums[cell, 0] / counts[cell]) / step
        features[8] = (points[i, 1] - sums[cell, 1] / counts[cell]) / step
        total[:] = bias
        for f in range(9):
            value = features[f]
            for c in range(len(total)):
                total[c] += value * weight[f, c]
        for c in range(len(total)):
            if total[c] > out[cell, c]:
                out[cell, c] = total[c]
