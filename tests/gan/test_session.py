"""A style session: what its settings promise, and that geometry stays where it is."""

import warnings

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.gan.build import build_network, facts_of
from models.gan.lut import apply_table
from models.gan.macs import count_macs
from models.gan.session import StyleSession
from models.gan.tone import ToneLut, ToneResidual, identity_table, look_up


def picture(height=48, width=70, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def session(architecture="gan-resnet", network=None, **options):
    facts = facts_of(architecture, {"ngf": 4, "n_blocks": 1} if network is None else network, "some")
    return StyleSession(build_network(facts, seed=0), facts, runtime="torch", **options)


@pytest.mark.parametrize(
    "architecture, network",
    [
        ("gan-resnet", {"ngf": 4, "n_blocks": 1}),
        ("gan-sub-mobile-resnet", {"config": (4,) * 8, "n_blocks": 1}),
        ("gan-unet", {"num_downs": 5, "ngf": 4}),
        ("gan-tone", {}),
        ("gan-tone-residual", {"width": 8, "blocks": 1}),
    ],
)
def test_strength_0_is_the_picture_itself_and_sizes_stay(architecture, network):
    style = session(architecture, network, strength=0.0)
    rgb = picture()
    kept = rgb.copy()
    assert style.step(rgb).tobytes() == kept.tobytes()
    style.set(strength=1.0)
    found = style.step(rgb)
    assert found.shape == rgb.shape and found.dtype == np.uint8
    assert np.array_equal(rgb, kept) and style.seconds > 0


def test_strength_mixes_picture_and_style():
    style = session()
    rgb = picture()
    with torch.inference_mode():
        x = torch.from_numpy(np.pad(rgb, ((0, 0), (0, 2), (0, 0)), mode="edge")).permute(2, 0, 1)[None] / 127.5 - 1
        styled = (style.network(x)[0].permute(1, 2, 0).numpy()[:, :70] + 1) * 127.5
    for strength in (0.25, 1.0, 1.5):
        style.set(strength=strength)
        expected = np.clip(np.rint(rgb + strength * (styled - rgb)), 0, 255)
        assert np.abs(style.step(rgb).astype(int) - expected).max() <= 1


def test_a_lower_resolution_keeps_the_fine_detail_of_the_picture():
    style = session(resolution=32)
    rgb = picture(64, 96)
    found = style.step(rgb).astype(float)
    change = found - rgb
    inside = (found > 0) & (found < 255)
    smooth = np.abs(np.diff(change, axis=1))[inside[:, 1:] & inside[:, :-1]].mean()
    style.set(resolution=None)
    full = np.abs(np.diff(style.step(rgb).astype(float) - rgb, axis=1)).mean()
    assert smooth < 0.7 * full
    style.set(resolution=500)  # larger than the picture: the picture's own size
    assert np.array_equal(style.step(rgb), session().step(rgb))


def test_channel_ratio_runs_the_supernets_slices_without_a_new_session():
    style = session("gan-super-mobile-resnet", {"ngf": 16, "n_blocks": 2})
    rgb = picture(32, 40)
    full = style.step(rgb)
    style.set(channel_ratio=0.5)
    half = style.step(rgb)
    student = StyleSession(style.network.extract((8,) * 8), facts_of("gan-sub-mobile-resnet", {}, "s"), runtime="torch")
    assert np.array_equal(half, student.step(rgb)) and not np.array_equal(half, full)
    style.set(channel_ratio=1.0)
    assert np.array_equal(style.step(rgb), full)


def test_wrong_settings_change_nothing_and_say_what_is_expected():
    style = session(strength=0.5)
    for wrong, words in (
        ({"strength": -0.1}, "expected 0"), ({"channel_ratio": 0.5}, "one width only"),
        ({"channel_ratio": 0.0}, "above 0"), ({"resolution": 8}, "32 px or more"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words):
            style.set(**{"strength": 1.0} | wrong)
    assert (style.strength, style.channel_ratio, style.resolution) == (0.5, 1.0, None)
    with pytest.raises(ModelError, match="from picture to picture"):
        session("gan-patchgan", {})
    for frame in (picture().astype(np.float32), picture()[..., :2], picture(16, 16)):
        with pytest.raises(ValueError, match="expected"):
            style.step(frame)


def test_the_tone_step_is_the_identity_before_training_and_cheap():
    network = ToneLut().eval()
    x = torch.rand(1, 3, 40, 50) * 2 - 1
    assert torch.allclose(network(x), look_up(x, network.table(x)).clamp(-1, 1))
    with torch.no_grad():
        network.mix.weight.zero_()
    assert torch.allclose(network(x), x, atol=1e-5)
    assert float(network.change_cost().detach()) == pytest.approx(0, abs=1e-10)
    assert count_macs(network, torch.zeros(1, 3, 256, 704)).true < 5e6
    residual = ToneResidual(8, 1).eval()
    assert torch.equal(residual(x[..., :48]), residual.tone(x[..., :48]))  # starts at zero
    assert count_macs(ToneResidual(), torch.zeros(1, 3, 256, 704)).true < 0.5e9


def test_a_tone_step_learns_a_colour_change():
    torch.manual_seed(0)
    network = ToneLut(size=9)
    optimiser = torch.optim.Adam(network.parameters(), 2e-2)
    target = torch.tensor([0.5, 0.7, 1.0])[:, None, None]

    def error():
        x = torch.rand(4, 3, 32, 32) * 2 - 1
        return (network(x) - ((x + 1) * target - 1)).abs().mean()  # darker, and bluer

    before = float(error().detach())
    for _ in range(60):
        optimiser.zero_grad()
        (error() + 0.01 * network.change_cost()).backward()
        optimiser.step()
    assert float(error().detach()) < 0.25 * before


def test_the_table_on_uint8_pixels_equals_the_network():
    torch.manual_seed(0)
    table = (identity_table(17) + 0.3 * torch.randn(3, 17, 17, 17)).clamp(-1, 1)
    rgb = picture(40, 60)
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1
    expected = (look_up(x, table[None])[0].permute(1, 2, 0).numpy() + 1) * 127.5
    found = apply_table(rgb, ((table + 1) * 127.5).permute(1, 2, 3, 0).numpy())
    assert np.abs(found - expected).max() <= 0.51
    same = apply_table(rgb, ((identity_table(9) + 1) * 127.5).permute(1, 2, 3, 0).numpy())
    assert np.array_equal(same, rgb)


@pytest.mark.parametrize("architecture", ["gan-tone", "gan-tone-residual"])
def test_the_tone_step_of_a_session_is_the_network(architecture):
    torch.manual_seed(0)
    facts = facts_of(architecture, {}, "some")
    network = build_network(facts, seed=0)
    with torch.no_grad():
        tone = network.tone if architecture == "gan-tone-residual" else network
        tone.tables.mul_(0.8).add_(0.05 * torch.randn_like(tone.tables))
        if architecture == "gan-tone-residual":
            network.residual.leave.weight.normal_(std=0.05)
    rgb = picture(64, 96)  # twice and three times the thumbnail: both average whole blocks
    with torch.inference_mode():
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1
        expected = (network(x)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    found = StyleSession(network, facts, runtime="torch").step(rgb)
    assert np.abs(found - expected).max() <= 2.0  # the picture is rounded between tone and residual
    half = StyleSession(network, facts, strength=0.5, runtime="torch").step(rgb)
    assert np.abs(half - (rgb + 0.5 * (expected - rgb))).max() <= 2.0


@pytest.mark.parametrize(
    "architecture, network",
    [("gan-sub-mobile-resnet", {"config": (8,) * 8, "n_blocks": 2}), ("gan-tone-residual", {"width": 8, "blocks": 1})],
)
def test_a_faster_runtime_gives_the_same_picture(architecture, network):
    rgb = picture(32, 48)
    facts = facts_of(architecture, network, "some")
    built = build_network(facts, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # auto says where it passes over a runtime
        fast = StyleSession(built, facts, runtime="auto").step(rgb)
    plain = StyleSession(built, facts, runtime="torch").step(rgb)
    assert np.abs(fast.astype(int) - plain).max() <= 1
