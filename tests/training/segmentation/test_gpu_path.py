"""The GPU path (maps as tables, one gather and one product per layer), run on the CPU against the pair-wise engine."""

import numpy as np
import pytest
import torch

from models.sparse import Level, SparseTensor, build_maps, torch_backend
from models.spvcnn.spvcnn import SPVCNN, PointView
from tests.training.street import street
from training.segmentation.device_maps import build_levels, points_at
from training.segmentation.sweep_buffer import collate, compact

NARROW = (4, 4, 6, 8, 8, 8, 6, 4, 4)


@pytest.fixture
def by_tables(monkeypatch):
    """Makes the engine take on the CPU the branches it takes on CUDA."""

    def convolve(x, weight, kernel_map):
        return torch_backend._by_table(x, weight, kernel_map.table("cpu"))

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, feats, weight, kernel_map):
            ctx.kernel_map = kernel_map
            ctx.save_for_backward(feats, weight)
            return convolve(feats, weight, kernel_map)

        @staticmethod
        def backward(ctx, grad):
            feats, weight = ctx.saved_tensors
            table = ctx.kernel_map.table("cpu")
            back = torch_backend._by_table(
                grad, weight.transpose(1, 2).contiguous(), ctx.kernel_map.table("cpu", by_input=True)
            )
            padded = torch.cat((feats, feats.new_zeros(1, feats.shape[1])))
            gathered = padded.index_select(0, table.reshape(-1)).view(len(table), -1)
            return back, (gathered.t() @ grad).view(ctx.kernel_map.volume, feats.shape[1], -1), None

    monkeypatch.setattr(torch_backend, "_Convolution", Function)
    monkeypatch.setenv("PERCEPTION_SPARSE_BACKEND", "torch")  # the compiled engine knows no tables


def gradients(network, x, view):
    network.zero_grad()
    out = network(x, view)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return out.detach(), {k: p.grad.clone() for k, p in network.named_parameters()}


def test_outputs_and_gradients_are_those_of_the_pairwise_engine(by_tables, monkeypatch):
    points = collate([compact(street(s, 1200), torch.device("cpu")) for s in (0, 1)])
    cells = torch.floor(points.xyz / 0.2).long()
    coords = torch.unique(torch.cat((cells, points.batch[:, None]), 1), dim=0).int().numpy()
    level = Level.from_keys(Level(coords).keys, (1, 1, 1))  # rows in the order of the keys, as the trainer has them
    coords, keys = level.coords, torch.from_numpy(level.keys)
    torch.manual_seed(0)
    network = SPVCNN(5, NARROW, dropout=0.0).train()
    feats = torch.randn(len(level), 4)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    levels = build_levels(keys)
    ours, ours_grad = gradients(network, SparseTensor(feats, level=levels[0]), PointView(points_at(levels), True))
    monkeypatch.undo()
    network.load_state_dict(state)
    maps = build_maps(level, points=coords[:, :3], point_batch=coords[:, 3], point_strides=(4, 16),
                      point_voxel=np.arange(len(coords), dtype=np.int32))  # fmt: skip
    expected, expected_grad = gradients(network, SparseTensor(feats, level=level), PointView(maps.points, True))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    for key, grad in expected_grad.items():
        noise = 2e-3 * max(float(grad.abs().max()), 1.0)  # a bias before a batch norm has no gradient but rounding
        torch.testing.assert_close(ours_grad[key], grad, rtol=2e-3, atol=noise, msg=key)
