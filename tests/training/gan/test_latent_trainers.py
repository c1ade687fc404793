"""Plain GAN, MSG-GAN, StyleGAN2 and AnyCost learn on toy pictures, resume exactly and refuse unfit settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.gan.augment import draw
from tests.training.gan.toy import PROCESS, pack, resumes_exactly
from training.common.loop import train
from training.gan.anycost import AnycostConfig, AnycostTrainer, judge_weights
from training.gan.features import LiteFeatures
from training.gan.latent import MsgConfig, MsgTrainer, PlainConfig, PlainTrainer, augment_pyramid
from training.gan.settings import DiffAugment, GanOptimiser
from training.gan.style_trainer import StyleConfig, StyleTrainer

FAST = GanOptimiser(lr=5e-3, ema=0.9, betas=(0.0, 0.99), constant=1.0)
SMALL = {"threads": 0, "batch": 4, "optimiser": FAST, "discriminator": FAST, "flip": False}
PLAIN = PlainConfig(latent=8, width=4, steps=60, **SMALL | {"batch": 8})
MSG = MsgConfig(latent=8, steps=30, **SMALL)
STYLE = StyleConfig(latent=8, mlp=2, multiplier=0.004, most=8, steps=30, r1=1.0, r1_every=2, path_every=2, **SMALL)
ANY = AnycostConfig(
    latent=8, mlp=2, multiplier=0.03125, most=32, steps=6, r1=1.0, r1_every=2, n_res=2, perceptual=0.0, **SMALL
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("latent"), ("pictures", "classes"))


def mean_error(trainer, data):
    """How far the mean colour of generated pictures is from the real ones' (0..2)."""
    with trainer.g.averaged() as network:
        made = trainer.samples(network, 32)
    return float((made.mean() - (data["pictures"].float() / 127.5 - 1).mean()).abs())


@pytest.mark.parametrize("make", [
    lambda d: PlainTrainer(PLAIN, PROCESS, d),
    lambda d: PlainTrainer(replace(PLAIN, conditional=True), PROCESS, d),
    lambda d: MsgTrainer(MSG, PROCESS, d),
    lambda d: StyleTrainer(STYLE, PROCESS, d),
    lambda d: StyleTrainer(replace(STYLE, conditional=True, multiplier=0.01), PROCESS, d),
], ids=["plain", "plain-conditional", "msg", "stylegan2", "stylegan2-conditional"])  # fmt: skip
def test_generators_move_towards_the_real_pictures(make, data, tmp_path):
    trainer = make(data)
    before = mean_error(trainer, data)
    losses = train(trainer, tmp_path / "run")
    assert all(np.isfinite([v for step in losses for v in step.values()]))
    assert mean_error(trainer, data) < max(0.7 * before, 0.12)


@pytest.mark.parametrize("make", [
    lambda d: PlainTrainer(replace(PLAIN, augment=DiffAugment("color,cutout")), PROCESS, d),
    lambda d: MsgTrainer(replace(MSG, augment=DiffAugment("color,translation,cutout")), PROCESS, d),
    lambda d: StyleTrainer(replace(STYLE, augment=DiffAugment("translation")), PROCESS, d),
    lambda d: AnycostTrainer(replace(ANY, stage="adaptive"), PROCESS, d),
], ids=["plain", "msg", "stylegan2", "anycost"])  # fmt: skip
def test_trainings_resume_exactly(make, data, tmp_path):
    assert resumes_exactly(lambda: make(data), tmp_path / "run", steps=2)


def test_anycost_goes_through_its_stages(data, tmp_path):
    style = StyleConfig(latent=8, mlp=2, multiplier=0.03125, most=32, steps=2, name="style", **SMALL)
    train(StyleTrainer(style, PROCESS, data), tmp_path / "style")
    start = str(tmp_path / "style" / "style.checkpoint.safetensors")
    first = AnycostTrainer(replace(ANY, start=start, steps=2), PROCESS, data, data.first(4))
    moved = judge_weights(tmp_path / "style" / "style-discriminator.checkpoint.safetensors", first.d.network)
    assert {"convs.0.0.weight", "blocks.0.conv1.0.weight", "final_linear.1.weight"} <= set(moved)
    losses = train(first, tmp_path / "multires")
    assert "consistency" not in losses[0] and set(first.validate()) == {
        "anycost 16 px, ratio 1", "anycost 8 px, ratio 1"
    }  # fmt: skip
    start = str(tmp_path / "multires" / "anycost.checkpoint.safetensors")
    second = AnycostTrainer(replace(ANY, start=start, stage="adaptive", mode="uniform"), PROCESS, data, data.first(4))
    x = torch.randn(2, 8)
    with first.g.averaged() as network:
        before = network(x)
    assert torch.allclose(second.g.network.eval()(x), before, atol=1e-4)  # sorting changes no picture
    kept = judge_weights(tmp_path / "multires" / "anycost-discriminator.checkpoint.safetensors", second.d.network)
    assert any(key.startswith("blocks.1.conv1.2") for key in kept)  # the activation after a modulation
    losses = train(second, tmp_path / "adaptive")
    assert all(np.isfinite(step["g"]) and step["consistency"] >= 0 for step in losses)
    scores = second.validate()
    assert len(scores) == 8 and scores["anycost 16 px, ratio 1"]["consistency_psnr"] > 60


def test_the_full_generator_draws_the_same_noise_as_its_sub_networks(data):
    trainer = AnycostTrainer(replace(ANY, stage="adaptive"), PROCESS, data)
    network = trainer.g.network
    for layer in (network.conv1, *network.convs):
        torch.nn.init.ones_(layer.noise.weight)
    ws, numbers = trainer.styles(2, None), torch.get_rng_state()
    same = trainer.at(ws, network.channels(1.0), [16])[0]
    after = torch.get_rng_state()
    assert torch.allclose(trainer.full_picture(ws, numbers), same, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), after)
    other = trainer.at(ws, network.channels(1.0), [16])[0]
    assert not torch.allclose(other, same, atol=1e-3)
    trainer._lite = LiteFeatures()
    large = [torch.rand(1, 3, 32, 32), torch.rand(1, 3, 16, 16)]
    assert float(trainer._perceptual(large, torch.rand(1, 3, 32, 32))) > 0


def test_all_levels_of_a_pyramid_are_augmented_alike():
    torch.manual_seed(0)
    fine = torch.rand(3, 3, 16, 16).repeat_interleave(2, 2).repeat_interleave(2, 3)  # each pixel four times
    for _ in range(20):
        state = torch.get_rng_state()
        draws = draw(fine, "translation")
        torch.set_rng_state(state)
        if bool((draws.translation_x % 2 == 0).all() and (draws.translation_y % 2 == 0).all()):
            break
        draw(fine, "translation")
    small, large = augment_pyramid([fine[:, :, ::2, ::2], fine], "translation")
    assert torch.equal(small, large[:, :, ::2, ::2])


def test_unfit_settings_are_refused_in_one_sentence(data, tmp_path):
    with pytest.raises(ValueError, match="expected one of multires, adaptive"):
        AnycostTrainer(replace(ANY, stage="third"), PROCESS, data)
    with pytest.raises(ValueError, match="expected one of uniform, flexible, sandwich"):
        AnycostTrainer(replace(ANY, mode="all"), PROCESS, data)
    wide = pack(tmp_path, ("pictures",), "wide.npz", width=32)
    with pytest.raises(ValueError, match="16 x 32 px: expected square"):
        StyleTrainer(STYLE, PROCESS, wide)
    plain = pack(tmp_path, ("pictures",), "plain.npz")
    with pytest.raises(ValueError, match="the pack has no classes"):
        PlainTrainer(replace(PLAIN, conditional=True), PROCESS, plain)
    other = AnycostTrainer(ANY, PROCESS, data)
    other.save(tmp_path)
    with pytest.raises(ModelError, match="set them alike"):
        AnycostTrainer(replace(ANY, latent=16, start=str(tmp_path / "anycost.checkpoint.safetensors")), PROCESS, data)
