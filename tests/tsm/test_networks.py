"""Where the shift stands, what it costs (nothing), and which clips networks take."""

from dataclasses import replace

import pytest
import torch

from models.facts import ModelError
from models.tsm.builder import build_backbone, build_tsm
from models.tsm.macs import added_by_shift, macs_per_frame, parameters
from models.tsm.online import OnlineTsm
from models.tsm.shift import Shifted
from models.tsm.spec import TsmSpec
from tests.tsm.lively import close
from tests.tsm.lively import exact as lively
from tests.tsm.lively import exact_clip as clip


def shifted(network) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, Shifted)]


def test_mobilenetv2_shifts_the_ten_blocks_of_the_released_networks():
    blocks = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
    network = build_tsm(TsmSpec("mobilenetv2", "online", 27))
    assert shifted(network) == [f"base_model.features.{i}.conv.0" for i in blocks]
    shapes = OnlineTsm(network).cache_shapes(224, 224)
    assert shapes == [
        (3, 56, 56), (4, 28, 28), (4, 28, 28), (8, 14, 14), (8, 14, 14), (8, 14, 14), (12, 14, 14), (12, 14, 14),
        (20, 7, 7), (20, 7, 7),
    ]  # fmt: skip
    assert sum(c * h * w for c, h, w in shapes) == 27_048


def test_efficientnet_lite0_shifts_every_block_with_an_expansion_and_an_identity():
    network = build_tsm(TsmSpec("efficientnet-lite0", "online", 12))
    assert shifted(network) == [f"base_model.features.{i}.conv.0" for i in (3, 5, 7, 8, 10, 11, 13, 14, 15)]


def test_resnet50_shifts_every_block_and_resnet101_every_second():
    assert len(shifted(build_tsm(TsmSpec("resnet50", "offline", 5, width=0.125)))) == 16
    deep = shifted(build_tsm(TsmSpec("resnet101", "offline", 5, width=0.125)))
    assert deep == [
        f"base_model.layer{i}.{j}.conv1" for i, n in ((1, 3), (2, 4), (3, 23), (4, 3)) for j in range(0, n, 2)
    ]
    assert len(shifted(build_tsm(TsmSpec("resnet101", "offline", 5, width=0.125, place="block")))) == 33


@pytest.mark.parametrize("name", ["mobilenetv2", "efficientnet-lite0", "resnet18"])
@pytest.mark.parametrize("place", ["blockres", "block", "inplace"])
def test_the_shift_adds_no_parameter_and_no_multiplication(name, place):
    assert added_by_shift(TsmSpec(name, "online", 12, place=place, width=0.5), 64, 64) == (0, 0.0)


def test_sizes_are_those_of_the_released_network():
    network = build_tsm(TsmSpec("mobilenetv2", "online", 27))
    assert parameters(network) == 2_258_459
    assert macs_per_frame(network, 224, 224) == pytest.approx(0.2995e9, rel=1e-3)


def test_a_residual_shift_leaves_the_identity_alone_and_a_block_shift_does_not():
    for place, kept in (("blockres", True), ("block", False)):
        network = lively("resnet18", "online", 3, width=0.125, place=place)
        with torch.no_grad():
            for block in network.modules():
                if hasattr(block, "bn2"):  # the branch adds nothing: what is left is the identity
                    block.bn2.weight.zero_()
                    block.bn2.bias.zero_()
        x = clip(1, 3, 32, 32)
        moved = x.clone()
        moved[:, 0] += 1.0
        same = torch.equal(network.frame_logits(x)[:, 1:], network.frame_logits(moved)[:, 1:])
        assert same == kept


@pytest.mark.parametrize("mode", ["offline", "online", "none"])
@pytest.mark.parametrize("t", [1, 3, 8, 11])
def test_clips_of_any_length_and_frames_of_any_size(mode, t):
    architecture = "tsn" if mode == "none" else "tsm"
    network = lively("mobilenetv2", mode, 5, width=0.25, segments=8, architecture=architecture)
    with torch.inference_mode():
        x = clip(2, t, 33, 47)
        logits = network.frame_logits(x)
        assert logits.shape == (2, t, 5) and torch.isfinite(logits).all()
        assert close(network(x), logits.mean(1))  # before any softmax
        features = network.features(x)
        assert [f.shape[0] for f in features] == [2 * t] * 3
        assert [f.shape[1] for f in features] == list(network.feature_channels)
        assert [tuple(f.shape[2:]) for f in features] == [(5, 6), (3, 3), (2, 2)]


def test_online_frames_never_depend_on_later_ones_and_offline_frames_do():
    x = clip(1, 4, 32, 32)
    later = x.clone()
    later[:, 3] += 1.0
    for mode, same in (("online", True), ("offline", False)):
        network = lively("mobilenetv2", mode, 5, width=0.25)
        with torch.inference_mode():
            a, b = network.frame_logits(x)[:, :3], network.frame_logits(later)[:, :3]
        assert close(a, b) == same


def test_temporal_pooling_halves_the_frames():
    network = lively("resnet18", "offline", 4, width=0.125, tpool=True)
    with torch.inference_mode():
        for t, kept in ((8, 4), (5, 3), (1, 1)):
            assert network.frame_logits(clip(2, t, 32, 32)).shape == (2, kept, 4)
    assert any(".layer2.net.0.conv1.net.weight" in k for k in network.state_dict())


def test_fresh_non_local_blocks_change_nothing_and_trained_ones_see_the_whole_clip():
    plain = lively("resnet50", "offline", 4, width=0.125)
    network = build_tsm(TsmSpec("resnet50", "offline", 4, width=0.125, non_local=True)).double()
    names = [k for k in network.state_dict() if k.endswith("nl.theta.weight")]
    places = ("layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4")
    assert names == [f"base_model.{place}.nl.theta.weight" for place in places]
    state = plain.state_dict()
    own = {k: state.get(k.replace(".block.", "."), v) for k, v in network.state_dict().items()}
    network.load_state_dict(own)
    x = clip(1, 4, 64, 64)
    with torch.inference_mode():
        assert close(network(x), plain(x))
        for name, module in network.named_modules():
            if name.endswith("nl.W.1"):
                module.weight.fill_(1.0)
        assert not close(network(x), plain(x))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    spec = TsmSpec("mobilenetv2", "online", 5, width=0.25)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    a, b = build_tsm(spec, 7).state_dict(), build_tsm(spec, 7).state_dict()
    assert torch.equal(torch.rand(1), expected) and all(torch.equal(v, b[k]) for k, v in a.items())


def test_backbones_keep_the_stem_and_widen_the_rest():
    wide = build_backbone(TsmSpec("mobilenetv2", width=1.4))
    assert wide.feature_dim == 1792 and wide.feature_channels == (48, 136, 448)
    narrow = build_backbone(TsmSpec("mobilenetv2", width=0.5))
    assert narrow.feature_dim == 1280 and narrow.feature_channels == (16, 48, 160)
    assert build_backbone(TsmSpec("resnet50", width=0.5)).feature_channels == (256, 512, 1024)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"backbone": "vgg"}, "backbone 'vgg' is unknown; known: resnet18"),
        ({"mode": "both"}, "mode 'both' is unknown"),
        ({"place": "head"}, "place 'head' is unknown; known: blockres, block, inplace"),
        ({"architecture": "tsx"}, "architecture 'tsx' is unknown"),
        ({"fold_div": 0}, "fold_div is 0: expected a whole number of 1 or more"),
        ({"num_classes": 2.5}, "num_classes is 2.5: expected a whole number"),
        ({"dropout": 1.0}, "dropout is 1.0: expected 0 or more and less than 1"),
        ({"width": 0.0}, "width is 0.0"),
        ({"architecture": "tsn"}, "tsn shifts nothing: expected mode none, found online"),
        ({"mode": "none"}, "architecture tsm needs mode online or offline"),
        ({"tpool": True, "mode": "offline"}, "tpool and non_local exist for ResNets, not for mobilenetv2"),
        ({"backbone": "resnet50", "tpool": True}, "look at later frames"),
        ({"backbone": "resnet18", "mode": "offline", "non_local": True}, "non_local exists for resnet50"),
        ({"architecture": "tsm-two-stream"}, r"two streams see 3 \+ 10 channels, in_channels is 3"),
    ],
)
def test_specs_that_contradict_themselves_are_one_sentence(change, said):
    with pytest.raises(ModelError, match=said) as error:
        replace(TsmSpec(), **change)
    assert "\n" not in str(error.value)


def test_clips_of_other_shapes_are_refused():
    network = build_tsm(TsmSpec("mobilenetv2", width=0.25))
    for shape in ((2, 3, 32, 32), (1, 2, 4, 32, 32), (1, 0, 3, 32, 32)):
        with pytest.raises(ValueError, match=r"expected \[N, T, 3, H, W\]"):
            network(torch.zeros(shape))
