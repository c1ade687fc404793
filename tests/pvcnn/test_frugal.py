"""Computing only the voxels that are read gives what computing all of them gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pvcnn.frugal import FrugalNetwork
from models.pvcnn.grid import point_grid
from models.pvcnn.needed import needed
from models.pvcnn.networks import PVCNN, Block, ShapePVCNN, pointnet
from models.pvcnn.session import PointSession


def settled(network, seed):
    """The network with statistics as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm3d)):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(0.4 * torch.randn(tensor.shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
    return network.eval()


@settings(deadline=None, max_examples=12)
@given(
    resolution=st.integers(1, 9),
    points=st.integers(1, 50),
    with_se=st.booleans(),
    normalize=st.booleans(),
    flat=st.booleans(),
    seed=st.integers(0, 100),
)
def test_frugal_equals_dense(resolution, points, with_se, normalize, flat, seed):
    torch.manual_seed(seed)
    plan = (Block(24, 1, resolution), Block(16, 2, 5), Block(40, 1, None))
    network = PVCNN(6, 2, 0.5, with_se=with_se, normalize=normalize, plan=plan)
    settled(network, seed)
    x = torch.randn(2, 5, points)
    if flat:
        x[:, 2] = 0.3
    with torch.inference_mode():
        dense = network(x)
    frugal = FrugalNetwork(network)(x)
    assert torch.allclose(dense, frugal, atol=2e-5 * float(dense.abs().max()))


def test_results_do_not_depend_on_the_threads():
    network = settled(PVCNN(5, 1, 0.25, 0.5), 1)
    x = torch.randn(1, 4, 700)
    assert torch.equal(FrugalNetwork(network, 1)(x), FrugalNetwork(network, 2)(x))


def test_a_network_without_voxels_fits_too():
    network = settled(pointnet(5, 1, 0.125), 2)
    x = torch.randn(2, 4, 33)
    with torch.inference_mode():
        dense = network(x)
    assert torch.allclose(dense, FrugalNetwork(network)(x), atol=2e-5 * float(dense.abs().max()))


def test_without_the_extension_it_is_the_same(monkeypatch):
    from models.sparse import native

    network = settled(PVCNN(5, 1, 0.125, 0.5), 3)
    x = torch.randn(1, 4, 60)
    compiled = FrugalNetwork(network)(x)
    monkeypatch.setattr(native, "library", lambda: None)
    assert torch.allclose(compiled, FrugalNetwork(network)(x), atol=2e-5 * float(compiled.abs().max()))


def test_one_point_needs_its_neighbourhood_only():
    coords = torch.tensor([[[1.0], [2.0], [3.0]]])
    found = needed(point_grid(coords, 8), 0, whole=False)  # the middle, (4, 4, 4)
    assert found.occupied.tolist() == [(4 * 8 + 4) * 8 + 4]
    assert len(found.near) == 27 and len(found.read) == 1
    assert len(found.first) == 27 and len(found.second) == 27
    assert found.corner_rows.tolist() == [[0] * 8]
    assert len(needed(point_grid(coords, 8), 0, whole=True).read) == 125


def test_networks_that_do_not_fit_are_refused_and_run_dense():
    network = ShapePVCNN(5, 3, 1, 0.125, 0.25)
    assert not FrugalNetwork.fits(network)
    with pytest.raises(ValueError, match="expected a PVCNN of the S3DIS layout"):
        FrugalNetwork(network)
    assert PointSession.from_weights("random:voxel-lite", threads=1).engine.startswith("dense")


def test_a_session_labels_alike_with_either_engine():
    rng = np.random.default_rng(0)
    xyz = rng.uniform((-6, -6, -2), (6, 6, 3), (300, 3)).astype(np.float32)
    intensity = rng.random(300).astype(np.float32)
    found = [
        PointSession.from_weights("random:pvcnn-lite", 300, 1, e).step(xyz, intensity) for e in ("frugal", "dense")
    ]
    assert (found[0].label == found[1].label).mean() > 0.995
    assert np.abs(found[0].score - found[1].score).max() < 1e-4
