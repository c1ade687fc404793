"""MinkUNet and SPVCNN: official key layout, known answers, strict loading."""

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.official import channels_of
from models.sparse import Level, SparseTensor, voxelize
from models.spvcnn.build import build_network, facts_of, preset_facts
from models.spvcnn.macs import gmacs, macs_by_part
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.presets import PRESETS, NetworkSpec, scaled
from models.spvcnn.spvcnn import SPVCNN
from models.state import load_weights
from tests.parity.__main__ import SYSTEMS, compare
from tests.parity.vectors import load_vector

NARROW = (4, 4, 6, 8, 8, 8, 6, 4, 4)


def cloud(seed=0, count=300, reach=12, channels=4) -> SparseTensor:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(-reach, reach, (count, 3)), axis=0)
    coords = np.c_[coords, np.zeros(len(coords))].astype(np.int32)
    return SparseTensor(torch.from_numpy(rng.normal(size=(len(coords), channels)).astype(np.float32)), coords)


def test_widths_scale_as_released():
    assert scaled(0.5) == (16, 16, 32, 64, 128, 128, 64, 48, 48)
    assert scaled(0.64) == (20, 20, 40, 81, 163, 163, 81, 61, 61)


@pytest.mark.parametrize("cr, millions", [(0.5, 5.449), (0.64, 8.794), (1.0, 21.778)])
def test_parameters_number_as_published(cr, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in SPVCNN(19, scaled(cr)).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.002)


@pytest.mark.parametrize("name", ["minkunet_cr0.5", "spvcnn_cr0.5"])
def test_keys_and_shapes_are_the_official_ones(shared, name):
    vector = load_vector(shared / "parity" / f"{name}.npz")
    make = SPVCNN if vector.system == "SPVCNN" else MinkUNet
    own = {k: list(v.shape) for k, v in make(19, scaled(0.5)).state_dict().items()}
    assert own == {key: shape for key, shape, _, _ in vector.meta["state"]}


@pytest.mark.parametrize("name", ["sparse_conv_layers_4_8", "minkunet_cr0.5", "spvcnn_cr0.5"])
def test_recorded_reference_outputs_are_met(shared, name):
    import importlib

    vector = load_vector(shared / "parity" / f"{name}.npz")
    module, function = SYSTEMS[vector.system]
    worst, missing = compare(vector, getattr(importlib.import_module(module), function)(vector))
    assert not missing and worst < vector.meta["rtol"]


def test_coarser_voxels_than_points_keep_one_row_per_point():
    x = cloud()
    network = SPVCNN(5, NARROW, pres=0.05, vres=0.1).eval()
    with torch.inference_mode():
        logits = network(x)
        voxels, view = network.view(x)
    assert logits.shape == (len(x), 5) and bool(torch.isfinite(logits).all())
    assert len(voxels) < len(x) and not view.points_are_voxels


def test_two_clouds_in_a_batch_give_what_two_runs_give():
    network = SPVCNN(5, NARROW).eval()
    a, b = cloud(1), cloud(2)
    both = b.coords.clone()
    both[:, 3] = 1
    joined = SparseTensor(torch.cat((a.feats, b.feats)), torch.cat((a.coords, both)))
    with torch.inference_mode():
        apart = torch.cat((network(a), network(b)))
        torch.testing.assert_close(network(joined), apart, rtol=1e-4, atol=1e-5)


def test_a_lone_voxel_is_classified():
    x = SparseTensor(torch.ones(1, 4), np.zeros((1, 4), np.int32))
    for make in (MinkUNet, SPVCNN):
        with torch.inference_mode():
            assert make(3, NARROW).eval()(x).shape == (1, 3)


def test_wrong_weights_are_named():
    network = MinkUNet(19, NARROW)
    state = MinkUNet(19, NARROW).state_dict()
    load_weights(network, state, "file")
    with pytest.raises(ModelError, match="1 keys are missing \\(first: stem.0.kernel\\)"):
        load_weights(network, {k: v for k, v in state.items() if k != "stem.0.kernel"}, "file")
    with pytest.raises(ModelError, match="1 keys are unknown \\(first: extra\\)"):
        load_weights(network, {**state, "extra": torch.ones(1)}, "file")
    with pytest.raises(ModelError, match=r"stem.0.kernel is \[27, 4, 8\], expected \[27, 4, 4\]"):
        load_weights(network, {**state, "stem.0.kernel": torch.ones(27, 4, 8)}, "file")
    with pytest.raises(ValueError, match="nine positive widths"):
        MinkUNet(19, (4, 4))


def test_unused_point_layers_of_minkunet_checkpoints_are_dropped():
    full, bare = MinkUNet(19, NARROW), MinkUNet(19, NARROW, point_branch=False)
    load_weights(bare, full.state_dict(), "file")
    assert channels_of(full.state_dict()) == NARROW
    with pytest.raises(ModelError, match="keys are missing"):
        load_weights(full, bare.state_dict(), "file")


def test_random_weights_are_reproducible_and_marked():
    facts = preset_facts("spvcnn-lite")
    one, two = (build_network(facts, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one) and not facts.trained
    with pytest.raises(ModelError, match="no preset"):
        preset_facts("spvcnn-heavy")
    with pytest.raises(ModelError, match="architecture 'mink' is unknown"):
        build_network(facts_of(NetworkSpec("mink", NARROW), "x"))


def test_macs_by_hand_on_a_lone_voxel():
    c = NARROW
    parts = macs_by_part(Level(np.zeros((1, 4), np.int32)), c, 4, 19, True)
    assert parts["stem"] == 4 * 4 + 4 * 4
    assert parts["stage2"] == 4 * 4 + (4 * 6 + 6 * 6 + 4 * 6) + 2 * 6 * 6
    assert parts["up1"] == 8 * 8 + (16 * 8 + 8 * 8 + 16 * 8) + 2 * 8 * 8
    assert parts["points"] == 4 * 8 + 8 * 6 + 6 * 4


def test_the_twin_costs_as_much_as_spvcnn_lite(shared):
    raw = np.fromfile(shared / "data/semantickitti/sequences/00/velodyne/000000.bin", "<f4").reshape(-1, 4)
    level = Level(voxelize(raw[:, :3], 0.1).coords)
    a, b = PRESETS["spvcnn-lite"], PRESETS["minkunet-lite"]
    ours, twin = gmacs(level, a.channels, 8), gmacs(level, b.channels, 8, point_branch=False)
    assert ours < 4.5 and twin == pytest.approx(ours, rel=0.02)
