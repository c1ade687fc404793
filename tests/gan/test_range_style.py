"""LiDAR styles: strength 0 is the sweep itself, points stay on their rays, a seed gives one sweep, the drawn shares."""

import math

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.gan.build import build_network, facts_of
from models.gan.range_session import RangeStyleSession
from models.gan.range_style import AIR, LOST, STAY


def network(logits=(0.0, 0.0, 0.0), gain=0.0, log_mean=0.0):
    """A network whose answer is the same everywhere."""
    made = build_network(facts_of("gan-range-style", {"width": 4}, "weather"), seed=0)
    with torch.no_grad():
        made.leave.bias.copy_(torch.tensor([*logits, gain, log_mean]))
    return made


def session(strength=1.0, **answer):
    return RangeStyleSession(network(**answer), facts_of("gan-range-style", {"width": 4}, "weather"), strength)


def sweep(count=6000, seed=0):
    rng = np.random.default_rng(seed)
    azimuth, elevation = rng.uniform(-np.pi, np.pi, count), np.radians(rng.uniform(-25, 5, count))
    ray = np.stack([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], 1)
    return (ray * rng.uniform(20, 60, (count, 1))).astype(np.float32), rng.uniform(0, 1, count).astype(np.float32)


def test_strength_0_is_the_sweep_itself_bit_for_bit():
    xyz, intensity = sweep()
    xyz[5] = np.nan
    found = session(0.0, logits=(0, 5, 5)).step(xyz, intensity, seed=3)
    assert found.xyz.tobytes() == xyz.tobytes() and found.intensity.tobytes() == intensity.tobytes()
    assert not found.fate.any()


def test_the_drawn_shares_are_the_networks_and_strength_scales_them():
    xyz, intensity = sweep(20_000)
    odds = dict(logits=(math.log(0.5), math.log(0.3), math.log(0.2)))
    for strength in (1.0, 0.5):
        fate = session(strength, **odds).step(xyz, intensity, seed=1).fate
        shares = [(fate == which).mean() for which in (LOST, AIR)]
        assert shares == pytest.approx([0.3 * strength, 0.2 * strength], abs=0.01)


def test_points_stay_on_their_rays_lost_ones_are_not_finite_and_intensities_follow():
    xyz, intensity = sweep()
    found = session(gain=math.log(0.5), log_mean=math.log(6.0)).step(xyz, intensity, seed=9)
    before, after = np.linalg.norm(xyz, axis=1), np.linalg.norm(found.xyz, axis=1)
    stay, lost, air = (found.fate == which for which in (STAY, LOST, AIR))
    assert np.array_equal(found.xyz[stay], xyz[stay])
    np.testing.assert_allclose(found.intensity[stay], intensity[stay] / 2, rtol=1e-5)
    assert np.isnan(found.xyz[lost]).all() and np.isnan(found.intensity[lost]).all()
    assert (after[air] < before[air]).all() and after[air].mean() == pytest.approx(0.8 + 6.0, abs=0.6)
    turn = (found.xyz[air] * xyz[air]).sum(1) / (before[air] * after[air])
    np.testing.assert_allclose(turn, 1.0, atol=1e-5)


def test_the_same_seed_gives_the_same_sweep_and_another_seed_another():
    xyz, intensity = sweep()
    style = session()
    first, again, other = (style.step(xyz, intensity, seed) for seed in (-5, -5, 6))
    assert first.xyz.tobytes() == again.xyz.tobytes() and not np.array_equal(first.fate, other.fate)


def test_wrong_models_and_strengths_are_one_sentence():
    with pytest.raises(ModelError, match="is a gan-tone: expected gan-range-style"):
        RangeStyleSession.from_weights("random:gan-tone")
    with pytest.raises(ModelError, match="strength is 2"):
        session(2.0)
    assert session().step(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), 0).fate.shape == (0,)
