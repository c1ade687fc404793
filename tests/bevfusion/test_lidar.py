"""Voxelisation, sweeps and the sparse encoder against dense convolutions and answers known by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.bevfusion.fused_encoder import FusedSparseEncoder
from models.bevfusion.sparse_encoder import SparseEncoder
from models.bevfusion.sparse_maps import Stride, encoder_maps, strided
from models.bevfusion.sweeps import Sweep, accumulate
from models.bevfusion.voxelise import VoxelGrid, voxelise
from models.sparse import Level

GRID = VoxelGrid((0.0, 0.0, 0.0, 4.0, 3.0, 2.0), (1.0, 1.0, 1.0), max_points=2, max_voxels=3)


def test_a_voxel_is_the_mean_of_its_first_points_in_the_order_they_come():
    points = np.array(
        [
            [3.5, 0.5, 0.5, 1.0],
            [0.1, 2.9, 1.9, 5.0],
            [3.9, 0.1, 0.1, 3.0],
            [3.0, 0.0, 0.0, 100.0],  # third point of its voxel: left out
            [4.0, 0.0, 0.0, 1.0],  # outside
            [-0.1, 0.0, 0.0, 1.0],  # outside
            [np.nan, 0.0, 0.0, 1.0],
            [1.0, 1.0, 1.0, 7.0],
            [2.0, 2.0, 0.0, 9.0],  # a fourth voxel: left out
            [1.2, 1.2, 1.2, 9.0],  # but its known voxels still fill
        ],
        np.float32,
    )
    means, coords = voxelise(points, GRID)
    assert coords.tolist() == [[3, 0, 0], [0, 2, 1], [1, 1, 1]]
    np.testing.assert_allclose(means[:, 3], [2.0, 5.0, 8.0])
    np.testing.assert_allclose(means[0, :3], [3.7, 0.3, 0.3], rtol=1e-6)


def test_no_points_give_no_voxels():
    means, coords = voxelise(np.zeros((0, 5), np.float32), GRID)
    assert means.shape == (0, 5) and coords.shape == (0, 3)


def test_the_released_grids_have_the_published_sizes():
    detection = VoxelGrid((-54.0, -54.0, -5.0, 54.0, 54.0, 3.0), (0.075, 0.075, 0.2))
    segmentation = VoxelGrid((-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), (0.1, 0.1, 0.2))
    assert detection.shape == (1440, 1440, 40) and segmentation.shape == (1024, 1024, 40)


def test_sweeps_are_moved_aged_and_freed_of_the_roof():
    now = np.array([[0.2, 0.3, 0.0, 10.0], [5.0, 0.0, 0.0, 20.0]], np.float32)
    old = np.array([[0.5, 0.5, 0.0, 1.0], [0.5, 4.0, 1.0, 2.0]], np.float32)
    moved = np.eye(4)
    moved[:2, :2], moved[:3, 3] = [[0, -1], [1, 0]], [1.0, 0.0, 0.5]  # a quarter turn to the left, then ahead
    cloud = accumulate(now, 10.0, [Sweep(old, 9.95, moved)])
    assert cloud.dtype == np.float32 and cloud.shape == (3, 5)
    np.testing.assert_allclose(cloud[:2], [[0.2, 0.3, 0, 10, 0], [5, 0, 0, 20, 0]], rtol=1e-6)
    np.testing.assert_allclose(cloud[2], [-3.0, 0.5, 1.5, 2.0, 0.05], atol=1e-5)


def test_without_a_past_the_sweep_is_repeated_and_of_a_long_one_the_newest_nine_are_taken():
    now = np.array([[0.2, 0.3, 0.0, 10.0], [5.0, 0.0, 0.0, 20.0]], np.float32)
    assert len(accumulate(now, 0.0, [])) == 2 + 9
    past = [Sweep(now, 10.0 - 0.05 * i, np.eye(4)) for i in range(1, 13)]
    ages = np.unique(accumulate(now, 10.0, past)[:, 4])
    np.testing.assert_allclose(ages, np.arange(10) * 0.05, atol=1e-6)


def cloud(shape, count, seed=0):
    rng = np.random.default_rng(seed)
    flat = np.sort(rng.choice(int(np.prod(shape)), count, replace=False))
    return np.column_stack([*np.unravel_index(flat, shape), np.zeros(count)]).astype(np.int32)


@pytest.mark.parametrize(
    "conv", [Stride(), Stride(padding=(1, 1, 0)), Stride((1, 1, 3), (1, 1, 2), (0, 0, 0))], ids=["k3", "k3_z0", "out"]
)
def test_a_strided_convolution_equals_the_dense_one_and_activates_what_its_windows_reach(conv):
    shape, rng = (7, 9, 6), np.random.default_rng(1)
    coords = cloud(shape, 25)
    feats = rng.standard_normal((25, 2)).astype(np.float32)
    weight = torch.from_numpy(rng.standard_normal((*conv.kernel, 2, 3)).astype(np.float32))
    level, found = strided(Level(coords), shape, conv, 1)
    kernel = weight.permute(2, 1, 0, 3, 4).flatten(0, 2)
    out = torch.zeros(len(level), 3)
    for k in range(found.volume):
        ins, outs = found.pairs[:, found.starts[k] : found.starts[k + 1]]
        assert (np.diff(outs) > 0).all()
        out[outs] += torch.from_numpy(feats)[ins] @ kernel[k]

    grid, active = torch.zeros(1, 2, *shape), torch.zeros(1, 1, *shape)
    x, y, z = coords[:, :3].T
    grid[0, :, x, y, z], active[0, 0, x, y, z] = torch.from_numpy(feats).T, 1
    dense = F.conv3d(grid, weight.permute(4, 3, 0, 1, 2), stride=conv.stride, padding=conv.padding)[0]
    reached = F.conv3d(active, torch.ones(1, 1, *conv.kernel), stride=conv.stride, padding=conv.padding)[0, 0]
    assert tuple(dense.shape[1:]) == conv.shape_of(shape)
    assert level.coords[:, :3].tolist() == torch.argwhere(reached > 0).tolist()
    x, y, z = level.coords[:, :3].T
    torch.testing.assert_close(out, dense[:, x, y, z].T, rtol=1e-4, atol=1e-5)


def small_encoder():
    torch.manual_seed(0)
    network = SparseEncoder(5, (16, 24, 41), 8, ((8, 8, 16), (16, 16, 16), (16, 16, 16), (16, 16)), base_channels=8)
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d)):
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
    return network.eval()


def test_the_encoder_takes_voxels_in_any_order_and_batches_are_independent():
    network, rng = small_encoder(), np.random.default_rng(0)
    coords = cloud((16, 24, 40), 300)
    feats = torch.from_numpy(rng.standard_normal((300, 5)).astype(np.float32))
    with torch.inference_mode():
        alone = network(feats, network.maps(coords))
        order = rng.permutation(300)
        shuffled = network(feats[order], network.maps(coords[order]))
        second = coords + np.array([0, 0, 0, 1], np.int32)
        both = network(torch.cat([feats, feats]), network.maps(np.concatenate([coords, second]), 2))
    assert alone.shape == (1, 16, 2, 3)
    torch.testing.assert_close(shuffled, alone)
    torch.testing.assert_close(both, torch.cat([alone, alone]))


@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-4), ("int16", 5e-3)])
def test_the_fused_engine_agrees_with_the_modules_on_any_number_of_threads(precision, tolerance):
    network, rng = small_encoder(), np.random.default_rng(3)
    coords = cloud((16, 24, 40), 400, 3)
    feats = rng.standard_normal((400, 5)).astype(np.float32)
    maps = network.maps(coords)
    with torch.inference_mode():
        expected = network(torch.from_numpy(feats), maps)
    found = [FusedSparseEncoder(network, precision, threads)(feats, maps) for threads in (1, 2)]
    assert torch.equal(*found)
    assert (found[0] - expected).abs().max() <= tolerance * expected.abs().max()


def test_the_encoder_learns_through_the_compiled_engine():
    network = small_encoder()
    coords = cloud((16, 24, 40), 50)
    network(torch.randn(50, 5), network.maps(coords)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_voxels_outside_the_grid_are_refused():
    with pytest.raises(ValueError, match="expected within"):
        encoder_maps(np.array([[16, 0, 0, 0]]), (16, 24, 41), [Stride()], 1)
