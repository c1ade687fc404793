"""Checkpoints with official keys become our networks; files of other kinds are refused by one sentence."""

import json
import os

import pytest
import torch

from models.facts import FAMILIES, ModelError, load_facts, load_network
from models.gan.build import ARCHITECTURES, PRESETS, facts_of
from models.official import convert

SMALL = {
    "gan-resnet": {"ngf": 4, "n_blocks": 6},
    "gan-mobile-resnet": {"ngf": 4},
    "gan-sub-mobile-resnet": {"config": "4_5_6_4_8_7_3_2", "input_nc": 1},
    "gan-unet": {"num_downs": 5, "ngf": 4, "output_nc": 1},
    "gan-patchgan": {"input_nc": 6, "ndf": 4, "n_layers": 2, "norm": "instance"},
    "gan-spade": {"semantic_nc": 36, "ngf": 2, "norm": "spectralspadesyncbatch3x3", "hidden": 128},
    "gan-mobile-spade": {"semantic_nc": 36, "config": "2_3_2_3_3_2_3_4"},
    "gan-spade-discriminator": {"input_nc": 7, "ndf": 4, "n_layers": 3, "num_d": 3},
    "gan-spade-encoder": {"ngf": 2, "z_dim": 4},
    "gan-anycost": {"resolution": 32, "style_dim": 8, "n_mlp": 2, "channel_multiplier": 0.03125, "channel_max": 32},
    "gan-anycost-discriminator": {
        "resolution": 32, "channel_multiplier": 0.03125, "channel_max": 32, "n_res": 2, "modulate": True
    },
    "gan-stylegan2-discriminator": {"resolution": 32, "channel_multiplier": 0.03125, "channel_max": 32},
    "gan-stylegan2-ada": {
        "z_dim": 6, "c_dim": 3, "w_dim": 8, "img_resolution": 16, "num_layers": 2, "channel_base": 128,
        "channel_max": 16,
    },
    "gan-msg": {"depth": 5, "latent_size": 8},
}  # fmt: skip


def inputs(architecture, network):
    torch.manual_seed(1)
    if "spade" in architecture and "semantic_nc" in network:
        return (torch.randn(1, 36, 32, 64),)
    if "ada" in architecture or architecture == "gan-msg" or architecture == "gan-anycost":
        z = torch.randn(2, {"gan-msg": 8, "gan-anycost": 8}.get(architecture, 6))
        return (z, torch.eye(3)[:2], 1.0, "const") if "ada" in architecture else (z,)
    channels = network.get("input_nc", 3)
    size = 32
    extra = (torch.ones(32),) if architecture == "gan-anycost-discriminator" else ()
    return (torch.randn(2, channels, size, size), *extra)


def flat(found):
    if isinstance(found, torch.Tensor):
        return [found]
    return [t for part in found for t in flat(part)]


@pytest.mark.parametrize("architecture", SMALL)
def test_random_weights_with_official_keys_load_and_give_the_same(architecture, tmp_path):
    torch.manual_seed(0)
    numbers = SMALL[architecture]
    network = ARCHITECTURES[architecture](**numbers).eval()
    state = network.state_dict()
    released = {"g_ema": state, "step": torch.zeros(1)} if architecture == "gan-anycost" else state
    path = tmp_path / "latest_net_G.pth"
    torch.save(released, path)
    facts = convert(path, tmp_path / "out", "auto")
    assert facts.architecture == architecture and facts.trained
    again, facts = load_network(tmp_path / "out")
    assert set(facts.features) == {"red", "green", "blue"}
    given = inputs(architecture, numbers)
    with torch.inference_mode():
        for a, b in zip(flat(network(*given)), flat(again(*given))):
            assert torch.equal(a, b)


def test_files_without_dropout_layers_and_with_old_statistics_load(tmp_path):
    """CycleGAN's released files number the second convolution of a block 5, and some hold running statistics."""
    network = ARCHITECTURES["gan-resnet"](ngf=4).eval()
    state = {k.replace("conv_block.6.", "conv_block.5."): v for k, v in network.state_dict().items()}
    for i in (2, 5, 8):
        state |= {f"model.{i}.running_mean": torch.zeros(4), f"model.{i}.running_var": torch.ones(4)}
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    convert(tmp_path / "latest_net_G_A.pth", tmp_path / "out", "gan")
    again, _ = load_network(tmp_path / "out")
    x = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(again(x), network(x))


def test_a_supernet_is_imported_where_it_is_asked_for(tmp_path):
    network = ARCHITECTURES["gan-super-mobile-resnet"](ngf=8)
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    facts = convert(tmp_path / "latest_net_G.pth", tmp_path / "out", "gan-super-mobile-resnet")
    assert facts.network["ngf"] == 8
    again, _ = load_network(tmp_path / "out")
    again.select((4,) * 8)
    with pytest.raises(ModelError, match="holds a gan-mobile-resnet, not a gan-unet"):
        convert(tmp_path / "latest_net_G.pth", tmp_path / "other", "gan-unet")
    assert not (tmp_path / "other").exists()


def test_a_spade_file_of_unknown_size_asks_for_it(tmp_path):
    network = ARCHITECTURES["gan-spade"](semantic_nc=5, ngf=2, upsampling="normal", crop_size=32, aspect_ratio=1.0)
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    with pytest.raises(ModelError, match="--config FILE"):
        convert(tmp_path / "latest_net_G.pth", tmp_path / "out", "gan")
    (tmp_path / "sizes.json").write_text(json.dumps({"upsampling": "normal", "crop_size": 32, "aspect_ratio": 1.0}))
    facts = convert(tmp_path / "latest_net_G.pth", tmp_path / "out", "gan", tmp_path / "sizes.json")
    assert facts.network["crop_size"] == 32
    (tmp_path / "sizes.json").write_text("[1]")
    with pytest.raises(ModelError, match="expected a mapping"):
        convert(tmp_path / "latest_net_G.pth", tmp_path / "out2", "gan", tmp_path / "sizes.json")


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/evil-was-run",)


def test_a_file_that_wants_to_run_code_is_refused(tmp_path):
    torch.save({"model.1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="Only tensors are read") as error:
        convert(tmp_path / "evil.pth", tmp_path / "out", "gan")
    assert "system" in str(error.value) and "can still be loaded" not in str(error.value)
    assert not os.path.exists("/tmp/evil-was-run") and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "state, words",
    [
        ({"backbone.weight": torch.zeros(1)}, "not a GAN checkpoint that is known"),
        ({"model.10.conv_block.1.weight": torch.zeros(4, 4, 3, 3)}, "damaged or incomplete"),
        ({"to_rgb1.conv.weight": torch.zeros(1, 3, 4, 1, 1)}, "damaged or incomplete"),
    ],
)
def test_other_files_are_refused_by_one_sentence(state, words, tmp_path):
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(ModelError, match=words) as error:
        convert(tmp_path / "some.pth", tmp_path / "out", "gan")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_wrong_architectures_and_missing_keys_are_named(tmp_path):
    state = ARCHITECTURES["gan-resnet"](ngf=4, n_blocks=1).state_dict()
    torch.save({k: v for k, v in state.items() if k != "model.4.bias"}, tmp_path / "part.pth")
    with pytest.raises(ModelError, match=r"1 keys are missing \(first: model.4.bias\)"):
        convert(tmp_path / "part.pth", tmp_path / "out", "gan")
    state = ARCHITECTURES["gan-anycost"](**SMALL["gan-anycost"]).state_dict()
    torch.save({k: v for k, v in state.items() if k != "conv1.noise.weight"}, tmp_path / "anycost.pth")
    with pytest.raises(ModelError, match=r"does not fit AnycostGenerator: 1 keys are missing"):
        convert(tmp_path / "anycost.pth", tmp_path / "out", "gan")
    with pytest.raises(ModelError, match="'gan-wavelet' is unknown"):
        convert(tmp_path / "part.pth", tmp_path / "out", "gan-wavelet")


def test_every_architecture_is_a_family_and_every_preset_has_facts():
    assert {k for k, v in FAMILIES.items() if v == "models.gan.build"} == set(ARCHITECTURES)
    for name, (architecture, _) in PRESETS.items():
        assert load_facts(f"random:{name}").architecture == architecture
    with pytest.raises(ModelError, match="does not fit gan-unet"):
        from models.gan.build import build_network

        build_network(facts_of("gan-unet", {"levels": 3}, "some"))
