"""The layers and networks: published sizes, the released keys, refusals, import of checkpoints."""

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_facts, load_network, verify
from models.official import convert
from models.pvcnn.build import PRESETS, build_network, facts_of, preset_facts
from models.pvcnn.grid import Grids
from models.pvcnn.layers import PVConv
from models.pvcnn.macs import count_macs
from models.pvcnn.networks import PVCNN, ShapePVCNN, pointnet
from models.pvcnn.voxel_unet import VoxelUNet
from models.state import load_weights


def points(channels, clouds=2, n=40, seed=0):
    return torch.randn(clouds, channels, n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "network, millions",
    [
        (lambda: PVCNN(13, 6, 1.0), 2.572),
        (lambda: PVCNN(13, 6, 0.5), 0.650),
        (lambda: PVCNN(13, 6, 0.25), 0.166),
        (lambda: PVCNN(13, 6, 0.125), 0.043),
        (lambda: ShapePVCNN(50, 16, 3, 1.0), 4.200),
        (lambda: ShapePVCNN(50, 16, 3, 0.5), 1.059),
        (lambda: ShapePVCNN(50, 16, 3, 0.25), 0.269),
    ],
)
def test_networks_have_the_published_number_of_parameters(network, millions):
    found = sum(p.numel() for p in network().parameters()) / 1e6
    assert round(found, 3) == millions


def test_the_street_networks_have_equal_macs():
    inputs = torch.rand(1, 7, 2048)
    work = {}
    for name, spec in PRESETS.items():
        if spec.on_streets:
            work[name] = sum(count_macs(build_network(facts_of(spec, name)), inputs).values())
    assert len(work) == 3 and max(work.values()) / min(work.values()) < 1.05, work


def test_macs_by_hand():
    network = VoxelUNet(2, 0, width=1, resolution=4, head=3).eval()
    found = count_macs(network, torch.rand(1, 3, 5))
    fine = 64 * 27 * (3 + 1 + 2)  # in -> 1, 1 -> 1, 2 -> 1 at 4^3
    middle = 8 * 27 * (1 * 2 + 2 * 2 + 4 * 2)  # 1 -> 2, 2 -> 2, 4 -> 2 at 2^3
    coarse = 27 * (2 * 4 + 4 * 4)
    assert found["Conv3d"] == fine + middle + coarse
    assert found["ConvTranspose3d"] == 1 * 4 * 2 * 8 + 8 * 2 * 1 * 8
    assert found["points"] == 5 * (1 * 3 + 3 * 2)


@pytest.mark.parametrize("with_se", [False, True])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_pvconv_is_the_sum_of_its_branches_and_learns(with_se, kernel):
    layer = PVConv(5, 16, kernel, resolution=6, with_se=with_se)
    x, coords = points(5).requires_grad_(), points(3, seed=1)
    out = layer(x, Grids(coords))
    assert out.shape == (2, 16, 40)
    out.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    assert torch.isfinite(x.grad).all()


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel size is 4: expected an odd one"):
        PVConv(4, 4, 4)


@pytest.mark.parametrize(
    "network, channels",
    [
        (PVCNN(4, 2, 0.125, 0.25), 5),
        (pointnet(4, 2, 0.125), 5),
        (VoxelUNet(4, 2, 4, 8), 5),
    ],
)
@pytest.mark.parametrize("n", [1, 37])
def test_labels_follow_their_points(network, channels, n):
    network.eval()
    x = points(channels, 2, n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        straight, shuffled = network(x), network(x[:, :, order])
    assert straight.shape == (2, 4, n)
    assert torch.allclose(straight[:, :, order], shuffled, atol=1e-4)


def test_shape_networks_take_one_kind_per_cloud_or_per_point():
    network = ShapePVCNN(5, 3, 1, 0.125, 0.25, with_se=False).eval()
    kind = torch.nn.functional.one_hot(torch.tensor([2, 0]), 3).float()[:, :, None].expand(-1, -1, 20)
    x = torch.cat((points(4, 2, 20), kind), 1)
    with torch.inference_mode():
        fast = network(x)
        x[0, 4, 0] = 1.0  # one point of another kind: the general way
        slow = network(x)
    assert torch.allclose(fast[:, :, 1:], slow[:, :, 1:], atol=1e-5)


@pytest.mark.parametrize("network", [PVCNN(4, 2, 0.125, 0.25), VoxelUNet(4, 2, 4, 8), pointnet(4, 2, 0.125)])
def test_bad_input_is_refused_in_one_sentence(network):
    broken = points(5)
    broken[1, 2, 3] = float("nan")
    for inputs, words in (
        (points(6), r"expected \[clouds, 5, points\]"),
        (points(5)[0], r"expected \[clouds, 5, points\]"),
        (torch.zeros(1, 5, 0), "at least one cloud of one point"),
        (broken, "1 of 80 points are not finite"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            network(inputs)
        assert "\n" not in str(caught.value)


def test_widths_that_leave_no_channel_are_refused():
    with pytest.raises(ValueError, match="leaves no channel"):
        PVCNN(4, 2, 0.001)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_buildable_by_name(preset):
    facts = preset_facts(preset)
    assert facts.trained is False and len(facts.class_names) == facts.network["num_classes"]
    assert build_network(facts).training is False


def test_random_weights_by_name_are_the_same_every_time():
    (a, facts), (b, _) = load_network("random:pvcnn-lite"), load_network("random:pvcnn-lite")
    assert facts.trained is False
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_weights_of_another_width_are_refused_by_key():
    with pytest.raises(ModelError, match=r"somewhere does not fit PVCNN: .* shapes differ"):
        load_weights(PVCNN(13, 6, 0.125), PVCNN(13, 6, 0.25).state_dict(), "somewhere")
    with pytest.raises(ModelError, match="keys are missing"):
        load_weights(PVCNN(13, 6, 0.125), {}, "somewhere")


@pytest.mark.parametrize(
    "architecture, network",
    [
        ("pvcnn-s3dis", lambda: PVCNN(13, 6, 0.125)),
        ("pvcnn-shapenet", lambda: ShapePVCNN(50, 16, 3, 0.25)),
        ("pvcnn-shapenet", lambda: ShapePVCNN(10, 4, 0, 0.125, with_se=False)),
    ],
)
def test_released_checkpoints_become_model_folders(architecture, network, tmp_path):
    torch.manual_seed(0)
    source = network().eval()
    state = {f"module.{k}": v for k, v in source.state_dict().items()}
    torch.save({"model": state, "epoch": 3}, tmp_path / "best.pth.tar")
    facts = convert(tmp_path / "best.pth.tar", tmp_path / "imported", architecture)
    assert verify(tmp_path / "imported").sha256 == facts.sha256
    loaded, facts = load_network(tmp_path / "imported")
    assert facts.architecture == architecture and facts.trained
    inputs = points(source.in_channels + getattr(source, "num_shapes", 0))
    with torch.inference_mode():
        assert torch.equal(loaded(inputs), source(inputs))


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    torch.save({"model": {"stem.0.kernel": torch.zeros(27, 4, 8)}}, tmp_path / "init")
    with pytest.raises(ModelError, match="expected a released pvcnn-s3dis"):
        convert(tmp_path / "init", tmp_path / "out", "pvcnn-s3dis")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match="was never released"):
        convert(tmp_path / "init", tmp_path / "out", "pvcnn-kitti")


def test_a_checkpoint_that_holds_more_than_tensors_is_refused(tmp_path):
    torch.save({"model": {"a": np.float64(1.0)}}, tmp_path / "best.pth.tar")
    with pytest.raises(ModelError, match="was refused|expected a state dict"):
        convert(tmp_path / "best.pth.tar", tmp_path / "out", "pvcnn-s3dis")


def test_facts_of_presets_can_be_read_back(tmp_path):
    from models.facts import save_facts

    facts = facts_of(PRESETS["pvcnn-lite"], "some")
    save_facts(facts, tmp_path)
    assert load_facts(tmp_path).network == facts.network
