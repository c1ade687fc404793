"""PVCNN and PointNet for inference on the CPU, computing only the voxels that points read.

The same numbers as the dense modules up to rounding: models/pvcnn/needed.py says which voxels those are, the sparse
engine (models/sparse/fused) multiplies, batch norms are folded, and what is constant in a cloud is multiplied once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from models.pvcnn.grid import Grids, PointGrid
from models.pvcnn.layers import SLOPE, PointLinear, PVConv, SE3d, SharedMLP
from models.pvcnn.needed import Needed, kinds, needed
from models.pvcnn.networks import PVCNN
from models.sparse import fused, native
from models.sparse.fused import Rows

Array = NDArray[np.float32]


@njit(cache=True, nogil=True)
def _means(rows, point_row, out):
    """out[point_row[n]] becomes the mean of rows[n]; out float32 [O, W] zeroed."""
    counts = np.zeros(len(out), np.int32)
    for n in range(len(rows)):
        counts[point_row[n]] += 1
        target = out[point_row[n]]
        for c in range(rows.shape[1]):
            target[c] += rows[n, c]
    for i in range(len(out)):
        share = np.float32(1.0) / np.float32(counts[i])
        for c in range(rows.shape[1]):
            out[i, c] *= share


@njit(cache=True, nogil=True)
def _leak(rows, slope, less):
    """rows = leaky ReLU of rows, minus `less` [W]; in place."""
    for i in range(len(rows)):
        row = rows[i]
        for c in range(len(row)):
            row[c] = max(row[c], slope * row[c]) - less[c]


@njit(cache=True, nogil=True)
def _add_corners(values, corner_rows, weights, gate, onto):
    """onto[n] += gate * sum over k of weights[n, k] * values[corner_rows[n, k]]; float32 [N, W]."""
    for n in range(len(onto)):
        corner, weight, row = corner_rows[n], weights[n], onto[n]
        v0, v1, v2, v3 = values[corner[0]], values[corner[1]], values[corner[2]], values[corner[3]]
        v4, v5, v6, v7 = values[corner[4]], values[corner[5]], values[corner[6]], values[corner[7]]
        for c in range(len(row)):
            low = weight[0] * v0[c] + weight[1] * v1[c] + weight[2] * v2[c] + weight[3] * v3[c]
            row[c] += gate[c] * (low + weight[4] * v4[c] + weight[5] * v5[c] + weight[6] * v6[c] + weight[7] * v7[c])


def _padded(values: Array) -> Array:
    """float32 [C] with zeros up to the engine's panel."""
    out = np.zeros(-(-len(values) // fused.PANEL) * fused.PANEL, np.float32)
    out[: len(values)] = values
    return out


class _Points:
    """A shared MLP: a list of packed layers."""

    def __init__(self, mlp: SharedMLP):
        self.layers = []
        modules = list(mlp.layers)
        for linear, norm in zip(modules[::3], modules[1::3]):
            assert isinstance(linear, PointLinear) and isinstance(norm, nn.BatchNorm1d)
            kernel, bias = fused.fold(linear.weight[:, :, 0].T, norm, linear.bias)
            self.layers.append(fused.pack([kernel], bias))

    def __call__(self, x: Rows, threads: int) -> Rows:
        for packed in self.layers:
            x = fused.convolve(packed, [(x, None)], len(x), threads=threads)
        return x


class _Voxels:
    """A PVConv: folded convolutions, the constants between them, the gate."""

    def __init__(self, layer: PVConv):
        self.layer, self.point = layer, _Points(layer.point_features)
        modules = list(layer.voxel_layers)
        (first, bias1), (second, bias2) = (self._folded(modules[i], modules[i + 1]) for i in (0, 3))
        self.first = fused.pack([first], bias1)
        self.second = fused.pack([second])
        self.empty = np.maximum(bias1, np.float32(SLOPE) * bias1)  # what the first layer makes of nothing
        self.table = np.zeros((64, len(_padded(bias2))), np.float32)  # what the second makes of that, by border kind
        inside = {0: (1, 2), 1: (0, 1, 2), 2: (0, 1), 3: (1,)}
        for kind in range(64):
            axes = (kind // 16, kind // 4 % 4, kind % 4)
            offsets = [(a * 3 + b) * 3 + c for a in inside[axes[0]] for b in inside[axes[1]] for c in inside[axes[2]]]
            self.table[kind, : len(bias2)] = bias2 + self.empty @ second[offsets].sum(0)
        self.gate: SE3d | None = next((m for m in modules if isinstance(m, SE3d)), None)

    @staticmethod
    def _folded(conv: nn.Module, norm: nn.Module) -> tuple[Array, Array]:
        assert isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)
        kernel = conv.weight.permute(2, 3, 4, 1, 0).flatten(0, 2)  # [27, Cin, Cout]
        return fused.fold(kernel, norm, conv.bias)  # type: ignore[arg-type]

    def __call__(self, x: Rows, grid: PointGrid, cloud: int, plan: Needed, threads: int) -> Rows:
        means = Rows.empty(len(plan.occupied), x.channels, "fp32")
        means.data[...] = 0
        _means(x.data, plan.point_row, means.data)
        hidden = fused.convolve(self.first, [(means, plan.first)], len(plan.near), relu=False, threads=threads)
        _leak(hidden.data, np.float32(SLOPE), _padded(self.empty))
        constant = Rows(np.ascontiguousarray(self.table[plan.kind]), None, hidden.channels)
        found = fused.convolve(
            self.second, [(hidden, plan.second)], len(plan.read), residual=constant, relu=False, threads=threads
        )
        _leak(found.data, np.float32(SLOPE), np.zeros(found.data.shape[1], np.float32))
        out = self.point(x, threads)
        weights = grid.weights[cloud].numpy()
        _add_corners(found.data, plan.corner_rows, weights, self._gate(found, plan, grid.resolution), out.data)
        return out

    def _gate(self, found: Rows, plan: Needed, r: int) -> Array:
        if self.gate is None:
            return np.ones(found.data.shape[1], np.float32)
        rest = np.bincount(kinds(np.arange(r**3, dtype=np.int32), r), minlength=64) - np.bincount(
            plan.kind, minlength=64
        )
        values = np.maximum(self.table, np.float32(SLOPE) * self.table)
        mean = (found.data.sum(0, dtype=np.float64) + rest @ values.astype(np.float64)) / r**3
        mean = torch.from_numpy(mean[: found.channels].astype(np.float32))[None]
        return _padded(self.gate.fc(mean)[0].numpy())


class FrugalNetwork:
    """A PVCNN (or PointNet) of the S3DIS layout in eval mode: points [B, C, N] -> logits [B, classes, N], no gradient.

    Raises ValueError for a network that it does not know; `fits` asks first."""

    def __init__(self, network: nn.Module, threads: int = 1):
        if not self.fits(network):
            raise ValueError(f"{type(network).__name__}: expected a PVCNN of the S3DIS layout with 3x3x3 convolutions")
        assert isinstance(network, PVCNN)
        self.network, self.threads = network.eval(), threads
        with torch.no_grad():
            self.layers = [self._packed(module) for module in network.point_features]
            self._pack_classifier(network.classifier)

    @staticmethod
    def _packed(module: nn.Module) -> _Voxels | _Points:
        if isinstance(module, PVConv):
            return _Voxels(module)
        assert isinstance(module, SharedMLP)
        return _Points(module)

    @staticmethod
    def fits(network: nn.Module) -> bool:
        """Whether this engine runs it."""
        return isinstance(network, PVCNN) and all(
            not isinstance(m, PVConv) or m.kernel_size == 3 for m in network.point_features
        )

    def _pack_classifier(self, classifier: nn.Sequential) -> None:
        mlps = [m for m in classifier if isinstance(m, SharedMLP)]
        last = classifier[-1]
        assert isinstance(last, PointLinear) and isinstance(mlps[0].layers[0], PointLinear)
        linear, norm = mlps[0].layers[0], mlps[0].layers[1]
        kernel, bias = fused.fold(linear.weight[:, :, 0].T, norm, linear.bias)  # type: ignore[arg-type]
        widths = [_width(layer) for layer in self.network.point_features]
        self.narrow, wide = sum(widths[:-1]), sum(widths)
        parts = [kernel[:, : self.narrow], kernel[:, self.narrow : wide]]
        self.head = fused.pack([p for p in parts if p.shape[1]], bias)
        self.head_bias, self.cloud_kernel = bias, kernel[0, wide:]
        self.rest = [_Points(m) for m in mlps[1:]]
        assert last.bias is not None
        self.last = fused.pack([last.weight[:, :, 0].T[None].numpy()], last.bias.numpy())

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs float32 [B, C, N] -> logits float32 [B, classes, N]. ValueError as the network's own."""
        self.network.check(inputs, self.network.in_channels)
        if native.threads() != self.threads:
            native.set_threads(self.threads)
        grids = Grids(inputs[:, :3])
        return torch.stack([self._cloud(inputs[b], grids, b) for b in range(len(inputs))])

    def _cloud(self, points: Tensor, grids: Grids, cloud: int) -> Tensor:
        plans: dict[tuple[Any, ...], Needed] = {}
        x = Rows.of(points.T.numpy())
        found = []
        for layer in self.layers:
            if isinstance(layer, _Voxels):
                key = (layer.layer.resolution, layer.layer.normalize, layer.layer.eps)
                grid, whole = grids.at(*key), layer.gate is not None
                plan = (*key, whole)
                if plan not in plans:
                    plans[plan] = needed(grid, cloud, whole)
                x = layer(x, grid, cloud, plans[plan], self.threads)
            else:
                x = layer(x, self.threads)
            found.append(x)
        whole_cloud = self.network.cloud_features(torch.from_numpy(x.array().max(0))[None])[0].numpy()
        head = replace(self.head, bias=_padded(self.head_bias + whole_cloud @ self.cloud_kernel))
        terms = [Rows.of(np.concatenate([f.array() for f in found[:-1]], 1))] if self.narrow else []
        y = fused.convolve(head, [(t, None) for t in [*terms, x]], len(x), threads=self.threads)
        for layer in self.rest:
            y = layer(y, self.threads)
        logits = fused.convolve(self.last, [(y, None)], len(x), relu=False, threads=self.threads)
        return torch.from_numpy(np.ascontiguousarray(logits.array().T))


def _width(layer: nn.Module) -> int:
    """Output channels of a layer on points."""
    mlp = layer.point_features if isinstance(layer, PVConv) else layer
    assert isinstance(mlp, SharedMLP) and isinstance(mlp.layers[-3], PointLinear)
    return mlp.layers[-3].out_channels
