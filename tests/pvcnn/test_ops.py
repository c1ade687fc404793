"""Voxelisation and devoxelisation: answers known by hand, gradients, and numba against plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pvcnn.grid import normalised, point_grid
from models.pvcnn.ops import devoxelise, voxelise
from tests.pvcnn.clouds import cloud, grid_of


def test_normalised_coordinates_by_hand():
    # the mean is (1, 0, 0), the furthest point 1 away: (x - 1) / 2 + 0.5, times 4
    coords = torch.tensor([[[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    found = normalised(coords, 4)
    assert found[0, 0].tolist() == [0.0, 3.0, 2.0]  # 4.0 is clamped to R - 1
    assert found[0, 1].tolist() == [2.0, 2.0, 2.0]
    found = normalised(coords, 4, normalize=False)
    assert found[0, 0].tolist() == [0.0, 3.0, 2.0] and found[0, 2].tolist() == [2.0] * 3


def test_a_cloud_of_one_place_lies_in_the_middle():
    grid = point_grid(torch.full((1, 3, 5), 7.0), 8)
    assert (grid.coords == 4.0).all() and (grid.share == 0.2).all()


def test_voxels_are_means_of_their_points_and_halves_round_to_even():
    # places 0.5, 1.5, 2.5, 1.5 along x average to 1.5; the others to 2 = R / 2 through two pairs
    grid = grid_of([[0.5, 2, 2], [1.5, 2, 2], [2.5, 2, 2], [3.5, 2, 2]], 4)
    assert grid.coords[0, 0].tolist() == [0.5, 1.5, 2.5, 3.0]
    assert (grid.cells[0] // 16).tolist() == [0, 2, 2, 3]  # banker's rounding: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2
    voxels = voxelise(torch.tensor([[[1.0, 2.0, 4.0, 8.0]]], dtype=torch.float64), grid)
    assert voxels.shape == (1, 1, 4, 4, 4)
    assert voxels[0, 0, :, 2, 2].tolist() == [1.0, 0.0, 3.0, 8.0]
    assert voxels.sum() == 12.0


def test_interpolation_by_hand():
    grid = grid_of([[1.25, 2, 2], [2.75, 2, 2.5], [2, 2, 1.5]], 4)
    ramp = torch.arange(4, dtype=torch.float64)
    voxels = torch.zeros(1, 2, 4, 4, 4, dtype=torch.float64)
    voxels[0, 0] = ramp[:, None, None]
    voxels[0, 1] = 10 * ramp[:, None, None] + ramp[None, None, :]
    found = devoxelise(voxels, grid)
    assert torch.allclose(found[0, 0], torch.tensor([1.25, 2.75, 2.0], dtype=torch.float64))
    assert torch.allclose(found[0, 1], torch.tensor([14.5, 30.0, 21.5], dtype=torch.float64))


def test_nothing_beyond_the_last_voxel_is_read():
    grid = point_grid(cloud(3), 5)
    assert int(grid.corners.max()) < grid.voxels and float(grid.weights.min()) >= 0
    assert torch.allclose(grid.weights.sum(2), torch.ones(2, 60, dtype=torch.float64))


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_are_the_derivatives(engine, normalize):
    grid = point_grid(cloud(1, 2, 7), 3, normalize)
    features = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    voxels = torch.randn(2, 5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: voxelise(f, grid, engine), (features,))
    assert torch.autograd.gradcheck(lambda v: devoxelise(v, grid, engine), (voxels,))


@settings(deadline=None, max_examples=25)
@given(
    clouds=st.integers(1, 3),
    channels=st.integers(1, 9),
    points=st.integers(1, 70),
    resolution=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_numba_equals_torch_at_any_size(clouds, channels, points, resolution, seed):
    grid = point_grid(cloud(seed, clouds, points).float(), resolution)
    features = torch.randn(clouds, channels, points, generator=torch.Generator().manual_seed(seed))
    ours, plain = (voxelise(features, grid, engine) for engine in ("numba", "torch"))
    assert torch.allclose(ours, plain, atol=1e-6)
    ours, plain = (devoxelise(plain, grid, engine) for engine in ("numba", "torch"))
    assert torch.allclose(ours, plain, atol=1e-6)


def test_results_do_not_depend_on_the_threads(monkeypatch):
    from models.pvcnn import kernels

    monkeypatch.setattr(kernels, "PARALLEL_FROM", 1)
    grid = point_grid(cloud(5, 3, 501).float(), 6)
    features = torch.randn(3, 8, 501)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        voxels = voxelise(features, grid)
        found.append((voxels, devoxelise(voxels, grid)))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other))


def test_the_order_of_points_does_not_matter():
    coords, features = cloud(6).float(), torch.randn(2, 4, 60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    grid, shuffled = point_grid(coords, 7), point_grid(coords[:, :, order], 7)
    voxels = voxelise(features, grid)
    assert torch.allclose(voxels, voxelise(features[:, :, order], shuffled), atol=1e-6)
    assert torch.allclose(devoxelise(voxels, grid)[:, :, order], devoxelise(voxels, shuffled), atol=1e-5)


@pytest.mark.parametrize(
    "coords, words",
    [
        (torch.zeros(2, 4, 5), "expected float"),
        (torch.zeros(3, 5), "expected float"),
        (torch.zeros(2, 3, 5, dtype=torch.int32), "expected float"),
        (torch.zeros(1, 3, 0), "at least one cloud of one point"),
        (torch.zeros(0, 3, 4), "at least one cloud of one point"),
        (torch.full((1, 3, 4), float("nan")), "4 of 4 points are not finite"),
        (torch.full((1, 3, 4), float("inf")), "not finite"),
    ],
)
def test_what_is_no_cloud_is_refused_in_words(coords, words):
    with pytest.raises(ValueError, match=words):
        point_grid(coords, 4)


def test_wrong_shapes_are_refused_in_words():
    grid = point_grid(cloud(0), 4)
    with pytest.raises(ValueError, match=r"expected \[2, C, 60\]"):
        voxelise(torch.zeros(2, 3, 59), grid)
    with pytest.raises(ValueError, match=r"expected \[2, C, 4, 4, 4\]"):
        devoxelise(torch.zeros(2, 3, 4, 4, 5), grid)
    with pytest.raises(ValueError, match="resolution is 0"):
        point_grid(cloud(0), 0)
    with pytest.raises(ValueError, match="engine 'cuda' is unknown"):
        voxelise(torch.zeros(2, 3, 60), grid, "cuda")
