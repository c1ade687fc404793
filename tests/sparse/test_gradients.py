"""Gradients of the torch engine."""

import pytest
import torch

from models.sparse import SparseTensor, build_maps, conv3d, devoxelize, point_to_voxel

from .clouds import cloud


@pytest.mark.parametrize("layer", ["same", "down", "up", "odd"])
def test_convolution_gradients_are_right(layer: str) -> None:
    torch.manual_seed(0)
    coords = cloud(1, voxels=25, extent=4)
    maps = build_maps(coords, depth=1)
    level = maps.levels[1] if layer == "up" else maps.levels[0]
    volume, size, stride = {"same": (27, 3, 1), "down": (8, 2, 2), "up": (8, 2, 2), "odd": (27, 3, 2)}[layer]
    feats = torch.randn(len(level), 2, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(volume, 2, 3, dtype=torch.float64, requires_grad=True)

    def run(f: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return conv3d(SparseTensor(f, level=level), k, size, stride, transposed=layer == "up").feats

    assert torch.autograd.gradcheck(run, (feats, kernel))


def test_point_operations_have_right_gradients() -> None:
    coords = cloud(2, voxels=25, extent=4)
    points = torch.rand(30, 3).numpy() * 4 - 3
    maps = build_maps(coords, depth=1, points=points, point_strides=(1, 2))
    feats = torch.randn(len(maps.levels[1]), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f: devoxelize(SparseTensor(f, level=maps.levels[1]), maps.points[2]), (feats,)
    )
    at_points = torch.randn(30, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: point_to_voxel(f, maps.points[1], maps.levels[0]).feats, (at_points,))
