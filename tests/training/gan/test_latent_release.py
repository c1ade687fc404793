"""Generators of latent vectors are released with the figures of their sub-networks."""

import json
from dataclasses import replace

import pytest
import torch

from models.facts import load_network
from models.gan.anycost import AnycostGenerator
from models.gan.msggan import MsgGenerator
from models.gan.plain import PlainGenerator
from models.gan.stylegan2_ada import StyleGan2AdaGenerator
from tests.training.gan.test_latent_trainers import ANY, PLAIN
from tests.training.gan.toy import PROCESS, pack
from training.gan import latent_release, release
from training.gan.anycost import AnycostTrainer
from training.gan.latent import PlainTrainer


@pytest.mark.parametrize("make", [
    lambda: AnycostGenerator(8, style_dim=8, n_mlp=1, channel_multiplier=0.01),
    lambda: MsgGenerator(3, 8),
    lambda: PlainGenerator(8, 8, 4),
    lambda: PlainGenerator(8, 8, 4, classes=2),
    lambda: StyleGan2AdaGenerator(8, 3, 8, 8, num_layers=1, channel_base=64, channel_max=8),
], ids=["anycost", "msg", "plain", "plain-conditional", "ada-conditional"])  # fmt: skip
def test_every_kind_of_generator_makes_the_same_pictures_at_every_call(make):
    network = make().eval()
    found = [latent_release.generated(network, 3) for _ in range(2)]
    size = 16 if isinstance(network, MsgGenerator) else 8
    assert found[0].shape == (3, 3, size, size) and torch.equal(*found)


def test_a_sub_network_is_the_generator_with_its_settings():
    network = AnycostGenerator(16, style_dim=8, n_mlp=1, channel_multiplier=0.02).eval()
    z = torch.randn(2, 8)
    expected = network(z, channels=network.channels(0.5), resolution=8)
    assert torch.equal(latent_release.SubNetwork(network, 0.5, 8)(z), expected)


def test_anycost_and_plain_generators_are_released_with_sheet_and_card(tmp_path, monkeypatch):
    monkeypatch.setattr(latent_release, "LEVELS", 1)
    data = pack(tmp_path, ("pictures",))
    command = ["--held", str(tmp_path / "pack.npz"), "--out", str(tmp_path / "weights"), "--threads", "1"]
    for trainer in (AnycostTrainer(replace(ANY, stage="adaptive"), PROCESS, data), PlainTrainer(PLAIN, PROCESS, data)):
        trainer.save(tmp_path)
        name = trainer.config.name
        checkpoint = str(tmp_path / f"{name}.checkpoint.safetensors")
        assert release.main([checkpoint, *command, "--runtimes", "torch", "--note", "A toy."]) == 0
        folder = tmp_path / "weights" / name
        network, facts = load_network(folder)
        assert type(network) is type(trainer.g.network) and facts.metrics["fid_lite0"] > 0
        card = (folder / "CARD.md").read_text()
        assert "A toy." in card and (folder / "samples.jpg").stat().st_size > 300
        metrics = json.loads((folder / "metrics.json").read_text())
        if name == "anycost":
            assert [row["ratio"] for row in metrics["sub_networks"]] == [1.0, 0.75, 0.5, 0.25]
            costs = [row["mmacs"] for row in metrics["sub_networks"]]
            assert costs == sorted(costs, reverse=True) and "consistency_psnr" in card
