"""Maps of a U-Net: shipped as arrays and restored they give the same numbers; points meet voxels where arithmetic
says.
"""

import numpy as np
import torch

from models.sparse import MapSet, SparseTensor, build_maps, conv3d, devoxelize, point_to_voxel, voxelize

from .clouds import cloud, sweep


def test_maps_survive_the_trip_as_arrays() -> None:
    xyz = sweep(0, 3000)
    voxels = voxelize(xyz, 0.2)
    maps = build_maps(voxels.coords, points=xyz / 0.2, point_voxel=voxels.inverse)
    again = MapSet.from_arrays(maps.arrays())
    feats = torch.randn(len(voxels.coords), 3)
    kernel, down, up = torch.randn(27, 3, 4), torch.randn(8, 4, 5), torch.randn(8, 5, 2)
    results = []
    for m in (maps, again):
        x = conv3d(SparseTensor(feats, level=m.levels[0]), kernel, 3)
        y = conv3d(conv3d(x, down, 2, 2), up, 2, 2, transposed=True)
        results.append(devoxelize(y, m.points[1]))
    assert torch.equal(*results)


def test_known_and_searched_point_voxels_agree() -> None:
    xyz = sweep(1, 2000)
    voxels = voxelize(xyz, 0.1)
    known = build_maps(voxels.coords, points=xyz * np.float32(10), point_voxel=voxels.inverse)
    searched = build_maps(voxels.coords, points=xyz * np.float32(10))
    for stride, points in known.points.items():
        assert np.array_equal(points.voxel, searched.points[stride].voxel)
        np.testing.assert_allclose(points.weights, searched.points[stride].weights, atol=1e-6)


def test_trilinear_weights_by_brute_force() -> None:
    coords = cloud(2)
    rng = np.random.default_rng(0)
    points = rng.uniform(-4, 4, (60, 3)).astype(np.float32)
    batch = rng.integers(0, 2, 60)
    maps = build_maps(coords, points=points, point_batch=batch, point_strides=(1, 2))
    for i, stride in enumerate((1, 2)):
        level = maps.levels[i]
        rows = {tuple(c): r for r, c in enumerate(level.coords.tolist())}
        feats = rng.normal(size=(len(level), 3)).astype(np.float32)
        got = devoxelize(SparseTensor(torch.from_numpy(feats), level=level), maps.points[stride]).numpy()
        for p in range(60):
            base = np.floor(points[p] / stride) * stride
            total, expected = 0.0, np.zeros(3)
            for corner in np.ndindex(2, 2, 2):
                at = base + np.array(corner) * stride
                weight = np.prod(1 - abs(points[p] - at) / stride)
                row = rows.get((*at.astype(int).tolist(), int(batch[p])))
                if row is not None:
                    total, expected = total + weight, expected + weight * feats[row]
            np.testing.assert_allclose(got[p], expected / (total + 1e-8), atol=1e-5)


def test_point_to_voxel_is_the_mean_and_leaves_strangers_out() -> None:
    coords = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [5, 5, 5, 0]], np.int32)
    points = np.array([[0.2, 0.1, 0.9], [0.8, 0.0, 0.0], [1.5, 0.5, 0.5], [9, 9, 9]], np.float32)
    maps = build_maps(coords, depth=0, points=points, point_strides=(1,))
    feats = torch.tensor([[1.0], [3.0], [7.0], [100.0]])
    assert point_to_voxel(feats, maps.points[1], maps.levels[0]).feats.tolist() == [[2.0], [7.0], [0.0]]


def test_points_at_voxel_coordinates_read_their_voxel() -> None:
    coords = cloud(3)
    maps = build_maps(coords, points=coords[:, :3], point_batch=coords[:, 3])
    feats = torch.randn(len(coords), 2)
    assert torch.allclose(devoxelize(SparseTensor(feats, level=maps.levels[0]), maps.points[1]), feats, atol=1e-6)
