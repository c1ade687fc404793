"""Released checkpoints, whatever their names' prefixes, become our networks; others are refused by one sentence."""

import os

import pytest
import torch

from models.facts import ModelError, load_network
from models.state import load_weights
from models.tsm.builder import build_tsm
from models.tsm.official import adapt, canonical, convert, online_state, spec_of_state
from models.tsm.spec import TsmSpec
from tests.tsm.lively import clip, lively

NARROW = {"mobilenetv2": 0.25, "resnet18": 0.125, "resnet50": 0.125}


def released(network, prefix: str = "module.") -> dict:
    """The file that the official training writes."""
    state = {prefix + k: v for k, v in network.state_dict().items()}
    return {"epoch": 50, "arch": "x", "state_dict": state, "best_prec1": torch.tensor(1.0)}


def plain_names(state: dict) -> dict:
    """torchvision's names."""
    return {canonical(k).replace("head.", "fc."): v for k, v in state.items()}


@pytest.mark.parametrize("backbone", NARROW)
@pytest.mark.parametrize("mode", ["offline", "none"])
def test_the_spec_of_a_released_file_is_read_from_its_tensors(backbone, mode):
    spec = TsmSpec(backbone, mode, 7, width=NARROW[backbone], architecture="tsn" if mode == "none" else "tsm")
    assert spec_of_state(released(build_tsm(spec))["state_dict"]) == spec


def test_what_tensors_do_not_say_is_read_from_the_file_name():
    spec = TsmSpec("resnet50", "offline", 5, width=0.125, segments=16, fold_div=4, non_local=True, tpool=True)
    name = "TSM_kinetics_RGB_resnet50_shift4_blockres_tpool_avg_segment16_e100_dense_nl.pth"
    state = released(build_tsm(spec))["state_dict"]
    assert spec_of_state(state, name) == spec
    block = TsmSpec("resnet18", "offline", 5, width=0.125, place="block")
    assert spec_of_state(released(build_tsm(block))["state_dict"]) == block


@pytest.mark.parametrize("backbone", NARROW)
def test_a_released_checkpoint_becomes_a_model_folder_with_the_same_logits(backbone, tmp_path):
    network = lively(backbone, "offline", 6, width=NARROW[backbone])
    path = tmp_path / f"TSM_some_RGB_{backbone}_shift8_blockres_avg_segment8_e50.pth"
    torch.save(released(network), path)
    convert(path, tmp_path / "out", image={"size": [32, 32], "mean": [0.5] * 3, "std": [0.2] * 3})
    again, facts = load_network(tmp_path / "out")
    assert facts.trained and facts.architecture == "tsm" and facts.network["mode"] == "offline"
    assert facts.class_names == tuple(f"class {i}" for i in range(6)) and facts.image["size"] == [32, 32]
    with torch.inference_mode():
        x = clip(1, 4, 32, 32)
        assert torch.equal(again(x), network(x))


def test_the_online_gesture_checkpoint_is_a_bare_state_dict(tmp_path):
    network = lively("mobilenetv2", "online", 27, width=0.25)
    bare = online_state(network)
    assert "features.3.conv.0.weight" in bare and "classifier.bias" in bare and not any(".net." in k for k in bare)
    torch.save(bare, tmp_path / "mobilenetv2_jester_online.pth.tar")
    facts = convert(tmp_path / "mobilenetv2_jester_online.pth.tar", tmp_path / "jester")
    assert facts.network["mode"] == "online" and facts.class_names[14] == "Stop Sign" and facts.image["fit"] == "crop"
    again, _ = load_network(tmp_path / "jester")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in network.state_dict().items())


def test_image_weights_without_wrappers_start_any_network():
    source = lively("resnet18", "none", 4, width=0.125, architecture="tsn")
    names = plain_names(source.state_dict())
    assert "layer1.0.conv1.weight" in names and "fc.weight" in names
    for spec in (
        TsmSpec("resnet18", "offline", 9, width=0.125, tpool=True),
        TsmSpec("resnet18", "online", 9, width=0.125, place="block"),
        TsmSpec("resnet18", "none", 9, width=0.125, architecture="tsm-i3d"),
    ):
        network = build_tsm(spec)
        load_weights(network, adapt(names, network, head=False), "fc.pth")
        state = {canonical(k): v for k, v in network.state_dict().items()}
        assert torch.equal(state["layer4.1.conv2.weight"], names["layer4.1.conv2.weight"])
        assert state["head.weight"].shape == (9, 64)


def test_other_classes_widths_and_files_are_one_sentence(tmp_path):
    state = build_tsm(TsmSpec("mobilenetv2", "offline", 7, width=0.25)).state_dict()
    for spec, said in (
        (TsmSpec("mobilenetv2", "offline", 9, width=0.25), r"new_fc.weight is \[7, 1280\], expected \[9, 1280\]"),
        (
            TsmSpec("mobilenetv2", "offline", 7, width=0.5),
            "mobilenetv2 of width 0.5, .*shapes differ",
        ),
        (TsmSpec("resnet18", "offline", 7, width=0.25), "keys are missing .* keys are unknown"),
    ):
        network = build_tsm(spec)
        with pytest.raises(ModelError, match=said) as error:
            load_weights(network, adapt(state, network), "given.pth")
        assert str(error.value).startswith("given.pth does not fit tsm") and "\n" not in str(error.value)
    with pytest.raises(ModelError, match="the checkpoint has no classifier"):
        spec_of_state({"features.0.0.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match="not a resnet or mobilenetv2"):
        spec_of_state({"fc.weight": torch.zeros(2, 3)})
    with pytest.raises(ModelError, match=r"a ResNet with \(1, 0, 0, 0\) blocks is unknown"):
        spec_of_state(
            {
                "fc.weight": torch.zeros(2, 3),
                "conv1.weight": torch.zeros(8, 3, 7, 7),
                "layer1.0.conv1.weight": torch.zeros(1),
            }
        )
    with pytest.raises(ModelError, match="no checkpoint"):
        convert(tmp_path / "absent.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("exit 1",)


def test_a_malicious_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {"module.new_fc.weight": Evil()}}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="was refused"):
        convert(tmp_path / "evil.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()
