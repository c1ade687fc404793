"""BEV pooling: its sums, its gradients, its independence of threads, and when an association is built."""

import numpy as np
import pytest
import torch

from models.bevfusion.pool import BevPool, Grid, associate, bev_pool, pool_points
from models.bevfusion.pool.association import frustum_pixels

VIEWS, DEPTHS, PIXELS, CHANNELS = 2, 7, 30, 5
SHAPE = (2, 6, 4, 2)


def scene(seed=0):
    """Random frustum points of two views, each in a batch of its own; some lie outside the grid."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(-1, np.array(SHAPE[1:]) + 1, (VIEWS * DEPTHS * PIXELS, 3))
    batch = np.repeat(np.arange(VIEWS), DEPTHS * PIXELS)
    association = associate(cells, batch, SHAPE, frustum_pixels(VIEWS, DEPTHS, PIXELS))
    depth = torch.from_numpy(rng.random((VIEWS, DEPTHS, PIXELS), np.float32)).requires_grad_()
    feats = torch.from_numpy(rng.standard_normal((VIEWS * PIXELS, CHANNELS), np.float32)).requires_grad_()
    return cells, batch, association, depth, feats


def outer_product_sum(cells, batch, depth, feats):
    """The definition: build depth x feature for every frustum point, add each to its cell."""
    lifted = depth[..., None] * feats.view(VIEWS, 1, PIXELS, CHANNELS)  # [views, depths, pixels, C]
    inside = torch.from_numpy(((cells >= 0) & (cells < np.array(SHAPE[1:]))).all(1))
    out = torch.zeros(*SHAPE, CHANNELS)
    place = [torch.from_numpy(v)[inside] for v in (batch, *cells.T)]
    out = out.index_put(tuple(place), lifted.reshape(-1, CHANNELS)[inside], accumulate=True)
    return out.permute(0, 3, 4, 1, 2).reshape(SHAPE[0], -1, *SHAPE[1:3])  # channel z * C + c


def test_the_result_is_the_sum_of_the_outer_product():
    cells, batch, association, depth, feats = scene()
    found = bev_pool(depth, feats, association)
    assert found.shape == (2, 2 * CHANNELS, 6, 4)
    torch.testing.assert_close(found, outer_product_sum(cells, batch, depth, feats), rtol=1e-5, atol=1e-5)


def test_the_gradients_are_those_of_the_outer_product():
    cells, batch, association, depth, feats = scene(1)
    weight = torch.randn(2, 2 * CHANNELS, 6, 4, generator=torch.Generator().manual_seed(0))
    mine = torch.autograd.grad((bev_pool(depth, feats, association) * weight).sum(), (depth, feats))
    theirs = torch.autograd.grad((outer_product_sum(cells, batch, depth, feats) * weight).sum(), (depth, feats))
    for a, b in zip(mine, theirs):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(0)
    points = 30_000
    cells = rng.integers(0, (20, 20, 1), (points, 3))
    association = associate(cells, 0, (1, 20, 20, 1), rng.integers(0, 500, points).astype(np.int32))
    depth = torch.from_numpy(rng.random(points, np.float32)).requires_grad_()
    feats = torch.from_numpy(rng.standard_normal((500, 80), np.float32)).requires_grad_()
    results = []
    for threads in (1, 2, 5):
        y = bev_pool(depth, feats, association, threads)
        results.append((y.detach(), *torch.autograd.grad(y.square().sum(), (depth, feats))))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def test_a_changed_calibration_rebuilds_the_association_and_nothing_else_does():
    pool, made = BevPool(), scene()[2]
    matrix = np.eye(4, dtype=np.float32)[None]
    kept = [pool.association((matrix.copy(), np.float32([1, 2])), lambda: made) for _ in range(3)]
    assert pool.builds == 1 and all(k is made for k in kept)
    moved = matrix.copy()
    moved[0, 0, 3] = 1e-6
    pool.association((moved, np.float32([1, 2])), lambda: made)
    assert pool.builds == 2
    pool.association((moved, np.float32([1, 2])), lambda: made)
    assert pool.builds == 2


def test_an_empty_grid_is_all_zeros():
    association = associate(np.full((4, 3), -1), 0, (1, 3, 2, 1))
    assert not bev_pool(torch.ones(4), torch.ones(4, 2), association).any()


def test_points_add_up_in_their_cell():
    coords = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [9, 0, 0, 0]])
    y = pool_points(torch.tensor([[1.0], [2.0], [4.0], [8.0]]), coords, 1, 2, 3, 2)
    assert y.shape == (1, 1, 2, 3, 2)
    assert y[0, 0, 0, 0, 1] == 3 and y[0, 0, 1, 2, 0] == 4 and y.sum() == 7


def test_arrays_of_another_association_are_refused():
    association = scene()[2]
    with pytest.raises(ValueError, match="association was made for"):
        bev_pool(torch.ones(3), torch.ones(60, 2), association)


def test_a_grid_counts_its_cells_as_the_released_checkpoints_do():
    grid = Grid((-54.0, 54.0, 0.3), (-51.2, 51.2, 0.4), (-10.0, 10.0, 20.0))
    assert grid.cells == (360, 256, 1)
    np.testing.assert_allclose(grid.first, [-53.85, -51.0, 0.0])
