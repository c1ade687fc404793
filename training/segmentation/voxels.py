"""From augmented points to what a network takes: sparse tensor, voxel labels, the point branch's maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.sparse import Level, SparseTensor, build_maps
from models.spvcnn.features import voxel_features
from models.spvcnn.presets import NetworkSpec
from models.spvcnn.spvcnn import PointView
from perception_nodes.classes import IGNORE
from training.segmentation.augment import PointBatch
from training.segmentation.device_maps import build_levels, pack, points_at


@dataclass
class VoxelBatch:
    """x: features on voxels · labels int64 [N], the most frequent class of a voxel's points (IGNORE where none) · view:
    maps of the point branch · inverse int64 [P]: the voxel of every point · batch int64 [N]."""

    x: SparseTensor
    labels: Tensor
    view: PointView
    inverse: Tensor
    batch: Tensor


def in_range(p: PointBatch, spec: NetworkSpec) -> PointBatch:
    """Only the points inside the network's range."""
    if spec.point_range is None:
        return p
    low, high = (torch.tensor(spec.point_range[a : a + 3], device=p.xyz.device) for a in (0, 3))
    return p.keep(((p.xyz >= low) & (p.xyz < high)).all(1))


def voxel_batch(p: PointBatch, spec: NetworkSpec) -> VoxelBatch:
    """Voxels, features, labels and every kernel map of a batch; on CUDA all of it is computed there."""
    cells = torch.floor(p.xyz * (1.0 / spec.voxel_size)).long()
    keys, inverse, counts = torch.unique(pack(cells, p.batch), return_inverse=True, return_counts=True)
    n = len(keys)
    values = torch.cat((p.xyz, p.intensity[:, None]), 1)
    means = values.new_zeros(n, 4).index_add_(0, inverse, values) / counts[:, None]
    first = torch.zeros(n, dtype=torch.long, device=keys.device).scatter_(
        0, inverse, torch.arange(len(inverse), device=keys.device)
    )
    batch = p.batch[first]
    feats = voxel_features(
        spec.features, means, cells[first].float(), counts.float(), p.known[batch], spec.voxel_size, torch
    )  # fmt: skip
    labels = majority(p.label, inverse, n, spec.num_classes)
    if keys.is_cuda:
        levels = build_levels(keys)
        view = PointView(points_at(levels), True)
        return VoxelBatch(SparseTensor(feats, level=levels[0]), labels, view, inverse, batch)
    level = Level.from_keys(keys.numpy(), (1, 1, 1))
    maps = build_maps(level, points=level.coords[:, :3], point_batch=level.coords[:, 3], point_strides=(4, 16),
                      point_voxel=torch.arange(n, dtype=torch.int32).numpy())  # fmt: skip
    return VoxelBatch(SparseTensor(feats, level=level), labels, PointView(maps.points, True), inverse, batch)


def majority(labels: Tensor, inverse: Tensor, voxels: int, classes: int) -> Tensor:
    """The most frequent class among a voxel's labelled points, int64 [voxels]; IGNORE where no point has one."""
    valid = labels != IGNORE
    votes = torch.bincount(inverse[valid] * classes + labels[valid], minlength=voxels * classes).view(voxels, classes)
    most, winner = votes.max(1)
    return torch.where(most > 0, winner, torch.full_like(winner, IGNORE))
