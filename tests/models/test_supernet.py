"""SPVNAS's super network: sub-networks equal their extracted networks, sampling as published, a warm start that changes
nothing, official files in."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.facts import ModelError, load_network
from models.official import convert
from models.sparse import Level, SparseTensor
from models.spvcnn.build import build_network, preset_facts
from models.spvcnn.inference import Predictor
from models.spvcnn.macs import gmacs as spvcnn_gmacs
from models.spvcnn.presets import LITE_WIDTHS
from models.spvcnn.search_space import LITE, OFFICIAL, OFFICIAL_16, SearchSpace
from models.spvcnn.spvnas import SPVNAS
from models.spvcnn.subnet import Subnet, gmacs
from models.spvcnn.supernet import SuperNetwork
from models.spvcnn.warm_start import warm_start
from tests.sparse.clouds import cloud

NARROW = SearchSpace((4, 4, 4, 4, 6, 6, 4, 4, 4), (4, 6, 8, 8, 12, 10, 8, 6, 6), divisor=2, floor=2)


def lively(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Batch norms that do something, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    return network.eval()


def supernet(space: SearchSpace = NARROW, inputs: int = 4) -> SuperNetwork:
    torch.manual_seed(0)
    return lively(SuperNetwork(space, 19, inputs))


def sparse(inputs: int = 4, seed: int = 0) -> SparseTensor:
    coords = cloud(seed, voxels=400, extent=12)
    feats = np.random.default_rng(seed).normal(size=(len(coords), inputs)).astype(np.float32)
    return SparseTensor(torch.from_numpy(feats), coords)


def logits(network: torch.nn.Module, x: SparseTensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(x)


def test_the_official_super_network_has_the_published_size():
    network = SuperNetwork(OFFICIAL)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(47.8, abs=0.05)
    keys = set(network.state_dict())
    assert "downsample.0.feature.layers.1.net.layers.0.net.bn.bn.running_mean" in keys
    assert "point_transforms.2.net.conv.linear.bias" in keys and "classifier.linear.weight" in keys


@pytest.mark.parametrize("seed", range(4))
def test_an_extracted_network_equals_its_sub_network(seed):
    network, subnet, x = supernet(), NARROW.sample(random.Random(seed)), sparse()
    network.select(subnet)
    expected = logits(network, x)
    plain = network.extract(subnet)
    assert isinstance(plain, SPVNAS) and plain.subnet == subnet
    assert torch.equal(logits(plain, x), expected)
    network.select(NARROW.largest())
    assert not torch.equal(logits(network, x), expected)
    assert torch.equal(logits(plain, x), expected)  # its weights are its own


def test_training_a_sub_network_touches_its_own_weights_only():
    network = supernet().train()
    subnet = NARROW.smallest()
    network.select(subnet)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network(sparse()).square().mean().backward()
    kernel = network.downsample[1].feature["layers"][0].layers()[0].net["conv"].kernel
    middle = subnet.stages[1].middles[0]
    assert float(kernel.grad[:, :, :middle].abs().sum()) > 0 and float(kernel.grad[:, :, middle:].abs().sum()) == 0
    unused = network.downsample[1].feature["layers"][1].layers()[0].net["conv"].kernel
    assert unused.grad is None
    key = "downsample.1.feature.layers.0.net.layers.0.net.bn.bn.running_mean"
    after = network.state_dict()[key]
    assert torch.equal(after[middle:], before[key][middle:]) and not torch.equal(after[:middle], before[key][:middle])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([OFFICIAL, OFFICIAL_16, LITE, NARROW]))
def test_samples_lie_within_the_bounds_and_survive_their_config(seed, space):
    subnet = space.sample(random.Random(seed))
    assert subnet == space.sample(random.Random(seed)) and space.contains(subnet)
    for i, stage in enumerate(subnet.stages):
        assert stage.outputs % space.divisor == 0 or stage.outputs == space.upper[i + 1]
        assert space.rounded(space.lower[i + 1]) <= stage.outputs <= space.upper[i + 1]
        assert all(m % space.divisor == 0 and m >= space.floor for m in (stage.transition, *stage.middles))
        assert space.min_depth <= len(stage.middles) <= 2
    config = subnet.config()
    assert Subnet.from_config(json.loads(json.dumps(config))) == subnet
    assert Subnet.from_numbers(**subnet.numbers()) == subnet
    other = space.sample(random.Random(seed + 1))
    rng = random.Random(seed)
    for child in (space.cross(subnet, other, rng), space.mutate(subnet, rng, 0.5)):
        assert space.contains(child)
    assert space.mutate(subnet, rng, 0.0) == subnet and space.cross(subnet, subnet, rng) == subnet


def test_widths_are_rounded_as_both_released_versions_do():
    assert [OFFICIAL.rounded(w) for w in (19, 20, 47.9)] == [16, 20, 44]
    assert [OFFICIAL_16.rounded(w) for w in (5, 31, 47.9)] == [16, 16, 32]


def test_bounds_of_the_published_space():
    small, large = OFFICIAL.smallest(), OFFICIAL.largest()
    assert small.channels == (32, 16, 32, 64, 128, 128, 64, 48, 48) and small.depths == (1,) * 8
    assert large.channels == (32, 48, 96, 192, 384, 384, 192, 128, 128) and large.depths == (2,) * 8
    assert small.stages[0].transition == 4 and small.stages[0].middles == (4,)
    assert OFFICIAL.sample(random.Random(1), min_depth=2).depths == (2,) * 8


def test_a_wrong_config_is_one_clear_sentence():
    config = NARROW.sample(random.Random(0)).config()
    wrong = [
        ({}, "output_channels is None: expected nine widths"),
        ({**config, "upsample.0.transition": None}, "upsample.0.transition = None: expected a whole number"),
        ({**config, "downsample.1.feature": 3}, "downsample.1.feature is 3: expected 1 or 2"),
        ({**config, "point_transforms.1": 999}, "point_transforms.1 = 999, output_channels ask for"),
    ]
    for given_config, said in wrong:
        with pytest.raises(ModelError, match=said):
            Subnet.from_config(given_config)
    subnet = NARROW.largest()
    wide = replace(subnet, stages=(replace(subnet.stages[0], outputs=7), *subnet.stages[1:]))
    with pytest.raises(ModelError, match=r"downsample.0: outputs is 7, the super network has 1 to 6 there"):
        supernet().select(wide)
    with pytest.raises(ModelError, match="none above its upper one"):
        SearchSpace((8,) * 9, (4,) * 9)


def test_sorting_middle_channels_changes_nothing_but_their_order():
    network, x = supernet(), sparse()
    before = logits(network, x)
    network.sort_middle_channels()
    torch.testing.assert_close(logits(network, x), before, atol=1e-5, rtol=1e-5)
    for stage in network.downsample:
        for block in stage.blocks():
            weight = block.layers()[0].net["conv"].kernel.abs().sum((0, 1))
            assert bool((weight[1:] <= weight[:-1] + 1e-6).all())


def test_the_lite_space_holds_spvcnn_lite_and_a_warm_start_computes_the_same():
    spvcnn = lively(build_network(preset_facts("spvcnn-lite"), seed=1))
    torch.manual_seed(2)
    network = SuperNetwork(LITE, 19, 8)
    subnet = warm_start(network, spvcnn.state_dict(), LITE_WIDTHS)
    assert LITE.contains(subnet) and subnet.channels == LITE_WIDTHS
    x = sparse(8)
    expected = logits(spvcnn, x)
    network.eval()
    for chosen in (subnet, LITE.largest()):  # the new channels are there, and nothing reads them yet
        network.select(chosen)
        torch.testing.assert_close(logits(network, x), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits(network.extract(subnet), x), expected, atol=1e-4, rtol=1e-4)
    network.train()(x).square().mean().backward()  # gradients reach what reads the new channels
    reader = network.downsample[3].feature["layers"][1].layers()[0].net["conv"].kernel.grad
    assert float(reader[:, LITE_WIDTHS[4] :, : LITE_WIDTHS[4]].abs().sum()) > 0
    with pytest.raises(ModelError, match="do not fit an SPVCNN of widths"):
        warm_start(network, spvcnn.state_dict(), (16, 16, 16, 32, 32, 32, 16, 16, 16))
    with pytest.raises(ModelError, match="the super network has 1 to"):
        warm_start(network, spvcnn.state_dict(), (16, 16, 64, 48, 64, 48, 32, 16, 16))


@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-5), ("int16", 4e-3)])
def test_the_fused_engine_runs_any_sub_network(precision, tolerance):
    network = lively(SuperNetwork(LITE, 19, 8))
    subnet = LITE.sample(random.Random(5))
    plain, x = network.extract(subnet), sparse(8)
    order = x.level.order
    coords, feats = x.level.coords[order], np.ascontiguousarray(x.feats.numpy()[order])
    expected = logits(plain, SparseTensor(torch.from_numpy(feats), coords)).numpy()
    found = Predictor(plain, precision, 2)(feats, coords)
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


def test_macs_are_those_of_spvcnn_but_for_the_first_blocks_shortcuts():
    level = Level(cloud(3, voxels=400, extent=12))
    widths = (4, 6, 8, 10, 12, 10, 8, 6, 6)  # no stage's first block keeps its width, so SPVCNN has every shortcut too
    assert gmacs(Subnet.of_spvcnn(widths), level) == pytest.approx(spvcnn_gmacs(level, widths))


def test_a_model_folder_of_a_sub_network_comes_back(tmp_path):
    network, facts = load_network("random:spvnas-lite")
    assert isinstance(network, SPVNAS) and not facts.trained
    assert set(facts.network) == {"channels", "transitions", "middles", "num_classes"}


def test_released_sub_networks_and_super_networks_are_converted(tmp_path):
    """The released form: `init` of the determinized network, with the super network's classifier, and `net.config`."""
    space = replace(OFFICIAL, lower=NARROW.lower)
    torch.manual_seed(0)
    network = lively(SuperNetwork(space))
    subnet = NARROW.sample(random.Random(3))
    subnet = replace(subnet, stem=32, stages=subnet.stages)
    (tmp_path / "net.config").write_text(json.dumps({**subnet.config(), "num_classes": 19}))
    state = network.part(subnet)
    state["classifier.linear.weight"] = network.state_dict()["classifier.linear.weight"]
    torch.save({"model": state}, tmp_path / "init")
    torch.save({"model": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "whole")
    x = sparse()
    expected = logits(network.extract(subnet), x)
    for source in ("init", "whole"):
        facts = convert(tmp_path / source, tmp_path / f"out_{source}", "spvnas", tmp_path / "net.config")
        again, _ = load_network(tmp_path / f"out_{source}")
        assert facts.architecture == "spvnas" and facts.voxel_size == 0.05
        assert torch.equal(logits(again, x), expected)
    with pytest.raises(ModelError, match="needs its net.config"):
        convert(tmp_path / "init", tmp_path / "no", "spvnas")
    (tmp_path / "net.config").write_text("{")
    with pytest.raises(ModelError, match="is not a net.config"):
        convert(tmp_path / "init", tmp_path / "no", "spvnas", tmp_path / "net.config")
