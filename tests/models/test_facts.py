"""Model folders: saved, listed, verified, refused; official checkpoints converted, malicious ones refused."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.facts import ModelError, list_models, load_facts, load_network, save_facts, verify
from models.official import convert, read_checkpoint, save_model
from models.spvcnn.build import build_network, preset_facts
from models.spvcnn.minkunet import MinkUNet

NARROW = (4, 4, 6, 8, 8, 8, 6, 4, 4)


@pytest.fixture
def folder(tmp_path) -> Path:
    facts = preset_facts("spvcnn-lite")
    facts = replace(facts, network={"channels": list(NARROW), "num_classes": 19}, trained=True)
    save_model(build_network(facts, seed=1), facts, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_saved_model_comes_back_the_same(folder):
    network, facts = load_network(folder)
    again = build_network(facts, seed=1).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in network.state_dict().items())
    assert list_models(folder.parent) == ["tiny"] and facts.name == "tiny" and facts.trained
    assert facts.class_names[0] == "car" and len(facts.classes) == 19 and facts.voxel_size == 0.1
    assert load_facts(folder / "model.yaml") == facts


def test_changed_weights_are_one_clear_sentence(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="has sha256 .* model.yaml says .*: the weights are damaged") as error:
        load_network(folder)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(ModelError, match="weights of 'tiny' are missing"):
        verify(folder)


def test_facts_that_are_wrong_are_refused(folder, tmp_path):
    path = folder / "model.yaml"
    text = path.read_text()
    colour = text + "\ncolour: red\n"
    for bad, said in ((colour, "unknown keys colour"), ("a: [", "not valid YAML"), ("[]", "holds list")):
        path.write_text(bad)
        with pytest.raises(ModelError, match=said):
            load_facts(folder)
    path.write_text("name: x\n")
    with pytest.raises(ModelError, match="misses architecture"):
        load_facts(folder)
    with pytest.raises(ModelError, match="no model 'nothing'"):
        load_facts("nothing")


def test_only_safetensors_are_read(folder):
    facts = load_facts(folder)
    (folder / "weights.pt").write_bytes(b"x")
    save_facts(replace(facts, weights="weights.pt"), folder)
    with pytest.raises(ModelError, match="no .safetensors file"):
        load_network(folder)


def test_random_weights_only_by_explicit_name():
    network, facts = load_network("random:minkunet-lite")
    assert not facts.trained and not any(k.startswith("point_transforms") for k in network.state_dict())


def test_an_official_checkpoint_is_converted(tmp_path):
    source = MinkUNet(19, NARROW)
    torch.save({"model": {f"module.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "init")
    facts = convert(tmp_path / "init", tmp_path / "out", "minkunet")
    network, again = load_network(tmp_path / "out")
    assert facts == again and facts.network["channels"] == list(NARROW) and facts.voxel_size == 0.05
    state = network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in source.state_dict().items())


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/perception_nodes_was_here",)


def test_a_malicious_checkpoint_is_refused_and_never_runs(tmp_path):
    witness = Path("/tmp/perception_nodes_was_here")
    witness.unlink(missing_ok=True)
    torch.save({"model": {"stem.0.kernel": Evil()}}, tmp_path / "init")
    with pytest.raises(ModelError, match="was refused: it holds something other than tensors"):
        read_checkpoint(tmp_path / "init")
    with pytest.raises(ModelError, match="was refused"):
        convert(tmp_path / "init", tmp_path / "out", "spvcnn")
    assert not witness.exists() and not (tmp_path / "out").exists()


def test_other_files_are_no_checkpoints(tmp_path):
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelError, match="was refused"):
        read_checkpoint(tmp_path / "text")
    torch.save({"model": {"weight": torch.ones(2)}}, tmp_path / "other")
    with pytest.raises(ModelError, match="has no stem.3.kernel"):
        convert(tmp_path / "other", tmp_path / "out", "spvcnn")
    torch.save([1, 2], tmp_path / "list")
    with pytest.raises(ModelError, match="expected a state dict"):
        read_checkpoint(tmp_path / "list")
    with pytest.raises(ModelError, match="no checkpoint"):
        read_checkpoint(tmp_path / "absent")


def test_widths_that_contradict_the_config_are_refused(tmp_path):
    torch.save({"model": MinkUNet(19, NARROW).state_dict()}, tmp_path / "init")
    (tmp_path / "net.config").write_text('{"num_classes": 19, "cr": 0.5}')
    with pytest.raises(ModelError, match="says cr 0.5"):
        convert(tmp_path / "init", tmp_path / "out", "minkunet", tmp_path / "net.config")


def test_weights_that_are_no_safetensors_are_refused(folder):
    from models.facts import sha256_of

    (folder / "weights.safetensors").write_bytes(np.zeros(100, np.uint8).tobytes())
    save_facts(replace(load_facts(folder), sha256=sha256_of(folder / "weights.safetensors")), folder)
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load_network(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder, value, tmp_path):
    facts = load_facts(folder)
    network = build_network(facts, seed=1)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = value
    save_model(network, facts, tmp_path / "broken")
    with pytest.raises(ModelError, match="NaN or infinite"):
        load_network(tmp_path / "broken")
    torch.save({"model": network.state_dict()}, tmp_path / "init")
    with pytest.raises(ModelError, match="NaN or infinite"):
        read_checkpoint(tmp_path / "init")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: tiny", "name: [tiny]", "name is"),
        ("voxel_size: 0.1", "voxel_size: wide", "voxel_size is"),
        ("trained: true", "trained: [1]", "trained is"),
        ("name: tiny", "name: &a [*a]", "cannot be read"),
        ("name: tiny", "name: 2026-01-01\nname: b", "stands twice"),
    ],
)
def test_facts_of_another_type_are_named(folder, old, new, said):
    path = folder / "model.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ModelError, match=said):
        load_facts(folder)
